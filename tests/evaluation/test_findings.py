"""What an evaluation says first: the best methods; and photographs without labels."""

import re

import numpy as np
import pandas as pd
import pytest

from captum_ext.cli import main
from captum_ext.evaluation import EvaluationConfig, Results, ScoreTable, report
from captum_ext.evaluation.reporting.findings import findings
from tests.evaluation.tiny import pictures

SMALL = ["--models", "tests.evaluation.tiny:load", "--steps", "2", "--methods", "ig,idgi,random", "--batch-size", "4"]
COLUMNS = ["model", "image", "method", "steps", "score", "variant", "value", "curve"]


def score_table(values, score="insertion"):
    rows = [
        ("net", f"{k}.png", method, 0, score, "signed", value, None)
        for method, each in values.items()
        for k, value in enumerate(each)
    ]
    return ScoreTable(pd.DataFrame(rows, columns=COLUMNS), {"models": ["net"], "methods": list(values)})


@pytest.mark.parametrize(("score", "best"), [("insertion", "IDGI"), ("deletion", "IG")])
def test_the_best_method_by_the_scores_direction(score, best):
    noise = np.random.default_rng(0).normal(size=30)
    (text,) = findings(score_table({"ig": noise, "idgi": noise + 0.5, "blur-ig": noise + 0.2}, score))
    gap = 0.3 if best == "IDGI" else -0.2
    assert f"{best} has " in text
    assert f"differs from the next, Blur IG, by {gap:.3f} [{gap:.3f}, {gap:.3f}] over 30 images" in text


def test_a_difference_that_can_be_chance_is_called_so():
    generator = np.random.default_rng(0)
    (text,) = findings(score_table({"ig": generator.normal(size=40), "idgi": generator.normal(size=40)}))
    assert "can be chance" in text
    (text,) = findings(score_table({"ig": np.zeros(4), "idgi": np.ones(4)}))
    assert "4 images are too few" in text


def test_completeness_makes_no_winner():
    assert findings(score_table({"ig": np.ones(30), "idgi": np.zeros(30)}, "completeness")) == []
    assert findings(score_table({"ig": np.ones(30)})) == []


def test_photographs_without_labels(tmp_path, capsys):
    folder = pictures(tmp_path / "photographs", 4)
    (folder / "labels.csv").unlink()
    assert main(["evaluate", str(tmp_path / "r"), "--images", str(folder), *SMALL]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{folder}: no labels, so the class that the model predicts is explained"
    assert "4 images explained" in printed[1]
    assert printed[2].startswith("tests.evaluation.tiny:load: Insertion, probability (signed), higher is better: ")
    results = Results(tmp_path / "r")
    assert results.settings()["target"] == "predicted"
    assert set(results.read().score) == {"image", "insertion", "insertion-ratio", "deletion", "completeness"}
    assert main(["evaluate", str(tmp_path / "s"), "--images", str(folder), *SMALL, "--target", "label"]) == 2
    assert "have no labels" in capsys.readouterr().err
    page = report(tmp_path / "r")[0].read_text()
    assert re.match(r"# Evaluation\n\ntests\.evaluation\.tiny:load: Insertion", page)


def test_folding_is_off_with_exact_and_for_randomized_layers(tmp_path):
    folder = pictures(tmp_path / "photographs", 2)
    weights = []
    for name, options in (("a", []), ("b", ["--exact"]), ("c", ["--metrics", "randomization"])):
        assert main(["evaluate", str(tmp_path / name), "--images", str(folder), *SMALL, *options]) == 0
        weights.append(Results(tmp_path / name).settings()["weights"])
    assert weights[0] != weights[1] == weights[2]
    folded, exact = (
        Results(tmp_path / name).read().set_index(["image", "method", "score", "variant"]).value for name in "ab"
    )
    kept = folded.index[folded.index.get_level_values("score") == "insertion"]
    np.testing.assert_allclose(folded[kept], exact[kept], atol=1e-4)


def test_information_is_not_a_default():
    assert EvaluationConfig().metrics == ("insertion", "deletion", "completeness")
