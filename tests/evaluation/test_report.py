"""The report's tables against naive sums over the rows; what it says of missing images; its files."""

import csv
import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from scipy.integrate import trapezoid

from captum_ext.evaluation import ScoreTable, report
from captum_ext.evaluation.reporting.tables import Cell
from captum_ext.evaluation.reporting.write import escape
from captum_ext.evaluation.scores import score_variant
from captum_ext.evaluation.store import ResultRow
from captum_ext.visualization import base_method, method_styles, sorted_methods
from tests.evaluation import results as made

CELL = re.compile(r"(\S+) \[(\S+), (\S+)\] \((\d+)\)(?: (better|worse))?$")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made.write(folder)
    return folder, report(folder)


def table(folder, name):
    with (folder / "report" / "tables" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def of(rows, method, steps, score, variant):
    """The rows that have a value."""
    key = (method, steps, score, variant)
    found = [row for row in rows if (row.method, row.steps, row.score, row.variant) == key]
    return [row for row in found if not np.isnan(row.value)]


def test_table_1_has_the_mean_over_the_images_at_the_most_steps(written):
    rows = table(written[0], "table-1-insertion")
    assert [row["Model"] for row in rows] == made.SETTINGS["models"]
    assert list(rows[0]) == ["Metric", "Model", *made.SETTINGS["methods"], "same images"]
    for seed, row in enumerate(rows):
        for method, steps in {"ig": 32, "idgi": 32, "blur-ig+idgi": 32, "pgig": 25, "random": 0}.items():
            values = [r.value for r in of(made.rows(seed), method, steps, "insertion", "signed")]
            value, low, high, n, _ = CELL.match(row[method]).groups()
            assert (value, n) == (f"{np.mean(values):.3f}", "11")
            assert float(low) < float(value) < float(high)
        assert row["same images"] == "yes"


@pytest.mark.parametrize(
    ("name", "head", "score", "variant", "n"),
    [
        ("table-2-information-by-size", "SIC (pair, WebP) ↑", "sic", "pair", 10),
        ("table-2-information-by-size", "AIC (study, PNG) ↑", "aic", "study", 11),
        ("table-3-information-by-ms-ssim", "AIC (pair, MS-SSIM) ↑", "aic", "pair:ms-ssim", 10),
    ],
)
def test_tables_2_and_3_have_the_area_under_the_protocols_curve(written, name, head, score, variant, n):
    (row,) = [r for r in table(written[0], name) if r["Metric"] == head and r["Model"] == "other"]
    curves = np.array([r.curve for r in of(made.rows(1), "idgi", 32, score, variant)])
    assert len(curves) == n
    line = curves.mean(0) if (score, variant) == ("aic", "study") else np.median(curves, axis=0)
    area = trapezoid(line, dx=1 / (curves.shape[1] - 1))
    assert row["idgi"].startswith(f"{area:.3f} [")
    assert row["idgi"].endswith(f"({n})")


def test_differences_are_paired_over_the_images(written):
    (row,) = [
        r for r in table(written[0], "differences") if r["Metric"].startswith("Deletion") and r["Model"] == "other"
    ]
    values = [
        {r.image: r.value for r in of(made.rows(1), method, 32, "deletion", "signed")} for method in ("idgi", "ig")
    ]
    changes = np.array([values[0][image] - values[1][image] for image in sorted(values[0])])
    value, low, high, n, _ = CELL.match(row["idgi minus ig"]).groups()
    assert (value, n) == (f"{changes.mean():.3f}", "11")
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, 10) * np.sqrt(11 / 10)) - 1
    expected = stats.bootstrap(
        (changes,), np.mean, n_resamples=20_000, method="BCa", random_state=9, confidence_level=level
    ).confidence_interval
    assert [float(low), float(high)] == pytest.approx(expected, abs=0.06 * np.ptp(expected))


@pytest.mark.parametrize("count", [4, 12])
def test_a_difference_is_marked_better_or_worse_where_its_interval_leaves_out_0(tmp_path, count):
    rows = []
    for k in range(count):
        for method, value in {"ig": 0.5, "idgi": 0.6, "blur-ig": 0.5, "blur-ig+idgi": 0.5 + 0.1 * (-1) ** k}.items():
            for score in ("insertion", "deletion"):
                rows.append(ResultRow(f"{k}.png", method, 32, score, "signed", value + k / 100))
    made.write(tmp_path, {"net": rows}, models=["net"])
    report(tmp_path)
    if count < 10:
        assert "better" not in table(tmp_path, "differences")[0]["idgi minus ig"]
        return
    up, down = table(tmp_path, "differences")
    assert up["idgi minus ig"] == "0.100 [0.100, 0.100] (12) better"
    assert down["idgi minus ig"] == "0.100 [0.100, 0.100] (12) worse"
    assert re.fullmatch(r"-?0\.000 \[-.*\] \(12\)", up["blur-ig+idgi minus blur-ig"])


def test_table_4_has_the_change_over_the_steps_and_table_5_minus_log_mse(written):
    (row,) = [r for r in table(written[0], "table-4-steps") if r["Model"] == "other" and r["Method"] == "IG + IDGI"]
    both = [np.mean([r.value for r in of(made.rows(1), "idgi", s, "insertion", "signed")]) for s in (8, 32)]
    assert row["insertion signed"].startswith(f"{abs(both[0] - both[1]):.3f} [")
    (row,) = [r for r in table(written[0], "table-5-stability") if r["Model"] == "other" and r["Method"] == "Blur IG"]
    for variant in ("signed", "absolute"):
        error = np.mean([r.value for r in of(made.rows(1), "blur-ig", 32, "stability", variant)])
        assert row[f"stability {variant}"].startswith(f"{-np.log10(error):.3f} [")
    (row,) = [r for r in table(written[0], "completeness") if r["Model"] == "other"]
    values = [r.value for r in of(made.rows(1), "pgig", 25, "completeness", "relative")]
    assert row["pgig"].startswith(f"{np.median(values):.3f} [")


def test_the_appendix_has_the_fewer_steps_for_the_methods_with_a_path(written):
    rows = table(written[0], "steps-8-insertion")
    assert set(rows[0]) == {"Metric", "Model", "ig", "idgi", "blur-ig", "blur-ig+idgi", "same images"}
    values = [r.value for r in of(made.rows(0), "blur-ig", 8, "insertion", "signed")]
    assert rows[0]["blur-ig"].startswith(f"{np.mean(values):.3f} [")


def test_every_number_is_in_the_tidy_table(written):
    frame = pd.read_csv(written[0] / "report" / "tables" / "estimates.csv")
    assert set(frame["model"]) == set(made.SETTINGS["models"])
    row = frame.query("model == 'other' and method == 'ig' and steps == 8 and score == 'sic' and variant == 'pair'")
    assert row["n"].item() == 10
    assert (frame["low"] <= frame["high"]).all()
    assert len(frame) == 10 * (1 + 1 + 8 + 3 + 1) + 10  # (method, steps) x measures, and those of the other model


def test_the_report_shows_settings_images_and_all_files(written):
    folder, files = written
    text = files[0].read_text()
    assert files[0].name == "report.md"
    assert all(file.exists() for file in files)
    assert {f.name for f in files[1:]} == {f.name for f in (folder / "report").glob("*/*")}
    assert r"| models | net\|a/b, other |" in text
    assert "Unfinished" not in text
    assert r"| net\|a/b | 11 | 1 | 1 | 13 |" in text
    assert r"- images/a\_\*12\*.png: cannot identify \| image" in text
    assert re.search(r"\| SIC \(pair, WebP\) \| other \| 1: images/\S+ \| confidence \| all \|", text)
    assert "PGIG (25 steps)" in text
    assert "| IG | +IDGI | Blur IG | +IDGI | PGIG" in text
    pictures = re.findall(r"!\[.*?\]\((figures/[^)\s]+)\)", text)
    assert len(pictures) == len(set(pictures)) == len(list((folder / "report" / "figures").iterdir()))
    for picture in pictures:
        with Image.open(folder / "report" / picture) as image:
            assert min(image.size) > 200
            assert len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_the_columns_of_a_markdown_table_are_as_many_in_every_line(written):
    for block in written[1][0].read_text().split("\n\n"):
        if block.startswith("|"):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_best_value_of_a_row_is_bold(tmp_path):
    rows = [
        ResultRow("x.png", method, 32, score, "signed", value)
        for score in ("insertion", "deletion")
        for method, value in {"ig": 0.5, "idgi": 0.6, "random": 0.1}.items()
    ]
    made.write(tmp_path, {"net": [r for r in rows for _ in (0,)]}, models=["net"])
    report(tmp_path)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| net | 0.500 [-, -] (1) | **0.600** [-, -] (1) | 0.100 [-, -] (1) |" in text
    assert "| net | 0.500 [-, -] (1) | 0.600 [-, -] (1) | **0.100** [-, -] (1) |" in text


def test_the_same_results_give_the_same_report(tmp_path):
    made.write(tmp_path / "results", {"other": made.few_rows()}, models=["other"])
    once, again = report(tmp_path / "results"), report(tmp_path / "results", tmp_path / "again")
    for before, after in zip(once, again, strict=True):
        assert before.read_bytes() == after.read_bytes()


def test_methods_with_other_images_are_marked_and_compared_over_those_they_share(tmp_path):
    rows = [r for r in made.few_rows() if not (r.method == "idgi" and r.image in ("images/2.png", "images/5.png"))]
    made.write(tmp_path, {"net": rows}, models=["net"])
    report(tmp_path)
    (row,) = table(tmp_path, "table-1-insertion")
    assert (row["ig"][-4:], row["idgi"][-4:][1:], row["same images"]) == ("(11)", "(9)", "no")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| net † |" in text
    assert "† Not all methods" in text
    values = [{r.image: r.value for r in of(rows, m, 32, "insertion", "signed")} for m in ("idgi", "ig")]
    shared = [values[0][image] - values[1][image] for image in values[0]]
    (row, *_) = table(tmp_path, "differences")
    assert row["idgi minus ig"].startswith(f"{np.mean(shared):.3f} [")
    assert "(9)" in row["idgi minus ig"]


def test_as_many_images_but_others_are_marked_too(tmp_path):
    rows = [
        ResultRow(f"{k + (method == 'random')}.png", method, 0, "insertion", "signed", 0.5)
        for k in range(3)
        for method in ("gradient", "random")
    ]
    made.write(tmp_path, {"net": rows}, models=["net"], methods=["gradient", "random"])
    report(tmp_path)
    assert table(tmp_path, "table-1-insertion")[0]["same images"] == "no"


def test_unfinished_results_say_so(tmp_path):
    made.write(tmp_path, {"other": made.few_rows()}, images=20)
    text = report(tmp_path)[0].read_text()
    assert r"**Unfinished**: net\|a/b: 0 of 20 images; other: 13 of 20 images." in text


def test_results_without_any_explained_image_still_have_an_account(tmp_path):
    made.write(tmp_path, {"other": [made.own_row(11), made.own_row(12)]}, models=["other"], images=2)
    files = report(tmp_path)
    assert "| other | 0 | 1 | 1 | 2 |" in files[0].read_text()
    assert "Methods without any result: ig, idgi" in files[0].read_text()


def test_an_image_that_all_protocols_leave_out_gives_no_value_but_a_count(tmp_path):
    rows = [
        ResultRow(f"{k}.png", "ig", 32, "sic", "study", np.nan, None, reason)
        for k, reason in enumerate(["confidence: .3", "confidence: .4", "no score to add: .5"])
    ]
    made.write(tmp_path, {"net": rows}, models=["net"])
    text = report(tmp_path)[0].read_text()
    assert "| SIC (study, PNG) | net | 2: 0.png, 1.png | confidence | all |" in text
    assert "| SIC (study, PNG) | net | 1: 2.png | no score to add | all |" in text
    assert table(tmp_path, "table-2-information-by-size")[0]["ig"] == "- [-, -] (0)"


def test_models_whose_files_would_have_one_name_have_two(tmp_path):
    rows = [ResultRow("x.png", "ig", 8, "completeness", "relative", 0.5)]
    results = made.write(tmp_path, {"a/b": rows}, models=["a/b", "a:b", "a b"])
    results.write("a:b", 0, rows)
    results.write("a b", 0, rows)
    names = [file.name for file in report(tmp_path) if file.suffix == ".png"]
    assert names == [f"{model}-completeness-methods.png" for model in ("a_b", "a_b_2", "a_b_3")]


def test_scores_that_the_report_does_not_know_are_averaged(tmp_path):
    rows = [ResultRow(f"{k}.png", "mine$", 0, "pointing|game", "", float(k)) for k in range(3)]
    made.write(tmp_path, {"net": rows}, models=["net"], methods=["mine$"])
    report(tmp_path)
    (row,) = table(tmp_path, "others")
    assert row["Metric"] == "pointing|game"
    assert row["mine$"].startswith("1.000 [")


def test_methods_are_in_the_papers_order_and_look_the_same_in_every_figure():
    names = ["random", "mine+idgi", "blur-ig+idgi", "mine", "pgig", "blur-ig", "idgi", "ig"]
    expected = ["ig", "idgi", "blur-ig", "blur-ig+idgi", "pgig", "random", "mine", "mine+idgi"]
    assert sorted_methods(names) == expected
    assert [base_method(name) for name in expected] == [None, "ig", None, "blur-ig", None, None, None, "mine"]
    styles = method_styles(names)
    for name in names:
        root = base_method(name)
        if root is not None:
            assert dataclasses.replace(styles[root], label=styles[name].label, is_idgi=True) == styles[name]
        if root is None and name != "mine":
            assert method_styles([name])[name] == styles[name]
    assert len({(style.color, style.is_idgi) for style in styles.values()}) == len(names)


def test_text_as_it_is_shown():
    assert str(Cell(None)) == "-"
    assert escape("\x1b[2J") == r"\\x1b\[2J"
    assert escape("a|b\nc_d _e_ *f* `g` [h](i) <j>") == r"a\|b c_d \_e\_ \*f\* \`g\` \[h\](i) &lt;j>"


def test_curves_of_different_lengths_are_not_drawn_but_their_values_count(tmp_path):
    rows = [ResultRow(f"{k}.png", "ig", 8, "insertion", "signed", 0.5, [0.0] * (3 + k)) for k in range(2)]
    results = made.write(tmp_path, {"net": rows}, models=["net"])
    scores = ScoreTable(results.read(), results.settings())
    assert scores.sample("net", "ig", "insertion", "signed", 8).curves is None
    assert scores.estimate("net", "ig", score_variant("insertion", "signed"), 8).n == 2
    assert not [file for file in report(tmp_path) if file.name.endswith("curves.png")]
