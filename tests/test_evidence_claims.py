"""Each claim's verdict on numbers whose answer is known."""

import csv
import json

import numpy as np
import pytest

from captum_ext.evaluation.store import ResultRow, Results
from evidence import page
from evidence.claims import degradation, guided, invariance, paths, randomization, stepped, toy, truncated
from evidence.condense import condense
from evidence.stored import Stored

N = 24


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def verdict(results, name):
    (claim,) = [claim for claim in page.claims() if claim.name == name]
    stored = Stored(results)
    found = claim.verdict(stored)
    text = page.claim_text(claim, stored, list(page.FIGURES))
    assert found.word in text.replace("Not run", "not run")
    return found.word


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
    ("own", "ig", "others", "steepest", "parents"),
    [
        (-0.5, 0.0, 0.0, "holds", "holds"),
        (0.5, 0.0, 0.0, "does not hold", "does not hold"),
        (0.0, 0.5, -0.5, "does not hold", "does not hold"),
        (0.0, 0.5, 0.0, "undecided", "undecided"),
    ],
)
def test_pgig_against_the_others(own, ig, others, steepest, parents, results):
    def value(method, *_):
        return {"pgig": own, "ig": ig}.get(method, others)

    run(results, "degradation-vgg16", value, degradation.ELEVEN, [("degradation", "paper"), ("degradation", "code")])
    assert verdict(results, "claim-steepest") == steepest
    assert verdict(results, "claim-parents") == parents


def test_the_papers_order_of_methods(results):
    places = {method: -0.1 * k for k, tier in enumerate(degradation.TIERS) for method in tier}
    scores = [("degradation", protocol) for protocol in degradation.PROTOCOLS]
    run(results, "degradation-mnist", lambda method, *_: places[method], degradation.ELEVEN, scores)
    for name in ("claim-order", "claim-random", "claim-steepest"):
        assert verdict(results, name) == "holds"
    run(results, "degradation-mnist-back", lambda method, *_: -places[method], degradation.ELEVEN, scores)
    for kind in ("parquet", "settings.json"):
        (results / f"degradation-mnist-back.{kind}").replace(results / f"degradation-mnist.{kind}")
    for name in ("claim-order", "claim-random", "claim-steepest"):
        assert verdict(results, name) == "does not hold"


def test_one_method_that_is_worse_than_chance_refutes_that_chance_is_worst(results):
    def value(method, *_):
        return {"random": 0.0, "gradient": 0.5, "gradient-x-input": 0.0}.get(method, -0.5)

    run(results, "degradation-vgg16", value, degradation.ELEVEN, [("degradation", "paper")])
    assert verdict(results, "claim-random") == "does not hold"
    run(results, "degradation-mnist", value, ("pgig", "vargrad", "random"), [("degradation", "paper")])
    assert verdict(results, "claim-random") == "holds only under model MNIST net"


STABILITY = [("stability", kind) for kind in ("signed", "absolute", "rank")]
SENSITIVITY = [("class-sensitivity", kind) for kind in ("signed", "absolute")]


def test_stability_by_the_signed_sum_only(results):
    def value(method, score, variant, _):
        # Smaller errors are more stable, but a larger rank correlation is.
        return {"signed": -0.5, "absolute": 0.5, "rank": -0.5}[variant] * ("idgi" in method) + 0.6

    run(results, "stability-lite0", value, ("ig", "idgi", "guided-ig"), STABILITY)
    assert verdict(results, "claim-stability") == "holds only under normalisation signed"
    assert verdict(results, "claim-guided-jpeg") == "undecided"


def test_a_map_of_the_other_sign_is_the_same_picture(results):
    def value(method, score, variant, _):
        if variant == "signed":  # IG's is further from 0, below it
            return -1.6 if method == "idgi" else -3.0
        return -0.5 if method == "idgi" else -0.8

    run(results, "stability-lite0", value, ("ig", "idgi"), SENSITIVITY)
    assert verdict(results, "claim-class") == "holds only under ranking signed"


def test_guided_ig_is_the_least_stable(results):
    def value(method, score, variant, _):  # a mean squared error, but of ranks a correlation
        worse = -0.5 if variant == "rank" else 0.5
        return 1.0 + worse * (method == "guided-ig")

    run(results, "stability-lite0", value, ("ig", "guided-ig", "blur-ig"), STABILITY)
    assert verdict(results, "claim-guided-jpeg") == "holds"


STEPPED = ("ig", "idgi", "blur-ig", "blur-ig+idgi")


@pytest.mark.parametrize(("slope", "word"), [(0.3, "holds"), (-0.3, "does not hold")])
def test_which_method_changes_more_with_the_steps(slope, word, results):
    def value(method, score, variant, count):
        moves = ("idgi" in method) == (slope > 0)
        return abs(slope) * np.log2(count) * moves + 0.5 * (method == "idgi")

    for name, counts in ((stepped.RUN, truncated.COARSE), (stepped.FINEST, stepped.STEPS[-1:])):
        run(results, name, value, STEPPED, list(stepped.SCORES), counts)
    assert verdict(results, "claim-steps") == word
    methods = "IG + IDGI, Blur IG + IDGI" if slope > 0 else "IG, Blur IG"
    found = verdict(results, "claim-more-steps")
    assert found.startswith("holds ")
    assert f"method {methods}" in found
    assert verdict(results, "claim-few-steps").startswith("does not hold")  # as much again comes after 32
    assert verdict(results, "claim-blur-steps") == "holds"


@pytest.mark.parametrize(("whole", "short", "word"), [(0.1, 0.3, "holds"), (0.3, 0.1, "does not hold")])
def test_paths_that_stop_short(whole, short, word, results):
    scores = [score for score in stepped.SCORES if score[0].startswith("insertion")]
    for name, slope in ((stepped.RUN, whole), (truncated.TRUNCATED, short)):
        run(results, name, lambda *of, slope=slope: slope * np.log2(of[3]), ("ig", "idgi"), scores, truncated.COARSE)
    assert verdict(results, "claim-truncated") == word


@pytest.mark.parametrize(("far", "word"), [(0.4, "holds"), (1e-4, "does not hold")])
def test_guided_ig_moves(far, word, results):
    rng = np.random.default_rng(0)
    rows = [
        {"image": k, "method": method, "change": change, "relative_l2": moved, "spearman": 1 - moved}
        for k in range(N)
        for method in guided.METHODS
        for change in guided.CHANGES
        for moved in [far * rng.uniform(0.8, 1.2) if "guided" in method else 0.0]
    ]
    table(results, guided.NAME, rows, model="net", images=N, noise="noise")
    assert verdict(results, "claim-guided") == word


@pytest.mark.parametrize(
    ("image", "output", "word"),
    [(0.8, 0.8, "holds"), (0.2, 0.2, "does not hold"), (0.8, 0.2, "holds only under measure the image's way")],
)
def test_the_last_tenth_of_the_blur_path(image, output, word, results):
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
    table(results, paths.NAME, rows, model="net", images=N, max_sigma=50.0, F="F")
    assert verdict(results, "claim-blur-path") == word
    assert verdict(results, "claim-steady") == "holds"


@pytest.mark.parametrize(("far", "word"), [(0.1, "does not hold"), (1e-15, "holds")])
def test_whether_twins_get_the_same_map(far, word, results):
    rng = np.random.default_rng(0)
    rows = [
        {"image": k, "network": network, "twin": twin, "method": method, "relative_l2": moved, "spearman": 1.0}
        for network, count in (("toy", 1), ("mnist", N))
        for k in range(count)
        for twin in ("rescaled", "factorised")
        for method in invariance.METHODS
        for moved in [far * rng.uniform(1, 2) if twin == "factorised" and method != "ig" else 1e-15]
    ]
    table(results, invariance.INVARIANCE, rows, digits=N, dtype="float64")
    assert verdict(results, "claim-invariance") == word


@pytest.mark.parametrize(
    ("kept", "anew", "word"),
    [
        (0.1, 0.1, "holds"),
        (0.9, 0.9, "does not hold"),
        (-0.9, -0.9, "does not hold"),  # a map of the other sign is the same picture
        (0.9, 0.1, "holds only under patterns anew"),
    ],
)
def test_what_is_left_of_pgigs_map(kept, anew, word, results):
    rng = np.random.default_rng(0)
    rows = [
        {"network": network, "method": method, "patterns": kind, "layer": layer, "image": k, **left}
        for network in randomization.NETWORKS
        for method in randomization.METHODS
        for kind in randomization.kinds(method)
        for layer in ("last", "all")
        for k in range(N)
        # Neither state alone says what their mean says.
        for move in [0.45 if layer == "all" else -0.45]
        for value in [{"kept": kept, "anew": anew}.get(kind, 0.5) + 0.01 * rng.normal() + move * (kind != "")]
        for left in [dict.fromkeys(randomization.RANKINGS, value)]
    ]
    table(results, randomization.NAME, rows, digits=N, photographs=N)
    assert verdict(results, "claim-randomization") == word


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
    for method in ("ig", "pa", "pgig"):
        assert verdict(results, f"claim-toy-{method}") == "holds"
    for row in rows:
        row["ig:distractor"] = 0.0
        row["patternattribution:rectified:signal"] = min(row["z"], 1)
        row["pgig:preactivation:distractor"] = row["z"]
    table(results, toy.NAME, rows, rule="riemann_right")
    assert verdict(results, "claim-toy-ig") == "holds only under test plateau"
    assert "distractor" in verdict(results, "claim-toy-pa")
    assert "rectified" in verdict(results, "claim-toy-pgig")
