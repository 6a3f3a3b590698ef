"""The evidence's page says what the results say, and its verdicts follow from them."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from captum_ext.evaluation import Estimate, ResultRow, Results, ScoreTable, combine
from evidence import page
from evidence.claims import idgi
from evidence.condense import condense
from evidence.papers import study
from evidence.stored import RESULTS, Column, Stored, change, over_images, share
from evidence.verdicts import Trial, of_all, of_all_in_each, verdict

ROOT = Path(__file__).parent.parent
N = 30
SIX = ("ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi", "random")


def trial(low, high, sign=1, bound=0.0, n=N, **conditions):
    return Trial(Estimate((low + high) / 2, low, high, n), conditions, sign, bound)


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (trial(0.1, 0.3), "holds"),
        (trial(-0.3, -0.1), "reversed"),
        (trial(-0.1, 0.3), "undecided"),
        (trial(-0.3, -0.1, sign=-1), "holds"),
        (trial(0.1, 0.3, sign=-1), "reversed"),
        (trial(0.1, 0.3, bound=0.2), "undecided"),
        (trial(0.1, 0.3, bound=0.5), "reversed"),
        (trial(0.1, 0.3, bound=0.5, sign=-1), "holds"),
        (trial(0.1, 0.3, n=9), "undecided"),
        (trial(0.0, 0.0), "undecided"),
        (trial(np.nan, np.nan), "undecided"),
    ],
)
def test_a_comparison_is_decided_by_its_interval(given, outcome):
    assert given.outcome == outcome


YES, NO, OPEN = (0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)


def over(grid):
    """Trials from {(ranking, method): interval}."""
    return [trial(*interval, ranking=ranking, method=method) for (ranking, method), interval in grid.items()]


@pytest.mark.parametrize(
    ("grid", "word"),
    [
        ({}, "not run"),
        ({("s", "a"): YES, ("s", "b"): YES}, "holds"),
        ({("s", "a"): NO, ("s", "b"): NO}, "does not hold"),
        ({("s", "a"): NO, ("s", "b"): OPEN}, "does not hold"),
        ({("s", "a"): OPEN, ("s", "b"): OPEN}, "undecided"),
        ({("s", "a"): YES, ("s", "b"): YES, ("t", "a"): NO, ("t", "b"): OPEN}, "holds only under ranking s"),
        ({("s", "a"): YES, ("s", "b"): YES, ("t", "a"): OPEN, ("t", "b"): OPEN},
         "holds under ranking s, undecided elsewhere"),
        ({("s", "a"): YES, ("s", "b"): YES, ("t", "a"): YES, ("t", "b"): NO},
         "holds only under ranking and method s / a, s / b, t / a"),
        ({("s", "a"): YES, ("s", "b"): NO, ("t", "a"): NO, ("t", "b"): NO},
         "holds only under ranking and method s / a"),
    ],
)  # fmt: skip
def test_the_verdict_names_the_condition(grid, word):
    assert verdict(over(grid)).word == word


def test_a_verdict_counts_its_comparisons():
    found = verdict(over({("s", "a"): YES, ("s", "b"): YES, ("t", "a"): NO, ("t", "b"): OPEN}))
    assert found.because == "there 2 of 2 hold; elsewhere 0 of 2 hold, 1 reversed, 1 undecided"


def test_conditions_are_named_in_whatever_order_they_are_told():
    kinds = [("s", "a", "x"), ("s", "b", "y"), ("t", "a", "y")]
    names = ("ranking", "method", "model")
    words = set()
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        given = [trial(*YES, **{names[at]: kind[at] for at in order}) for kind in kinds for _ in range(2)]
        for kind in itertools.product("st", "ab", "xy"):
            given += [] if kind in kinds else [trial(*NO, **{names[at]: kind[at] for at in order})]
        words.add(verdict(given).word.startswith("holds in part: throughout under"))
    assert len(words) == 1


def test_less_than_half_is_mixed():
    given = [trial(*interval, k=str(k)) for k in range(5) for interval in (YES, NO)]
    assert verdict(given).word == "holds in part"
    assert verdict([*given, trial(*OPEN, k="0")]).word == "mixed"


def test_a_condition_with_little_of_the_support_is_not_named():
    given = [trial(*YES, pair="a")] + [trial(*interval, pair=str(k)) for k in range(3) for interval in (YES, NO)]
    assert verdict(given).word == "holds in part"
    assert verdict([*given, *[trial(*YES, pair="a")] * 2]).word == "holds in part: throughout under pair a"


@pytest.mark.parametrize(("fifth", "word"), [(NO, "holds in part"), (OPEN, "holds where decided")])
def test_conditions_that_single_out_nothing_are_not_named(fifth, word):
    given = [trial(*YES, k=str(k)) for k in range(5)] + [trial(*fifth, k="5")]
    assert verdict(given).word == word


@pytest.mark.parametrize(
    ("intervals", "word"),
    [([], "not run"), ([YES, YES], "holds"), ([YES, OPEN], "undecided"), ([YES, OPEN, NO], "does not hold")],
)
def test_one_comparison_refutes_a_claim_without_exceptions(intervals, word):
    assert of_all([trial(*interval) for interval in intervals]).word == word


@pytest.mark.parametrize(
    ("grid", "word"),
    [
        ({("m", "a"): YES, ("m", "b"): YES, ("n", "a"): YES, ("n", "b"): NO}, "holds only under model m"),
        ({("m", "a"): YES, ("m", "b"): OPEN, ("n", "a"): YES, ("n", "b"): NO}, "does not hold"),
        ({("m", "a"): YES, ("m", "b"): OPEN, ("n", "a"): OPEN, ("n", "b"): YES}, "undecided"),
        ({("m", "a"): YES, ("m", "b"): YES, ("n", "a"): YES, ("n", "b"): YES}, "holds"),
    ],
)
def test_a_claim_without_exceptions_is_judged_in_each_case(grid, word):
    trials = [trial(*interval, model=model, rival=rival) for (model, rival), interval in grid.items()]
    assert of_all_in_each(("model",), trials).word == word


def write(folder, name, effect, scores, methods=SIX, steps=(8,), lost=()):
    """A run whose images differ much, and whose methods differ by what ``effect`` says; some images IDGI has not."""
    results = Results(folder / "runs" / name)
    results.create({"models": ["net"], "methods": list(methods), "steps": list(steps), "images": N})
    rng = np.random.default_rng(0)
    rows = []
    for k, own in enumerate(rng.random(N)):
        rows.append(ResultRow(f"{k}.png", "", 0, "image", "explained", 0.9))
        for method in methods:
            for score, variant in scores:
                for count in steps:
                    value = own + effect(method, variant) + 0.02 * rng.normal()
                    value = np.nan if method == "idgi" and k in lost else value
                    curve = [0.0, 0.123456, 1.0] if score == "insertion" else None
                    rows.append(
                        ResultRow(f"{k}.png", method, 0 if method == "random" else count, score, variant, value, curve)
                    )
    results.write("net", 0, rows)
    condense(folder / "runs" / name, folder / "results")


INSERTIONS = [(score, ranking) for score in ("insertion", "insertion-ratio") for ranking in ("signed", "absolute")]


@pytest.mark.parametrize(
    ("by_sign", "by_magnitude", "word"),
    [
        (0.3, 0.3, "holds"),
        (-0.3, -0.3, "does not hold"),
        (0.3, -0.3, "holds only under ranking signed"),
    ],
)
def test_a_claim_finds_the_effect_that_there_is(by_sign, by_magnitude, word, tmp_path):
    effects = {"signed": by_sign, "absolute": by_magnitude}
    write(tmp_path, "study-lite0", lambda method, variant: effects[variant] * ("idgi" in method), INSERTIONS)
    stored = Stored(tmp_path / "results")
    (claim,) = [claim for claim in page.claims() if claim.name == "claim-insertion"]
    found = claim.verdict(stored)
    assert found.word == word
    text = page.page(stored, [])
    assert f"**Verdict: {word}.** {found.because[0].upper()}{found.because[1:]}." in text
    assert "**Not run.**" in text
    assert "Lite1: not run" in text
    check(text)


def test_two_equal_methods_are_undecided(tmp_path):
    write(tmp_path, "study-lite0", lambda method, variant: 0.0, [("insertion", "signed")], ("ig", "idgi"))
    (one,) = idgi.trials(idgi.INSERTION, Stored(tmp_path / "results"))
    assert one.outcome == "undecided"
    assert abs(one.estimate.value) < 0.02


def test_without_results_the_page_says_so_and_nothing_else(tmp_path):
    target = page.write(Stored(tmp_path / "nothing"), tmp_path / "docs")
    text = target.read_text()
    assert text.count("**Not run.**") == len(page.claims())
    assert "0 comparisons" in text
    assert not list((tmp_path / "docs" / "images").iterdir())


def test_condensed_results_are_the_runs(tmp_path):
    write(tmp_path, "study-lite0", lambda method, variant: 0.0, INSERTIONS)
    stored, run = Stored(tmp_path / "results"), Results(tmp_path / "runs" / "study-lite0")
    scores = ScoreTable(run.read(), run.settings())
    assert stored.settings("study-lite0") == run.settings()
    assert stored.counts("study-lite0") == {"explained": N}
    for score, variant in INSERTIONS:
        pair = [Column("study-lite0", method, score, variant) for method in ("idgi", "ig")]
        samples = [scores.sample("net", method, score, variant, 8) for method in ("idgi", "ig")]
        assert stored.value(pair[0]) == samples[0].estimate
        assert stored.difference(*pair) == combine(samples, lambda values: values[0] - values[1])
    np.testing.assert_array_equal(
        stored.sample(Column("study-lite0", "ig", "insertion", "signed")).curves[0],
        np.array([0, 0.1235, 1], np.float32),
    )


def test_a_difference_is_over_the_images_that_both_have_with_the_same_draws(tmp_path):
    write(tmp_path, "study-lite0", lambda method, variant: 0.1 * ("idgi" in method), INSERTIONS, lost=(3, 17))
    stored = Stored(tmp_path / "results")
    one, other = (Column("study-lite0", method, "insertion", "signed") for method in ("idgi", "ig"))
    by_image = [dict(zip(s.images, s.values, strict=True)) for s in map(stored.sample, (one, other))]
    assert [len(values) for values in by_image] == [N - 2, N]
    differences = np.array([by_image[0][image] - by_image[1][image] for image in sorted(by_image[0])])
    drawn = np.random.default_rng(0).integers(0, N - 2, (1000, N - 2))
    every = differences[drawn].mean(1)
    found = stored.difference(one, other)
    assert found.n == N - 2
    assert found.value == pytest.approx(differences.mean())
    np.testing.assert_allclose([found.low, found.high], np.quantile(every, [0.025, 0.975]), atol=1e-12)
    assert stored.difference(one, Column("study-lite1", "ig", "insertion", "signed")) is None


def test_a_change_has_the_direction_that_all_images_say():
    found = np.array([[2.0, 9.0, 9.0], [1.0, 1.0, 5.0], [3.0, 2.0, 9.5]])
    assert change(found).tolist() == [1.0, -7.0, 0.5]
    assert change(found[::-1]).tolist() == [1.0, -7.0, 0.5]


def test_values_that_are_compared_are_of_the_same_images(tmp_path):
    write(tmp_path, "study-lite0", lambda method, variant: 0.0, INSERTIONS, lost=(3, 17))
    stored = Stored(tmp_path / "results")
    pair = [Column("study-lite0", method, "insertion", "signed") for method in ("ig", "idgi")]
    own, other = (stored.by_image(column).to_dict() for column in pair)
    values = stored.together(pair)
    assert [value.n for value in values] == [N - 2] * 2
    assert values[0].value == pytest.approx(np.mean([own[image] for image in other]))
    assert values[0].value != stored.value(pair[0]).value
    assert stored.together([pair[0], Column("study-lite1", "ig", "insertion", "signed")]) is None


def test_numbers_an_image_are_summed_up_with_intervals():
    rng = np.random.default_rng(1)
    values, weights = rng.random(40), 1 + rng.random(40)
    drawn = np.random.default_rng(0).integers(0, 40, (1000, 40))
    found = over_images([*values, np.nan], "median")
    assert (found.value, found.n) == (np.median(values), 40)
    assert found.low == pytest.approx(np.quantile(np.median(values[drawn], 1), 0.025))
    ratio = share(values, weights)
    assert ratio.value == pytest.approx(values.sum() / weights.sum())
    assert ratio.high == pytest.approx(np.quantile(values[drawn].sum(1) / weights[drawn].sum(1), 0.975))


def test_the_studys_tables_are_as_printed():
    assert {steps for _, steps in study()} == {8, 16, 32, 64, 128}
    assert all(len(models) == 10 for models in study().values())
    assert study()["insertion", 128]["InceptionV3"] == {
        "ig": 0.135,
        "idgi": 0.419,
        "guided-ig": 0.160,
        "guided-ig+idgi": 0.399,
        "blur-ig": 0.102,
        "blur-ig+idgi": 0.379,
    }
    assert study()["insertion-ratio", 32]["MobileNetV2"]["blur-ig+idgi"] == 0.510  # printed 5̇10
    assert list(study()["sic ms-ssim", 8]["VGG19"].values()) == [0.060, 0.159, 0.141, 0.187]
    # Its Table 4, of InceptionV3.
    first, last = (study()["insertion", steps]["InceptionV3"] for steps in (8, 128))
    changes = [last[method] - first[method] for method in ("ig", "idgi", "blur-ig", "blur-ig+idgi")]
    np.testing.assert_allclose(changes, [0.024, 0.224, 0.004, 0.082], atol=1e-9)


def test_every_claim_has_a_name_of_its_own_and_every_figure_is_drawn():
    names = [claim.name for claim in page.claims()]
    assert len(set(names)) == len(names)
    text = page.page(Stored(RESULTS), list(page.FIGURES))
    assert set(re.findall(r"images/evidence-(.*?)\.png", text)) == set(page.FIGURES)


def check(text):
    """A page's tables have as many cells in every row, and its links lead somewhere."""
    for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1, block
    for name in re.findall(r"\]\(#(.*?)\)", text):
        assert f"({name})=" in text


def drawn():
    """The figures that are committed."""
    files = (ROOT / "docs" / "images").glob("evidence-*.*g")
    return [file.stem.removeprefix("evidence-") for file in files]


def test_the_committed_page_is_made_from_the_committed_results():
    text = (ROOT / "docs" / "evidence.md").read_text()
    assert page.page(Stored(RESULTS), drawn()) == text
    for image in re.findall(r"\]\((images/.*?)\)", text):
        assert (ROOT / "docs" / image).stat().st_size > 5000
    check(text)


@pytest.mark.parametrize(
    ("own", "chance", "verb"), [(0.2, 0.0, "better than"), (0.0, 0.2, "worse than"), (0.0, 0.0, "not told apart from")]
)
def test_the_page_in_short_takes_its_verbs_from_the_numbers(own, chance, verb, tmp_path):
    def effect(method, variant):
        return {"random": chance, "ig": own}.get(method, own)

    write(tmp_path, "study-lite0", effect, INSERTIONS, ("ig", "idgi", "random"))
    text = page.part("short.md", Stored(tmp_path / "results")).strip()
    assert f"ranked by sign, IG is {verb} a random order" in text
    assert "IDGI is not told apart from IG" in text
    assert text.count("\n") == 0  # nothing of what was not run


@pytest.mark.parametrize(
    ("own", "follows"), [(0.3, "| kept"), (0.0, "questioned: IG is not shown to beat chance by it")]
)
def test_a_default_is_questioned_by_the_numbers(own, follows, tmp_path):
    def effect(method, variant):
        return 0.0 if method == "random" else own

    write(tmp_path, "study-lite0", effect, INSERTIONS, ("ig", "idgi", "random"))
    write(tmp_path, "study-lite2", effect, [("insertion", "signed")], ("ig", "idgi"))  # has no other ranking
    text = page.part("defaults.md", Stored(tmp_path / "results"))
    assert follows in text
