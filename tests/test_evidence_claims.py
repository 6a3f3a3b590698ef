"""Each claim's verdicts on numbers whose answer is known."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from captum_ext.evaluation.store import ResultRow, Results
from evidence import page
from evidence.claims import degradation, guided, invariance, paths, randomization, stability, steps, toy
from evidence.condense import condense
from evidence.decisions import CONTRADICTED, NO_EFFECT, REPRODUCED, UNRESOLVED, of_claim
from evidence.stored import Column, Stored

N = 24


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def verdicts(results, name):
    """By pair of methods."""
    (claim,) = [claim for claim in page.claims() if claim.name == name]
    stored = Stored(results)
    found = {one.primary.pair: one.verdict(name) for one in of_claim(stored, name)}
    text = page.claim_text(claim, stored)
    assert all(f"**{word}**" in text for word in found.values())
    assert ("**Not run.**" in text) == (not any(stored.frame(run) is not None for run in claim.runs))
    return found


def words(results, name):
    """All verdicts of a claim."""
    return set(verdicts(results, name).values())


def run(results, name, value, methods, scores, counts=(8,), model="net"):
    """A run in which an image's value is its own level plus ``value(method, score, variant, steps)``."""
    folder = results.parent / "runs" / f"{len(methods)}" / name
    store, rng = Results(folder), np.random.default_rng(0)
    more = {"n_patches": 2, "patch_size": 9, "baseline": "gray"}
    store.create({"models": [model], "methods": list(methods), "steps": list(counts), "images": N, **more})
    rows = []
    for k, level in enumerate(rng.random(N)):
        rows.append(ResultRow(f"{k}.png", "", 0, "image", "explained", 0.9))
        for method in methods:
            for score, variant in scores:
                for count in counts:
                    area = 1 + level + value(method, score, variant, count) + 0.01 * rng.normal()
                    curve = [1.0, area, 0.0] if score in ("degradation", "sic", "aic", "insertion") else None
                    rows.append(ResultRow(f"{k}.png", method, count, score, variant, area, curve))
    store.write(model, 0, rows)
    condense(folder, results)


def table(results, name, rows, **settings):
    """An experiment's CSV and settings."""
    results.mkdir(parents=True, exist_ok=True)
    with (results / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (results / f"{name}.settings.json").write_text(json.dumps({"steps": 8, "baseline": "gray", **settings}))


PATTERNED = ("pgig", "patternattribution")


@pytest.mark.parametrize(
    ("own", "ig", "others", "to_ig", "to_others"),
    [
        (-0.5, 0.0, 0.0, {REPRODUCED}, {REPRODUCED}),
        (0.5, 0.0, 0.0, {CONTRADICTED}, {CONTRADICTED}),
        (0.0, 0.5, -0.5, {REPRODUCED}, {CONTRADICTED}),
        (0.0, 0.5, 0.0, {REPRODUCED}, {UNRESOLVED, NO_EFFECT}),
    ],
)
def test_pgig_against_the_others(own, ig, others, to_ig, to_others, results):
    def value(method, *_):
        return {"pgig": own, "ig": ig}.get(method, others)

    run(results, "degradation-vgg16", value, degradation.ELEVEN, [("degradation", "paper"), ("degradation", "code")])
    steepest, parents = (verdicts(results, f"claim-{name}") for name in ("steepest", "parents"))
    assert {steepest.pop("PGIG minus IG")} == {parents.pop("PGIG minus IG")} == to_ig
    assert set(steepest.values()) <= to_others
    assert set(parents.values()) <= to_others
    assert (len(steepest), len(parents)) == (9, 1)


@pytest.mark.parametrize(("sign", "word"), [(1, REPRODUCED), (-1, CONTRADICTED)])
def test_the_papers_order_of_methods(sign, word, results):
    places = {method: -0.1 * k * sign for k, tier in enumerate(degradation.TIERS) for method in tier}
    scores = [("degradation", protocol) for protocol in degradation.PROTOCOLS]
    run(results, "degradation-lite0", lambda method, *_: places[method], degradation.ELEVEN, scores)
    for name in ("claim-order", "claim-random", "claim-steepest"):
        assert words(results, name) == {word}


def test_digits_have_numbers_and_no_verdict(results):
    run(results, "degradation-mnist", lambda *_: 0.0, degradation.ELEVEN, [("degradation", "paper")])
    assert verdicts(results, "claim-steepest") == {}
    (claim,) = [claim for claim in page.claims() if claim.name == "claim-steepest"]
    assert "| MNIST net |" in page.claim_text(claim, Stored(results))


STABILITY = [("stability", kind) for kind in ("signed", "absolute", "rank")]
SENSITIVITY = [("class-sensitivity", kind) for kind in ("signed", "absolute")]


def test_stability_by_each_normalization(results):
    def value(method, score, variant, _):
        # Smaller errors are more stable, but a larger rank correlation is.
        return {"signed": -0.5, "absolute": 0.5, "rank": -0.5}[variant] * ("idgi" in method) + 0.6

    run(results, "stability-lite0", value, ("ig", "idgi", "guided-ig"), STABILITY)
    for kind, word in (("signed", REPRODUCED), ("absolute", CONTRADICTED), ("rank", CONTRADICTED)):
        assert verdicts(results, f"claim-stability-{kind}") == {"IG + IDGI minus IG": word}
        assert kind == "absolute" or words(results, f"claim-guided-jpeg-{kind}") <= {UNRESOLVED, NO_EFFECT}


def test_one_image_does_not_decide_the_stability(results):
    """Guided IG's error is half of IG's in every image but one, which has more than all others together."""

    def value(method, score, variant, _):
        return -0.8 if method == "guided-ig" else 0.0

    run(results, "stability-lite0", value, ("ig", "guided-ig"), STABILITY)
    frame = pd.read_parquet(results / "stability-lite0.parquet")
    is_one = (frame["image"] == "3.png") & (frame["method"] == "guided-ig") & (frame["score"] == "stability")
    frame.loc[is_one, "value"] = 100.0
    frame.to_parquet(results / "stability-lite0.parquet")
    stored = Stored(results)
    means = [stored.value(Column("stability-lite0", m, "stability", "signed")).value for m in ("guided-ig", "ig")]
    assert means[0] < means[1]  # of the mean error, Guided IG is the less stable
    (one,) = of_claim(stored, "claim-guided-jpeg-signed")
    assert one.estimate.value > 0.2
    assert stability.largest_share(stored, "guided-ig", "signed") > 0.7


def test_a_map_of_the_other_sign_is_the_same_picture(results):
    def value(method, score, variant, _):
        if variant == "absolute":  # IG's is further from 0, below it
            return -1.6 if method == "idgi" else -3.0
        return -0.5 if method == "idgi" else -0.8

    run(results, "stability-lite0", value, ("ig", "idgi"), SENSITIVITY)
    assert words(results, "claim-class") == {REPRODUCED}


def test_guided_ig_is_the_least_stable(results):
    def value(method, score, variant, _):  # a mean squared error, but of ranks a correlation
        worse = -0.5 if variant == "rank" else 2.0
        return 1.0 + worse * (method == "guided-ig")

    run(results, "stability-lite0", value, ("ig", "guided-ig", "blur-ig"), STABILITY)
    for kind in ("signed", "rank"):
        assert words(results, f"claim-guided-jpeg-{kind}") == {REPRODUCED}


STEPPED = ("ig", "idgi", "blur-ig", "blur-ig+idgi")


@pytest.mark.parametrize(("slope", "word"), [(0.3, REPRODUCED), (-0.3, CONTRADICTED)])
def test_which_method_gains_more_from_steps(slope, word, results):
    def value(method, score, variant, count):
        moves = ("idgi" in method) == (slope > 0)
        return abs(slope) * np.log2(count) * moves + 0.5 * (method == "idgi")

    for name, counts in ((steps.RUN, steps.STEPS[:-1]), (steps.FINEST, steps.STEPS[-1:])):
        run(results, name, value, STEPPED, list(steps.SCORES), counts)
    assert words(results, "claim-steps") == {word}
    moving = {"IG + IDGI", "Blur IG + IDGI"} if slope > 0 else {"IG", "Blur IG"}
    gains, late = (verdicts(results, f"claim-{name}-steps") for name in ("more", "few"))
    for pair, of in gains.items():
        assert of == REPRODUCED if pair in moving else of in {UNRESOLVED, NO_EFFECT}
        assert (late[pair] == CONTRADICTED) == (pair in moving)  # as much again comes after 32
    assert words(results, "claim-blur-steps") == {REPRODUCED}
    (row,) = [
        row
        for row in steps.equal_cost(Stored(results))[0].to_numpy().tolist()
        if row[:2] == ["IG", "129 for IDGI, 128 for IG"]
    ]
    assert float(row[3].split(" ")[0]) == pytest.approx(0.5 + (2.1 if slope > 0 else -2.1), abs=0.02)


@pytest.mark.parametrize(("whole", "short", "word"), [(0.1, 0.3, REPRODUCED), (0.3, 0.1, CONTRADICTED)])
def test_paths_that_stop_short(whole, short, word, results):
    scores = [score for score in steps.SCORES if score[0].startswith("insertion")]
    for name, slope in ((steps.RUN, whole), (steps.TRUNCATED, short)):
        run(results, name, lambda *of, slope=slope: slope * np.log2(of[3]), ("ig", "idgi"), scores, steps.STEPS[:-1])
    assert words(results, "claim-truncated") == {word}


@pytest.mark.parametrize(("far", "word"), [(0.4, REPRODUCED), (1e-7, CONTRADICTED)])
def test_guided_ig_moves(far, word, results):
    rng = np.random.default_rng(0)
    rows = [
        {"image": k, "method": method, "change": change, "relative_l2": moved, "spearman": 1 - moved}
        for k in range(N)
        for method in guided.METHODS
        for change in guided.CHANGES
        for moved in [(far if "guided" in method else 1e-4) * rng.uniform(0.8, 1.2)]
    ]
    table(results, guided.NAME, rows, model="net", images=N, noise="noise")
    assert words(results, "claim-guided") == {word}


@pytest.mark.parametrize(("image", "output"), [(0.8, 0.8), (0.2, 0.2), (0.8, 0.2)])
def test_the_last_tenth_of_the_blur_path(image, output, results):
    rng = np.random.default_rng(0)
    rows = []
    for k in range(N):
        for path in paths.PATHS:
            own = rng.uniform(0.9, 1.1)
            lasts = {"image_share": own * image, "variation_share": own * output, "change_share": own * output}
            lasts = dict.fromkeys(lasts, 0.1) if path == "straight" else lasts
            for tenth in range(1, 11):
                shares = {name: last if tenth == 10 else (1 - last) / 9 for name, last in lasts.items()}
                rows.append({"image": k, "path": path, "tenth": tenth, **shares})
    table(results, paths.NAME, rows, model="net", images=N, max_sigma=50.0, explained="F")
    for name, share in (("path", image), ("output", output)):
        assert words(results, f"claim-blur-{name}") == {REPRODUCED if share > 0.5 else CONTRADICTED}
    assert words(results, "claim-steady") == {REPRODUCED}


@pytest.mark.parametrize(("far", "word"), [(0.1, CONTRADICTED), (1e-15, REPRODUCED)])
def test_whether_twins_get_the_same_map(far, word, results):
    rng = np.random.default_rng(0)
    rows = [
        {"image": k, "network": network, "twin": twin, "method": method, "relative_l2": moved, "spearman": 1.0}
        for network, count in (("toy", 1), ("mnist", N))
        for k in range(count)
        for twin in ("rescaled", "factorised")
        for method in ("ig", "patternnet", "patternattribution", "pgig")
        for moved in [far * rng.uniform(1, 2) if twin == "factorised" and method != "ig" else 1e-15]
    ]
    table(results, invariance.INVARIANCE, rows, digits=N, dtype="float64")
    assert words(results, "claim-invariance") == {word}


@pytest.mark.parametrize(
    ("kept", "anew", "word"),
    [
        (0.9, 0.1, REPRODUCED),  # judged with patterns fitted again
        (0.1, 0.9, CONTRADICTED),
        (0.1, -0.9, CONTRADICTED),  # a map of the other sign is the same picture
    ],
)
def test_what_is_left_of_pgigs_map(kept, anew, word, results):
    rng = np.random.default_rng(0)
    rows = [
        {"network": network, "method": method, "patterns": kind, "layer": layer, "image": k, **left}
        for network in randomization.NETWORKS
        for method in randomization.METHODS
        for kind in randomization.kinds(method)
        for layer in ("last layer", "all layers")
        for k in range(N)
        # Neither state alone says what their mean says.
        for move in [0.05 if layer == "all layers" else -0.05]
        for value in [{"kept": kept, "anew": anew}.get(kind, 0.5) + 0.01 * rng.normal() + move * (kind != "")]
        for left in [dict.fromkeys(randomization.RANKINGS, value)]
    ]
    table(results, randomization.NAME, rows, digits=N, photographs=N)
    assert words(results, "claim-randomization") == {word}


def test_the_stress_tests(results):
    names = ["ig", *(f"{method}:{kind}" for method in PATTERNED for kind in toy.CONVENTIONS)]
    rows = []
    for z in np.arange(-2, 2, 0.02):
        row = {"z": z}
        for name in names:
            row[f"{name}:signal"] = 0.0 if name.startswith("patternattribution") and z > 1 else min(z, 1)
            row[f"{name}:distractor"] = 0.4 * np.sin(50 * z) if name == "ig" else 0.001
        rows.append(row)
    table(results, toy.NAME, rows, rule="riemann_right")
    stored = Stored(results)
    assert [toy.agrees(method, stored) for method in toy.METHODS] == [[True] * 2, [True] * 4, [True] * 4]
    assert all(verdicts(results, f"claim-toy-{name}") == {} for name in ("ig", "pa", "pgig"))  # no sample of others
    for row in rows:
        row["ig:distractor"] = 0.0
        row["patternattribution:rectified:signal"] = min(row["z"], 1)
        row["pgig:preactivation:distractor"] = row["z"]
    table(results, toy.NAME, rows, rule="riemann_right")
    stored = Stored(results)
    assert toy.agrees("ig", stored) == [False, True]
    assert toy.agrees("patternattribution", stored) == [True, True, True, False]
    assert toy.agrees("pgig", stored) == [False, True, True, True]
