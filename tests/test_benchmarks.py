"""The benchmark runs, and its page states what was measured. No test asserts a time."""

import json
import math
import os
import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import __main__ as benchmark
from benchmarks import fewer, guard, methods, page, timing
from benchmarks.common import QUICK, interleaved, other_processes_seconds
from benchmarks.contenders import BARE, CAPTUM, CAPTUM_ROWS, CONTENDERS, OPTIMIZED, scene_of, with_optimized_model
from benchmarks.figures import read, summary
from captum_ext.evaluation import METHODS

ROOT = Path(__file__).parent.parent
TINY = QUICK._replace(
    images=2,
    steps=3,
    few_steps=2,
    few_images=1,
    seconds=0,
    method_seconds=0,
    axis_seconds=0,
    batches=(1, 2),
    step_counts=(2, 3),
    sides=(12, 16),
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)).eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_takes_a_gradient_for_each_image_and_step(name, model, images):
    seen = []
    scene = scene_of(model, images, 4)
    hook = model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    try:
        CONTENDERS[name](scene.first(1, 1))  # compares the model's output in two memory layouts, once
        seen.clear()
        CONTENDERS[name](scene)
    finally:
        hook.remove()
    # IDGI and the trapezoid rule take both ends.
    ends = 2 if "IDGI" in name or "trapezoid" in name else 0
    assert sum(seen) == 2 * 4 + ends


@pytest.mark.parametrize("part", [timing.centre, timing.paths, timing.axes])
def test_the_parts_run(part, model, images):
    for entry in part(TINY, model, images):
        assert set(entry["points"]) == set(entry["seconds"])
        for name, spent in entry["inside gradients"].items():
            assert len(spent) == len(entry["seconds"][name]) == 1
            assert 0 < spent[0] < entry["seconds"][name][0]


def test_the_optimized_copy_is_made_before_the_time_is_taken(images, monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(784, 5)).eval()
    scene = scene_of(model, images, 2)
    copy = with_optimized_model(scene).model
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copy.modules())
    torch.testing.assert_close(copy(images), scene.model(images))
    rows = []

    def counted(calls, seconds, size):
        hook = model.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
        try:
            return interleaved(calls, seconds, size)
        finally:
            hook.remove()

    monkeypatch.setattr(timing, "interleaved", counted)
    entry = timing.compare("IG", scene, [OPTIMIZED, CAPTUM_ROWS], TINY, 0, 2)
    assert entry["points"] == {OPTIMIZED: 4, CAPTUM_ROWS: 4}
    assert sum(rows) == 4  # Captum's; the copy has its own


def test_captum_with_8_rows_evaluates_at_most_8(model, images):
    rows = []
    hook = model.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    scene = scene_of(model, images, 6)
    try:
        for name, largest in ((CAPTUM, 12), (CAPTUM_ROWS, 8)):
            rows.clear()
            CONTENDERS[name](scene)
            assert (max(rows), sum(rows)) == (largest, 12)
    finally:
        hook.remove()


# Gradients per map with 4 steps, from the methods' definitions.
GRADIENTS = {
    "ig": 5,
    "idgi": 5,
    "guided-ig+idgi": 5,
    "blur-ig": 5,
    "ig2": 4,
    "eig": 4,
    "smooth-taylor": 4,
    "random": 0,
    "gradient": 1,
    "vargrad": 25,
    "smoothgrad-ig": methods.SMOOTHGRAD_IG_SAMPLES * 25,
    "expected-gradients": 2,
}


def test_gradients_and_rows_per_map_are_counted(model, images):
    size = TINY._replace(method_steps=4)
    measured = {entry["method"]: entry for entry in methods.methods(size, model, images, methods.METHOD_NAMES)}
    assert set(measured) == {name for name, spec in METHODS.items() if not spec.needs_patterns}
    for name, entry in measured.items():
        assert entry["rows per map"] >= entry["gradients per map"]
        assert {kind: len(seconds) for kind, seconds in entry["seconds"].items()} == dict.fromkeys(entry["points"], 1)
        if name in GRADIENTS:
            assert entry["gradients per map"] == GRADIENTS[name], name


def test_rows_of_copies_and_repeated_gradients_are_counted(model, images):
    counts, x = methods.RowCounts(), images.clone().requires_grad_()
    with methods.count_rows(model, counts):
        output = deepcopy(model)(x)
        for k in range(2):
            torch.autograd.grad(output[:, k].sum(), x, retain_graph=True)
        with torch.no_grad():
            model(x[:1])
    model(x)
    assert (counts.forward, counts.gradients) == (3, 4)


def test_the_guard_is_measured_apart_from_the_passes_inside_it(model, images):
    entry = guard.compare("tiny", model, images, TINY)
    assert entry["seconds"].keys() == {"guarded", "bare"}
    assert len(entry["inside gradients"]["guarded"]) == len(entry["seconds"]["guarded"]) == 1


def test_numpy_is_as_before_after_pairs_calls(model, images):
    before = np.quantile, getattr(np, "trapz", None)
    CONTENDERS["PAIR Guided IG"](scene_of(model, images, 2))
    assert (np.quantile, getattr(np, "trapz", None)) == before


def test_rounds_interleave_and_turn_round():
    order = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, 60, QUICK._replace(max_rounds=3))
    assert "".join(order) == "abbaab"
    assert [len(values) for values in times.values()] == [3, 3]
    assert [len(values) for values in interleaved({"a": lambda: None}, 0, QUICK).values()] == [1]


def measured(comparison, images, steps, seconds, inside=None, **properties):
    points = dict.fromkeys(seconds, images * steps)
    entry = {"comparison": comparison, "images": images, "steps": steps, "points": points, "seconds": seconds}
    return {**entry, "inside gradients": inside or {}, **properties}


PARTS = {
    "centre": [
        measured(
            "IG, few steps",
            8,
            12,
            {
                CAPTUM: [40.0, 55.0, 42.0],
                CAPTUM_ROWS: [20.0, 22.0, 20.0],
                "IG": [10.0, 11.0, 8.0],
                OPTIMIZED: [5.0, 5.5, 5.0],
                BARE: [16.0, 20.0, 8.0],
            },
        ),
        measured("IG, few photographs", 2, 50, {"Captum IG": [30.0], "IG": [10.0]}),
        measured("IG", 8, 50, {"IG": [10.0], "PAIR IG": [19.0], "zennit IG": [13.0], BARE: [12.0]}),
        measured(
            "IDGI",
            8,
            12,
            {"IG, trapezoid": [6.0], "IDGI": [4.0], "IG and IDGI, one walk": [5.1], "IDGI's formula": [11.1]},
        ),
    ],
    "paths": [
        measured("Guided IG", 8, 50, {"Guided IG": [10.0], "PAIR Guided IG": [19.1]}, {"Guided IG": [8.0]}),
        measured("Blur IG", 8, 50, {"Blur IG": [10.3], "PAIR Blur IG": [20.0]}, {"Blur IG": [10.0]}),
    ],
    "networks": [
        measured(
            "networks", 2, 8, {CAPTUM: [40.0], CAPTUM_ROWS: [30.0], "IG": [10.0], OPTIMIZED: [8.0]}, network="ViT-B/16"
        )
    ],
    "methods": [
        {
            "method": name,
            "images": 8,
            "steps": 12,
            "references": 12,
            "samples": 2,
            "points": {methods.BATCH: 8, methods.SINGLE: 2, methods.BARE_GRADIENTS: 32},
            "seconds": {methods.BATCH: [2.0, 2.0], methods.SINGLE: [1.0, 1.0], methods.BARE_GRADIENTS: [0.64, 0.64]},
            "gradients per map": gradients,
            "rows per map": gradients + 0.25,
        }
        for name, gradients in (("ig", 12.5), ("random", 0.0))
    ],
    "axes": [
        measured("axis", 8, 12, {"IG": [9.6], "bare loop": [4.8], "zennit IG": [4.9]}, axis=axis, value=value)
        for axis, value in (("photographs", 8), ("steps", 12), ("side", 224), ("network", "VGG-11"))
    ],
    "memory": [
        {"contender": "Captum IG", "images": 8, "steps": 12, "megabytes": 7000},
        {"contender": CAPTUM_ROWS, "images": 8, "steps": 12, "megabytes": 1400},
        {"contender": "IG", "images": 8, "steps": 12, "megabytes": 700},
    ],
    "guard": [
        {
            "comparison": "guard",
            "network": "ResNet-50",
            "images": 4,
            "seconds": {"guarded": [2.01, 4.08], "bare": [2.5, 4.0]},
            "inside gradients": {"guarded": [2.0, 4.0]},
        }
    ],
    "patterns": [
        {"comparison": "attribution", "network": "VGG-11", "images": 2, "seconds": {"IG": [2.0], "PGIG": [2.1]}},
        {"comparison": "fit", "network": "VGG-11", "images": 2, "seconds": {"forward": [1.0], "fit": [3.33]}},
        {"comparison": "memory", "batches": 16, "megabytes": 432},
    ],
    "metrics": [
        {"comparison": "information curves", "images": 1, "seconds": {"ours": [1.0], "PAIR": [7.7]}},
        {"comparison": "all metrics", "images": 1, "steps": 8, "seconds": {"ours": [10.0], "PAIR": [63.0]}},
    ],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        benchmark, "PARTS", {name: lambda size, entries=entries: entries for name, entries in PARTS.items()}
    )
    for name in PARTS:
        benchmark.run(name, TINY, tmp_path / "results")
    (tmp_path / "results" / "another.json").write_text("{}")
    return tmp_path / "results"


def test_the_summary_follows_from_the_results(folder):
    work = "8 photographs x 12 steps"
    rows = {(row.quantity, row.own, row.other): (round(row.ratio.median, 4), row.work) for row in summary(read(folder))}
    long = "8 photographs x 50 steps"
    assert rows == {
        ("time", "IG", CAPTUM): (5.0, work),
        ("time", "IG", CAPTUM_ROWS): (2.0, work),
        ("time", OPTIMIZED, CAPTUM): (8.4, work),
        ("time", OPTIMIZED, CAPTUM_ROWS): (4.0, work),
        ("time", "IG", "PAIR IG"): (1.9, long),
        ("time", "IG", "zennit IG"): (1.3, long),
        ("time", "IG", BARE): (1.2, long),
        ("time", "IDGI", "IDGI's formula"): (2.775, work),
        ("time", "Guided IG", "PAIR Guided IG"): (1.91, long),
        ("time", "Blur IG", "PAIR Blur IG"): (round(20 / 10.3, 4), long),
        ("peak memory", "IG", CAPTUM): (10.0, work),
        ("peak memory", "IG", CAPTUM_ROWS): (2.0, work),
    }


def test_the_page_has_the_numbers_of_the_results(folder, tmp_path):
    page.write(read(folder), tmp_path)
    text = (tmp_path / "benchmark.md").read_text()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    for line in (
        ["time", "8 photographs x 12 steps", "IG", CAPTUM, "**5.00** (4.00 to 5.25, 3 rounds)"],
        ["peak memory", "8 photographs x 12 steps", "IG", CAPTUM, "**10.00** (1 round)"],
        ["8 photographs x 50 steps", "PAIR Blur IG", "400", "1.94 (1 round)", "50", "20.0"],
        ["8 photographs x 50 steps", "**Guided IG** (own time 25.0% of its gradients')", "400", "1", "25", "40.0"],
        ["ViT-B/16", "2 photographs x 8 steps", CAPTUM_ROWS, "3.00 (1 round)", "1875", "0.5"],
        # 250 ms per map in a batch, 500 alone; 12.5 gradients of 20 ms each take 250 ms.
        ["ig", "12.5", "12", "12.75", "250", "500", "1.00", "2.00"],
        ["random", "0", "0", "0.25", "250", "500", "-", "-"],
        ["photographs", "8", "8", "12", "0.50 (1 round)", "0.51 (1 round)", "not run", "100", "10.0"],
        ["time of fit over forward, VGG-11, 2 photographs", "3.33 (1 round)"],
        ["ResNet-50, 4 rows", "1.25% (0.5% to 2.0%, 2 rounds)", "0.90 (0.80 to 1.00, 2 rounds)"],
        ["all metrics, 8 steps", "6.30 (1 round)"],
    ):
        assert line in lines
    assert "IG and IDGI from one walk, 8 photographs x 12 steps: 0.51 (1 round) of the time of two calls." in text
    assert "are\n12 photographs" in text
    assert "8 photographs of 224 x 224 pixels, 2 rounds." in text
    facts = json.loads((folder / "centre.json").read_text())["machine"]
    assert facts["cpu"] in text
    assert f"torch {facts['versions']['torch']}" in text
    for image in re.findall(r"\]\((images/.*?)\)", text):
        assert (tmp_path / image).stat().st_size > 5000


@pytest.mark.parametrize(("others", "busy"), [(0.1, False), (1.5, True)])
def test_the_page_states_whether_the_machine_was_busy(others, busy, folder):
    results = read(folder)
    for part in results.values():
        part["others"] = 0.0
    results["paths"]["others"] = others
    text = page.page(results)
    assert ("**Other processes were running** during paths (" in text) == busy
    assert ("otherwise idle" in text) == (not busy)
    assert "These parts are from a short run (`--quick`) with few rounds and steps: axes, centre" in text


def test_other_processes_seconds_exclude_this_process(monkeypatch):
    before = other_processes_seconds()
    own = os.times()
    monkeypatch.setattr(os, "times", lambda: (own[0] + 3, own[1] + 1, own[2] + 5, own[3] + 1, own[4]))
    assert -10.1 < other_processes_seconds() - before < -5  # ten seconds more of this process and its children


def test_a_part_that_is_missing_is_left_out(folder, tmp_path):
    (folder / "axes.json").unlink()
    page.write(read(folder), tmp_path)
    assert "One setting at a time" not in (tmp_path / "benchmark.md").read_text()


def test_the_committed_page_states_only_what_was_measured():
    text = (ROOT / "docs" / "benchmark.md").read_text()
    assert not re.search(r"wanted|target|reached|asked for|[<>]=", text)


def test_the_committed_page_is_made_from_the_committed_results():
    folder = ROOT / "benchmarks" / "results"
    assert page.page(read(folder), fewer.read(folder)) == (ROOT / "docs" / "benchmark.md").read_text()


def by_photograph(errors):
    """Photographs whose curves are given as {name: {gradients: (completeness, map)}}, the same for both paths."""
    curves = {name: [[count, *pair] for count, pair in rows.items()] for name, rows in errors.items()}
    return {f"{path} {k}": {"change": 1.0, "curves": curves} for path in fewer.PATHS for k in range(2)}


def test_gradients_for_the_same_answer(tmp_path):
    slow = {8: (0.2, 0.5), 16: (0.04, 0.01), 32: (0.06, 0.05), 64: (0.009, 0.015), 128: (0.001, 0.001)}
    fast = {5: (0.3, 0.4), 10: (0.05, 0.03), 20: (0.01, 0.02)}
    never = {8: (1.0, 1.0), 128: (0.5, 0.5)}
    names = ("gausslegendre", "trapezoid", "idgi", "idgi trapezoid")
    results = by_photograph({**dict.fromkeys(names, slow), "right": never, "auto": fast, "auto idgi": fast})
    straight, of_map = results["straight 0"]["curves"], fewer.MAP
    assert fewer.gradients_needed(straight["trapezoid"], of_map, 0.02) == 64  # the small error at 16 was an accident
    assert fewer.gradients_needed(straight["right"], of_map, 0.02) == math.inf
    assert fewer.gradients_needed([[64, 0.1, 0.01], [128, 0.1, None]], of_map, 0.02) == 64
    report = fewer.report(results)
    for line in (
        "| IG, error within 5%, 2 photographs | gausslegendre | 16 | 10 | 0.62 |",
        "| IG, error within 1%, 2 photographs | gausslegendre | 64 | 20 | 0.31 |",
        "| IG, error within 2%, 2 photographs | trapezoid | 64 | 20 | 0.31 |",
        "| IDGI, error within 10%, 2 photographs | idgi | 16 | 10 | 0.62 |",
        "| Blur IG, error within 2%, 2 photographs | right | - (2 of 2 still above) | 20 | below 0.02 |",
    ):
        assert line in report
    page.write(read(ROOT / "benchmarks" / "results"), tmp_path, results)
    assert (tmp_path / "images" / "benchmark-fewer.png").stat().st_size > 5000
