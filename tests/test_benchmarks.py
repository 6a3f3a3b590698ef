"""The benchmark runs, and its page says what was measured. No test asserts a time."""

import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import __main__ as benchmark
from benchmarks import fewer, guard, page, timing
from benchmarks.common import QUICK, interleaved, others_seconds
from benchmarks.contenders import CONTENDERS, scene_of
from benchmarks.figures import read, wanted

ROOT = Path(__file__).parent.parent
TINY = QUICK._replace(
    images=2, steps=3, short=2, few=1, seconds=0, axis_seconds=0, batches=(1, 2), step_counts=(2, 3), sides=(12, 16)
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
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, 60, QUICK._replace(most=3))
    assert "".join(order) == "abbaab"
    assert [len(values) for values in times.values()] == [3, 3]
    assert [len(values) for values in interleaved({"a": lambda: None}, 0, QUICK).values()] == [1]


def measured(comparison, images, steps, seconds, inside=None, **about):
    points = dict.fromkeys(seconds, images * steps)
    found = {"comparison": comparison, "images": images, "steps": steps, "points": points, "seconds": seconds}
    return {**found, "inside gradients": inside or {}, **about}


PARTS = {
    "centre": [
        measured(
            "IG, as many as Captum has room for",
            8,
            12,
            {"Captum IG": [40.0, 55.0, 42.0], "IG": [10.0, 11.0, 8.0], "bare loop": [16.0, 20.0, 8.0]},
        ),
        measured("IG, few photographs", 2, 50, {"Captum IG": [30.0], "IG": [10.0]}),
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
    "axes": [
        measured("axis", 8, 12, {"IG": [9.6], "bare loop": [4.8], "zennit IG": [4.9]}, axis=axis, value=value)
        for axis, value in (("photographs", 8), ("steps", 12), ("side", 224), ("network", "VGG-11"))
    ],
    "memory": [
        {"contender": "Captum IG", "images": 8, "steps": 12, "megabytes": 7000},
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
    monkeypatch.setattr(benchmark, "PARTS", {name: lambda size, found=found: found for name, found in PARTS.items()})
    for name in PARTS:
        benchmark.run(name, TINY, tmp_path / "results")
    (tmp_path / "results" / "another.json").write_text("{}")
    return tmp_path / "results"


def test_the_wanted_figures_are_those_of_the_results(folder):
    found = {row.what: (round(row.figure.median, 4), row.reached) for row in wanted(read(folder))}
    assert found == {
        "IG, 8 photographs x 12 steps: faster than Captum's": (5.0, True),
        "IG, 2 photographs x 50 steps: faster than Captum's": (3.0, False),
        "IG, 8 photographs x 12 steps: peak memory over Captum's": (0.1, True),
        "IG, 8 photographs x 12 steps: time over the bare loop's, contiguous inputs": (0.625, True),
        "Guided IG, 8 photographs x 50 steps: faster than PAIR's": (1.91, True),
        "Guided IG, 8 photographs x 50 steps: own time over its gradients'": (0.25, False),
        "Blur IG, 8 photographs x 50 steps: faster than PAIR's": (round(20 / 10.3, 4), False),
        "Blur IG, 8 photographs x 50 steps: own time over its gradients'": (0.03, True),
        "IG and IDGI on one path: time over that of two runs": (0.51, True),
        "ResNet-50, 4 rows: guard of the buffers over the model's passes": (0.0125, False),
    }


def test_the_page_has_the_numbers_of_the_results(folder, tmp_path):
    page.write(read(folder), tmp_path)
    text = (tmp_path / "benchmark.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    cells = {row[0]: row[1:] for row in rows}
    assert cells["IG, 8 photographs x 12 steps: faster than Captum's"] == [
        "**5.00x** (4.00x to 5.25x, 3 rounds)",
        ">= 4.00x",
        "reached",
    ]
    assert cells["IG, 2 photographs x 50 steps: faster than Captum's"] == [
        "**3.00x** (1 round)",
        ">= 4.00x",
        "not reached",
    ]
    assert cells["PAIR Blur IG"] == ["400", "1.94 (1 round)", "50", "20.0"]
    assert cells["**Guided IG** (own time 25.0% of its gradients')"] == ["400", "1", "25", "40.0"]
    assert cells["photographs"] == ["8", "0.50 (1 round)", "0.51 (1 round)", "does not fit", "100", "10.0"]
    assert cells["fit over forward, VGG-11, 2 photographs"] == ["3.33 (1 round)", "<= 4"]
    assert cells["ResNet-50, 4 rows"] == ["1.25% (0.5% to 2.0%, 2 rounds)", "<= 1%", "0.90 (0.80 to 1.00, 2 rounds)"]
    assert cells["all metrics, 8 steps"] == ["6.3x (1 round)", ""]
    facts = json.loads((folder / "centre.json").read_text())["machine"]
    assert facts["cpu"] in text
    assert f"torch {facts['versions']['torch']}" in text
    for image in re.findall(r"\]\((images/.*?)\)", text):
        assert (tmp_path / image).stat().st_size > 5000


@pytest.mark.parametrize(("others", "busy"), [(0.1, False), (1.5, True)])
def test_the_page_says_that_the_machine_was_busy(others, busy, folder):
    results = read(folder)
    for part in results.values():
        part["others"] = 0.0
    results["paths"]["others"] = others
    text = page.page(results)
    assert ("**Other work was running** during paths (" in text) == busy
    assert ("otherwise idle" in text) == (not busy)
    assert "Of the short run (`--quick`), of few rounds and fewer steps than asked for: axes, centre" in text


def test_others_seconds_leave_out_those_of_this_process(monkeypatch):
    before = others_seconds()
    own = os.times()
    monkeypatch.setattr(os, "times", lambda: (own[0] + 3, own[1] + 1, own[2] + 5, own[3] + 1, own[4]))
    assert -10.1 < others_seconds() - before < -5  # ten seconds more of its own and its children's


def test_a_part_that_is_missing_is_left_out(folder, tmp_path):
    (folder / "axes.json").unlink()
    page.write(read(folder), tmp_path)
    assert "One thing at a time" not in (tmp_path / "benchmark.md").read_text()


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
    assert fewer.needed(results["straight 0"]["curves"]["trapezoid"], fewer.MAP, 0.02) == 64  # 16 was an accident
    assert fewer.needed(results["straight 0"]["curves"]["right"], fewer.MAP, 0.02) == math.inf
    assert fewer.needed([[64, 0.1, 0.01], [128, 0.1, None]], fewer.MAP, 0.02) == 64
    told = fewer.report(results)
    assert "| IG, within 5%, 2 photographs | gausslegendre | 16 | 10 | 0.62 |  |" in told
    assert "| IG, within 1%, 2 photographs | gausslegendre | 64 | 20 | 0.31 | <= 0.4 |" in told
    assert "| IG, within 2%, 2 photographs | trapezoid | 64 | 20 | 0.31 |  |" in told
    assert "| IDGI, within 10%, 2 photographs | idgi | 16 | 10 | 0.62 | <= 0.2 |" in told
    assert "| Blur IG, within 2%, 2 photographs | right | - (2 of 2 not by then) | 20 | below 0.02 |  |" in told
    assert (
        "| within 2% | trapezoid | 64 | - (2 of 2 not by then) | below 0.06 | <= 0.15 (the best fixed rule) |" in told
    )
    page.write(read(ROOT / "benchmarks" / "results"), tmp_path, results)
    assert (tmp_path / "images" / "benchmark-fewer.png").stat().st_size > 5000
