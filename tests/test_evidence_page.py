"""The evidence's pages say what the results say, and their verdicts follow from the plan by one rule."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from captum_ext.evaluation import ResultRow, Results, ScoreTable, combine, t_interval
from evidence import page
from evidence.claims.controls import CONTROLS, NULL, POSITIVE
from evidence.condense import condense
from evidence.decisions import (
    CONTRADICTED,
    LEVEL,
    NO_EFFECT,
    REPRODUCED,
    UNRESOLVED,
    decide,
    decided,
    interval,
    null_rates,
    of_claim,
    skew_test,
)
from evidence.decisions import test as p_value
from evidence.papers import study
from evidence.plan import PRIMARIES, Primary
from evidence.stored import RESULTS, Column, Stored, over_images, share
from evidence.summary import heat_map, networks, table_of_methods

ROOT = Path(__file__).parent.parent
N = 30
SIX = ("ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi", "random")


def primary(sign=1, margin=0.02, bound=0.0):
    return Primary("one minus other", "score", lambda stored: pd.Series(dtype=float), margin, {"claim": sign}, bound)


def sample(mean, spread, n=N):
    """Numbers of exactly this mean and standard deviation."""
    values = np.random.default_rng(0).normal(size=n)
    return mean + spread * (values - values.mean()) / values.std(ddof=1)


@pytest.mark.parametrize(
    ("of", "values", "word"),
    [
        (primary(), sample(0.3, 0.1), REPRODUCED),
        (primary(), sample(-0.3, 0.1), CONTRADICTED),
        (primary(-1), sample(-0.3, 0.1), REPRODUCED),
        (primary(-1), sample(0.3, 0.1), CONTRADICTED),
        (primary(), sample(0.03, 0.1), UNRESOLVED),
        (primary(), sample(0.001, 0.01), NO_EFFECT),
        (primary(), sample(0.01, 0.001), NO_EFFECT),  # decided, and too small to matter
        (primary(bound=0.3), sample(0.3, 0.01), NO_EFFECT),
        (primary(bound=0.5), sample(0.3, 0.1), CONTRADICTED),
        (primary(-1, bound=0.5), sample(0.3, 0.1), REPRODUCED),
        (primary(), sample(0.3, 0.01, 9), UNRESOLVED),
    ],
)
def test_a_verdict_follows_from_the_interval_the_margin_and_the_side(of, values, word):
    (one,) = decide([(of, values)])
    assert one.verdict("claim") == word
    assert (one.estimate, one.adjusted) == (t_interval(values), interval(values, 1 - LEVEL))


def test_a_comparison_among_many_needs_more():
    weak = (primary(), sample(0.3, 0.65))  # p = 0.017
    (alone,) = decide([weak])
    among = decide([weak] + [(primary(), sample(0.0, 1.0))] * 9)[0]
    assert (alone.verdict("claim"), among.verdict("claim")) == (REPRODUCED, UNRESOLVED)
    assert among.coverage == pytest.approx(1 - LEVEL / 10)
    assert among.estimate == alone.estimate
    strong = decide([weak] + [(primary(), sample(0.9, 0.1))] * 9)[0]  # Holm: those that are decided count no more
    assert strong.verdict("claim") == REPRODUCED


@pytest.mark.parametrize(("mean", "margin"), [(0.1, 0.02), (0.0, 0.1)])
def test_the_images_that_are_needed_decide_four_times_of_five(mean, margin):
    rng, of = np.random.default_rng(1), primary(margin=margin)
    (one,) = decide([(of, sample(mean, 0.4))])
    assert one.verdict("claim") == UNRESOLVED
    words = [decide([(of, rng.normal(mean, 0.4, one.needed))], 0)[0].verdict("claim") for _ in range(300)]
    # Inside the margin, both ends have to be.
    assert 0.55 < np.mean([word != UNRESOLVED for word in words]) < 0.87


def shuffled(seed):
    """The stored outcomes with the signs of each image's flipped at random, around each bound."""
    series = [(of, of.values(STORED)) for of in PRIMARIES]
    names = sorted({name for _, values in series for name in values.index})
    rng = np.random.default_rng(seed)
    for _ in range(40):
        signs = pd.Series(rng.choice([-1.0, 1.0], len(names)), names)
        yield [(of, ((v - of.bound) * signs[v.index]).to_numpy() + of.bound) for of, v in series]


STORED = Stored(RESULTS)


def test_with_shuffled_outcomes_the_rule_decides_at_most_at_its_rate():
    decided_pages = 0
    for samples in shuffled(0):
        words = {one.verdict(next(iter(one.primary.claims))) for one in decide(samples, 0)}
        decided_pages += bool(words & {REPRODUCED, CONTRADICTED})
    assert decided_pages / 40 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 40)
    rates = null_rates(STORED)
    student, *_, own = rates.values()
    assert 0 < own[0] < own[1] <= 0.05
    assert own[1] < student[1] / 2  # the page says that Student's t decides skewed outcomes too often
    assert rates["Student's t and sign flips"][1] > 0.06  # and that sign flips help little


@pytest.mark.parametrize("skew", [0.0, 1.0, -1.0])
def test_an_interval_reaches_as_far_as_students_and_that_corrected_for_skewness(skew):
    draws = np.random.default_rng(3).gamma(0.5, size=40)
    values = 0.1 + (skew * draws if skew else draws - draws[::-1])
    student, both = t_interval(values, 0.99), interval(values, 0.99)
    assert both.low <= student.low
    assert student.high <= both.high
    if not skew:
        assert (both.low, both.high) == pytest.approx((student.low, student.high))
    further = both.high if skew > 0 else both.low
    assert float(skew_test(values - further)) == pytest.approx(0.01)
    one = interval(values, 1 - p_value(values))
    assert min(abs(one.low), abs(one.high)) < 1e-9


def test_a_constant_is_decided_without_skewness():
    assert p_value(np.zeros(12)) == 1
    assert p_value(np.full(12, 0.3)) == pytest.approx(0, abs=1e-12)
    assert interval(np.full(12, 0.3), 0.99).low == pytest.approx(0.3)


def test_skewed_outcomes_are_covered_better_than_by_students_interval():
    random, missed = np.random.default_rng(0), np.zeros(2)
    for _ in range(1500):
        values = random.exponential(size=30) - 1
        for k, of in enumerate((t_interval(values, 0.99), interval(values, 0.99))):
            missed[k] += of.high < 0 or of.low > 0
    assert missed[0] / 1500 > 0.02 > missed[1] / 1500


def test_a_second_look_counts_twice():
    values = sample(0.3, 0.6)
    once, twice = decide([(primary(), values)])[0], decide([(replace(primary(), looks=2), values)])[0]
    assert twice.p == pytest.approx(2 * once.p)
    assert twice.coverage == pytest.approx(1 - LEVEL / 2)


def test_the_plan_is_stated_before_anything_is_computed():
    named = [claim.name for claim in page.claims()]
    assert len(set(named)) == len(named)
    assert len({(of.pair, of.measure) for of in PRIMARIES}) == len(PRIMARIES)
    assert {name for of in PRIMARIES for name in of.claims} == {n for n in named if not n.startswith("claim-toy")}
    assert all(of.margin > 0 and set(of.claims.values()) <= {1, -1} for of in PRIMARIES)


def raw(name, score, variant, method, steps=None):
    """An image's values straight from a stored file."""
    files = [RESULTS / f"{name}{part}.parquet" for part in ("", "-more")]
    rows = pd.concat([pd.read_parquet(file) for file in files if file.exists()])
    rows = rows[(rows["score"] == score) & (rows["variant"] == variant) & (rows["method"] == method)]
    return (rows if steps is None else rows[rows["steps"] == steps]).set_index("image")["value"].dropna()


def insertion_over_networks(method, variant):
    return sum(raw(f"study-lite{k}", "insertion", variant, method) for k in range(3)) / 3


NAIVE = {
    ("IG + IDGI minus IG", "insertion by magnitude"): lambda: (
        insertion_over_networks("idgi", "absolute") - insertion_over_networks("ig", "absolute")
    ),
    ("IG minus Random", "insertion by sign"): lambda: (
        insertion_over_networks("ig", "signed") - insertion_over_networks("random", "signed")
    ),
    ("Guided IG minus IG", "log10 of the error ratio, signed sum"): lambda: np.log10(
        raw("stability-lite0", "stability", "signed", "ig") / raw("stability-lite0", "stability", "signed", "guided-ig")
    ),
    ("IG + IDGI minus IG", "log10 of the error ratio, magnitudes"): lambda: np.log10(
        raw("stability-lite0", "stability", "absolute", "ig") / raw("stability-lite0", "stability", "absolute", "idgi")
    ),
    ("Blur IG", "insertion gain from 8 to 128 steps"): lambda: (
        raw("study-lite0", "insertion", "signed", "blur-ig") - raw("steps-lite0", "insertion", "signed", "blur-ig", 8)
    ),
    ("IG", "insertion gain after 32 steps, minus a tenth of all"): lambda: (
        0.9 * raw("study-lite0", "insertion", "signed", "ig")
        - raw("steps-lite0", "insertion", "signed", "ig", 32)
        + 0.1 * raw("steps-lite0", "insertion", "signed", "ig", 8)
    ),
}


@pytest.mark.parametrize(("key", "values"), NAIVE.items(), ids=str)
def test_primaries_are_those_of_the_stored_rows(key, values):
    (of,) = [of for of in PRIMARIES if (of.pair, of.measure) == key]
    expected, one = values(), decided(STORED)[of]
    assert one.estimate.value == pytest.approx(expected.mean(), abs=1e-12)
    assert one.estimate.n == len(expected) >= 64
    reach = interval(expected.to_numpy(), one.coverage)
    assert (one.adjusted.low, one.adjusted.high) == pytest.approx((reach.low, reach.high))
    assert one.p == pytest.approx(of.looks * p_value(expected.to_numpy()))


def test_an_image_is_averaged_over_the_networks_that_have_it():
    (of,) = [of for of in PRIMARIES if of.pair == "PGIG minus IG" and of.measure == "degradation area"]
    values = of.values(STORED)
    runs = [
        raw(run, "degradation", "paper", "pgig") - raw(run, "degradation", "paper", "ig")
        for run in ("degradation-vgg16", "degradation-lite0")
    ]
    both = runs[0].index.intersection(runs[1].index)
    assert 10 < len(both) < len(values) == len(runs[0].index.union(runs[1].index))
    assert values[both[0]] == pytest.approx((runs[0][both[0]] + runs[1][both[0]]) / 2)
    alone = runs[1].index.difference(both)[0]
    assert values[alone] == pytest.approx(runs[1][alone])


def test_three_networks_on_the_same_photographs_count_as_little_more_than_one():
    gains = [
        raw(f"study-lite{k}", "insertion", "signed", "idgi") - raw(f"study-lite{k}", "insertion", "signed", "ig")
        for k in range(3)
    ]
    pairs = np.corrcoef(np.stack(gains))[np.triu_indices(3, 1)]
    found = networks(STORED)
    assert (found["least"], found["most"]) == pytest.approx((pairs.min(), pairs.max()))
    assert found["worth"] == pytest.approx(3 / (1 + 2 * pairs.mean()))


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


def words(stored, claim):
    return {one.verdict(claim) for one in of_claim(stored, claim)}


@pytest.mark.parametrize(
    ("by_sign", "by_magnitude", "interaction"),
    [(0.3, 0.3, {UNRESOLVED, NO_EFFECT}), (0.3, -0.3, {REPRODUCED}), (-0.3, 0.3, {CONTRADICTED})],
)
def test_a_page_finds_the_effect_that_there_is(by_sign, by_magnitude, interaction, tmp_path):
    effects = {"signed": by_sign, "absolute": by_magnitude}
    write(tmp_path, "study-lite0", lambda method, variant: effects[variant] * ("idgi" in method), INSERTIONS)
    stored = Stored(tmp_path / "results")
    for ranking, effect in effects.items():
        assert words(stored, f"claim-insertion-{ranking}") == {REPRODUCED if effect > 0 else CONTRADICTED}
    assert words(stored, "claim-residual") == {CONTRADICTED if by_sign > 0 else REPRODUCED}
    assert words(stored, "claim-ranking") <= interaction
    texts = page.pages(stored, [])
    check(texts)
    value = of_claim(stored, "claim-insertion-absolute")[0].adjusted
    row = f"insertion by magnitude | {N} | {'+' if by_magnitude > 0 else ''}{value} | 0.0001 |"
    assert row in texts["evidence/insertion.md"]
    assert "**Not run.**" in texts["evidence/claims.md"]
    assert "Lite1: not run" in texts["evidence/claims.md"]


def test_without_results_the_pages_say_so_and_nothing_else(tmp_path):
    targets = page.write(Stored(tmp_path / "nothing"), tmp_path / "docs")
    texts = {str(target.relative_to(tmp_path / "docs")): target.read_text() for target in targets}
    assert texts["evidence/claims.md"].count("**Not run.**") == len(page.claims())
    assert "all 0 comparisons" in texts["evidence.md"]
    assert not list((tmp_path / "docs" / "images").iterdir())
    check(texts)


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


def test_a_difference_is_over_the_images_that_both_have(tmp_path):
    write(tmp_path, "study-lite0", lambda method, variant: 0.1 * ("idgi" in method), INSERTIONS, lost=(3, 17))
    stored = Stored(tmp_path / "results")
    one, other = (Column("study-lite0", method, "insertion", "signed") for method in ("idgi", "ig"))
    by_image = [dict(zip(s.images, s.values, strict=True)) for s in map(stored.sample, (one, other))]
    assert [len(values) for values in by_image] == [N - 2, N]
    differences = np.array([by_image[0][image] - by_image[1][image] for image in sorted(by_image[0])])
    found, expected = stored.difference(one, other), over_images(differences)
    assert (found.value, found.n) == (pytest.approx(differences.mean()), N - 2)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert stored.difference(one, Column("study-lite1", "ig", "insertion", "signed")) is None
    (of,) = [of for of in PRIMARIES if (of.pair, of.measure) == ("IG + IDGI minus IG", "insertion by sign")]
    assert decided(stored)[of].estimate.value == pytest.approx(differences.mean())


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


def test_numbers_per_image_are_summed_up_with_intervals():
    rng = np.random.default_rng(1)
    values, weights = rng.random(40), 1 + rng.random(40)
    found, ratio = over_images([*values, np.nan], "median"), share(values, weights)
    assert (found.value, found.n) == (np.median(values), 40)
    assert found.low < found.value < found.high
    assert ratio.value == pytest.approx(values.sum() / weights.sum())
    assert ratio.low < ratio.value < ratio.high


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


def check(texts):
    """Pages' tables have as many cells in every row, and their links and documents lead somewhere."""
    targets = {name for text in texts.values() for name in re.findall(r"^\((.*?)\)=$", text, flags=re.MULTILINE)}
    for file, text in texts.items():
        for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block
        assert set(re.findall(r"\]\(#(.*?)\)", text)) <= targets
        for name in re.findall(r"\]\(([^#)]*?\.md)\)", text) + re.findall(r"\{doc\}`(.*?)`", text):
            target = (Path("/") / Path(file).parent / name).resolve().relative_to("/").with_suffix(".md")
            assert str(target) in texts or (ROOT / "docs" / target).is_file(), name
        assert not re.search(r"\bNone\b(?! of)", text)
        assert "nan" not in text.lower().split()


def test_the_committed_pages_are_made_from_the_committed_results():
    files = (ROOT / "docs" / "images").glob("evidence-*.*g")
    drawn = [file.stem.removeprefix("evidence-") for file in files]
    texts = page.pages(STORED, drawn)
    assert sorted(drawn) == sorted(page.FIGURES)
    draw = page.FIGURES["question-rounding"]
    assert page.png(draw(STORED), page.DPI) == page.png(draw(STORED), page.DPI)
    used = set()
    for name, text in texts.items():
        assert (ROOT / "docs" / name).read_text() == text, f"{name}: run make evidence"
        used |= set(re.findall(r"images/evidence-(.*?)\.png", text))
    assert used == set(page.FIGURES)
    assert {f"evidence/{file.name}" for file in (ROOT / "docs" / "evidence").iterdir()} | {"evidence.md"} == set(texts)
    assert all((ROOT / "docs" / "images" / f"evidence-{name}.png").stat().st_size > 5000 for name in used)
    check(texts)


def test_a_question_fits_on_two_screens_and_the_first_page_concludes_in_five_sentences():
    texts = {name: (ROOT / "docs" / name).read_text() for name in ("evidence.md", "evidence/degradation.md")}
    first, _, rest = texts["evidence.md"].partition("## The questions")
    assert "conceptual replication on small networks" in " ".join(first.split())
    assert len(re.findall(r"^1\. \*\*", first, flags=re.MULTILINE)) == 5
    assert "| [Does IDGI" in rest
    for group in page.GROUPS:
        assert len((ROOT / "docs" / "evidence" / f"{group.name}.md").read_text().splitlines()) <= 50


@pytest.mark.parametrize(
    ("own", "chance", "lead", "verb"),
    [
        (0.2, 0.0, "**Ranked by sign, IG's pixels say something.**", "better than"),
        (0.0, 0.2, "**Do not rank IG's pixels by sign.**", "worse than"),
        (0.0, 0.0, "**Do not rank IG's pixels by sign.**", "indistinguishable from"),
    ],
)
def test_the_first_page_takes_its_verbs_from_the_numbers(own, chance, lead, verb, tmp_path):
    def effect(method, variant):
        return {"random": chance, "ig": own}.get(method, own)

    write(tmp_path, "study-lite0", effect, INSERTIONS, ("ig", "idgi", "random"))
    text = page.pages(Stored(tmp_path / "results"), [])["evidence.md"]
    assert f"{lead} In insertion, IG is then {verb} a random order" in text.replace("about equal to", verb)
    assert "**By magnitude, IDGI helps too.**" not in text
    assert "Guided IG where" not in text  # nothing of what was not run


def test_every_cell_of_the_heat_map_is_of_the_stored_rows():
    questions = table_of_methods(STORED)
    rows, grid = (pd.read_csv(ROOT / "studies" / "results" / f"{name}.csv") for name in ("all_methods", "localization"))
    expected = {
        one.title[:-2]: of.groupby("method")[column].agg(statistic).dropna()
        for one, of, column, statistic in (
            (questions[0], rows, "insertion signed", "mean"),
            (questions[1], rows, "insertion absolute", "mean"),
            (questions[2], rows, "deletion absolute", "mean"),
            (questions[3], grid[grid["part"] == "mosaics"], "value", "mean"),
            (questions[4], rows, "completeness relative", "median"),
        )
    }
    for one in questions[:5]:
        of = expected[one.title[:-2]].drop("chance", errors="ignore")
        assert {method: value.value for method, value in one.values.items()} == pytest.approx(of.to_dict())
    html = heat_map(questions)
    for one in questions:
        shades = one.shades()
        best = max(one.values, key=lambda method: one.better * one.values[method].value)
        assert shades[best] == max(shades.values())
        assert all(f'title="{one.cell(method)}">{one.short(method)}<' in html for method in one.values)
    assert html.count("<tr>") == 1 + len({method for one in questions for method in one.values})


@pytest.mark.parametrize("group", page.GROUPS, ids=lambda group: group.name)
def test_every_question_has_a_positive_and_a_null_control(group):
    text = (ROOT / "docs" / "evidence" / f"{group.name}.md").read_text()
    of_role = {role: [one for one in CONTROLS[group.name] if one.role == role] for role in (POSITIVE, NULL)}
    for role, some in of_role.items():
        assert some
        assert text.count(f"| {role} |") == len(some)
    for one in CONTROLS[group.name]:
        values = one.values(STORED).dropna()
        if " minus Random" in one.pair or "to a shuffled" in one.pair:
            is_apart = p_value(values.to_numpy()) < 1e-4
            assert is_apart == (one.role == POSITIVE), one.pair
