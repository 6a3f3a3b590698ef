"""The report's page: its numbers are those of the report, names are escaped, and nothing is loaded."""

import base64
import html
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from captum_ext.cli import main
from captum_ext.evaluation import EvaluationConfig, Results, evaluate, find_images, html_report
from captum_ext.evaluation.example_maps import ExampleRecorder, examples_per_batch
from captum_ext.evaluation.reporting.charts import BOTTOM, LEFT, RIGHT, TOP, curve_charts
from captum_ext.evaluation.reporting.heat_map import heat_map
from captum_ext.evaluation.scores import ScoreTable, model_scores, score_index
from captum_ext.evaluation.store import ResultRow
from tests.evaluation import results as made
from tests.evaluation.tiny import load, pictures

EVIL = "<script>alert(1)</script>\"'&\x1b"


class Elements(HTMLParser):
    """All tags with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    results = made.write(folder)
    return results, html_report(folder).read_text()


def test_it_opens_with_the_result_and_the_images(written):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", written[1].split("</header>")[0].split("<header>")[1]))
    assert "This evaluation compares 6 methods on 2 models by 6 metrics: Insertion, AIC, SIC, Deletion" in text
    assert "net|a/b: 11 images explained, 1 misclassified and excluded, 1 unreadable." in text
    assert "other: Insertion, probability (signed), higher is better: " in text


def test_nothing_is_loaded(written):
    page = written[1]
    assert "default-src 'none'" in page
    for tag, attributes in Elements(page).found:
        assert tag not in ("link", "iframe", "object")
        assert attributes.get("src", "data:").startswith("data:")
        assert not attributes.get("href", "")
    assert not re.search(r"url\(|@import|https?://", page)
    assert "prefers-color-scheme: dark" in page


def test_the_table_has_every_number_of_the_report(written):
    results, page = written
    rows = re.findall(r'<tr data-score="(.*?)" data-model="(.*?)">(.*?)</tr>', page)
    expected = [row for part in model_scores(results, score_index(results)) for row in part.table.scores]
    assert {html.unescape(score) for score, _, _ in rows} == {score.title for score in expected}
    key = ("Insertion, probability (signed)", "other", "IG", "32")
    (values,) = [
        re.findall(r">([^<>]+)</td>", cells)
        for score, model, cells in rows
        if (score, model) == key[:2] and f">{key[2]}</td>" in cells and f">{key[3]}</td>" in cells
    ]
    mean = np.mean([r.value for r in made.rows(1) if (r.method, r.steps, r.score) == ("ig", 32, "insertion")])
    assert values[4] == f"{mean:.3f}"
    assert values[-1] == "11"


def test_settings_and_notes_are_complete(tmp_path):
    rows = [ResultRow("x.png", "ig", 8, "deletion", "signed", 0.5)]
    results = Results(tmp_path)
    settings = {**made.SETTINGS, "models": ["net"], "versions": {"torch": "2.6"}}
    results.create(settings, {"preset": "quick, with --steps 8 in place of 16"})
    results.write("net", 0, rows)
    page = html.unescape(html_report(tmp_path).read_text())
    for key in (*settings, "preset"):
        assert f'<th scope="row">{key}</th>' in page
    assert "quick, with --steps 8 in place of 16" in page
    assert "'torch': '2.6'" in page
    assert "Unfinished" in page


def test_names_are_escaped(tmp_path):
    rows = [ResultRow(EVIL, method, 0, EVIL, EVIL, 0.5) for method in (EVIL, "ig")]
    rows.append(ResultRow(EVIL, "", 0, "image", "unreadable", np.nan, note=EVIL))
    made.write(tmp_path, {EVIL: rows}, models=[EVIL], methods=[EVIL, "ig"])
    page = html_report(tmp_path).read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert [tag for tag, _ in Elements(page).found].count("script") == 1


def test_the_heat_map_has_the_best_in_the_scores_direction():
    noise = np.random.default_rng(0).normal(0, 0.01, 12)
    columns = ["model", "image", "method", "steps", "score", "variant", "value", "curve"]
    rows = [
        ("net", f"{k}.png", method, 0, score, "signed", value + noise[k] * (method == "pgig"), None)
        for k in range(12)
        for score in ("insertion", "deletion")
        for method, value in {"ig": 0.2, "idgi": 0.6, "random": 0.1, "pgig": 0.6}.items()
    ]
    import pandas as pd

    table = ScoreTable(
        pd.DataFrame(rows, columns=columns), {"models": ["net"], "methods": ["ig", "idgi", "random", "pgig"]}
    )
    heat = heat_map(table, "net")
    assert [score.name for score in heat.scores] == ["insertion", "deletion"]
    cells = dict(heat.rows)
    assert cells["random"][0].level == 0.0
    assert cells["random"][1].level == 1.0
    assert cells["ig"][0].level == pytest.approx(0.2, abs=0.01)
    assert cells["random"][1].is_best
    best, close = ("idgi", "pgig") if cells["idgi"][0].is_best else ("pgig", "idgi")
    assert cells[best][0].is_best
    assert cells[close][0].is_close
    assert not cells["ig"][0].is_close
    assert "12 images" in cells["ig"][0].interval


def test_completeness_has_no_best(written):
    results, _ = written
    *_, part = model_scores(results, score_index(results))
    heat = heat_map(part.table, "other")
    column = [score.name for score in heat.scores].index("completeness")
    assert {cells[column].level for _, cells in heat.rows} == {None}
    assert not any(cells[column].is_best or cells[column].is_close for _, cells in heat.rows)


def test_charts_stay_in_their_frame_and_end_where_the_curves_do(written):
    results, _ = written
    for part in model_scores(results, score_index(results)):
        for chart in curve_charts(part.table, part.table.models[0]):
            for line in chart.lines:
                points = np.array([point.split(",") for point in line.path[1:].split("L")], dtype=float)
                assert points[0, 0] == LEFT
                assert points[-1, 0] == RIGHT
                assert points[:, 1].min() >= TOP
                assert points[:, 1].max() <= BOTTOM
                assert line.band


def test_models_are_read_one_at_a_time_with_the_numbers_of_all(tmp_path, monkeypatch):
    results = made.write(tmp_path)
    whole = ScoreTable(results.read(), results.settings())
    models = []
    monkeypatch.setattr(Results, "read", watched(Results.read, models))
    for part in model_scores(results, score_index(results)):
        (model,) = part.table.models
        assert models[-1] == model
        assert part.table.steps == whole.steps
        assert part.table.scores == whole.scores
        for score in whole.scores:
            for method in whole.methods:
                assert repr(part.table.estimate(model, method, score)) == repr(whole.estimate(model, method, score))
    assert None not in models


def watched(read, models):
    def reading(self, columns=None, model=None, categorical=False):
        models.append(model)
        frame = read(self, columns, model, categorical)
        assert categorical
        assert str(frame["method"].dtype) == "category"
        assert frame["model"].nunique() == 1
        return frame

    return reading


def test_unfinished_models_are_in_the_page(tmp_path):
    made.write(tmp_path, {"other": made.few_rows()}, images=20)
    page = html_report(tmp_path).read_text()
    assert "net|a/b: 0 of 20 images; other: 13 of 20 images" in page
    assert score_index(Results(tmp_path)).models == made.SETTINGS["models"]


@pytest.mark.parametrize(
    ("examples", "batches", "expected"),
    [(0, 3, [0, 0, 0]), (4, 1, [4]), (4, 2, [2, 2]), (2, 4, [1, 0, 1, 0]), (4, 3, [2, 1, 1])],
)
def test_examples_are_spread_over_batches(examples, batches, expected):
    assert examples_per_batch(examples, batches) == expected


def test_a_number_of_examples_is_checked():
    with pytest.raises(ValueError, match="n_examples: expected an integer from 0, got -1"):
        examples_per_batch(-1, 2)
    with pytest.raises(TypeError, match="n_examples: expected an integer from 0, got float"):
        examples_per_batch(1.5, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("images"), 5, wrong=1)


def test_pictures_of_the_first_explained_images_are_stored_and_shown(folder, tmp_path):
    config = EvaluationConfig(("ig", "random"), ("insertion:signed",), (2, 4), batch_size=2)
    evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", config, n_examples=3)
    stored = Results(tmp_path / "r").examples("tiny")
    assert [(each.image, each.method, each.steps) for each in stored] == [
        (name, method, steps)
        for batch in (["000.png"], ["002.png"])  # the only image of the third batch is misclassified
        for method, steps in (("", 0), ("ig", 4), ("random", 0))
        for name in batch
    ]
    picture = Image.open(io.BytesIO(stored[0].picture)).convert("RGB").resize((32, 32), Image.Resampling.BOX)
    original = Image.open(folder / "000.png").convert("RGB").resize((32, 32))
    assert np.abs(np.asarray(picture, float) - np.asarray(original, float)).mean() < 6
    page = html_report(tmp_path / "r", tmp_path / "page.html").read_text()
    shown = re.findall(r'<img src="data:image/jpeg;base64,(.*?)" alt="(.*?)"', page)
    assert [alt for _, alt in shown[:3]] == ["000.png", "IG of 000.png", "Random of 000.png"]
    assert base64.b64decode(shown[1][0]) == stored[1].picture
    assert len(page) < 1_000_000


def test_without_examples_nothing_is_stored_and_scores_are_the_same(folder, tmp_path):
    config = EvaluationConfig(("ig",), ("insertion:signed",), (2,))
    frames = []
    for name, count in (("a", 0), ("b", 4)):
        evaluate({"tiny": load()}, find_images(folder), tmp_path / name, config, n_examples=count)
        frames.append(Results(tmp_path / name).read())
    assert frames[0].equals(frames[1])
    assert Results(tmp_path / "a").examples("tiny") == []
    assert len(Results(tmp_path / "b").examples("tiny")) == 8


def test_maps_that_are_not_finite_are_not_drawn():
    from captum_ext.evaluation.batch_maps import MethodMaps
    from captum_ext.evaluation.inputs import ImageBatch

    x = torch.rand(2, 1, 6, 6)
    recorder = ExampleRecorder(2, steps=4)
    recorder.add_images(ImageBatch(("a", "b"), x, x, torch.tensor([0, 0])), torch.zeros_like(x), torch.ones_like(x))
    maps = torch.stack([torch.rand(1, 6, 6), torch.full((1, 6, 6), torch.nan)])
    recorder.add_maps(MethodMaps("ig", 4, maps, None))
    recorder.add_maps(MethodMaps("ig", 2, maps, None))
    assert [(each.image, each.method) for each in recorder.pictures] == [("a", ""), ("b", ""), ("a", "ig")]


def test_the_command_writes_the_page_only(tmp_path, capsys):
    made.write(tmp_path / "r", {"net": made.few_rows()}, models=["net"])
    assert main(["report", str(tmp_path / "r"), "--html", "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path}/out/report.html\n"
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.html"]
    assert main(["report", str(tmp_path / "r"), "--html", "--output", str(tmp_path / "r" / "settings.json")]) == 2
    assert "can't be written" in capsys.readouterr().err
