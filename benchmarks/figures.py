"""The figures that follow from what was measured, and those that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.contenders import BARE, FOLDED

Results = dict[str, dict[str, Any]]
Entry = dict[str, Any]


class Figure(NamedTuple):
    """The median over the rounds, and the lowest and highest of them."""

    median: float
    low: float
    high: float
    rounds: int


class Wanted(NamedTuple):
    what: str
    figure: Figure
    limit: float
    at_least: bool  # or at most
    style: str  # how to write it

    @property
    def reached(self) -> bool:
        return self.figure.median >= self.limit if self.at_least else self.figure.median <= self.limit


def read(folder: Path) -> Results:
    """The parts that are in a folder of results, by name; other benchmarks may keep theirs there as well."""
    parts = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return {part["part"]: part for part in parts if "part" in part}


def entries(results: Results, part: str, **about: Any) -> list[Entry]:
    """What a part measured, of those that have all these properties."""
    measured = results[part]["measured"] if part in results else []
    return [entry for entry in measured if all(entry.get(key) == value for key, value in about.items())]


def summary(values: list[float]) -> Figure:
    return Figure(median(values), min(values), max(values), len(values))


def a_point(entry: Entry, name: str) -> list[float]:
    """Milliseconds an image and step, a round each; the entries of patterns and metrics have no points."""
    points = entry.get("points", {}).get(name, 1)
    return [1000 * seconds / points for seconds in entry["seconds"][name]]


def ratio(entry: Entry, above: str, below: str) -> Figure:
    """How many times as long as another one takes, within each round."""
    return summary([a / b for a, b in zip(a_point(entry, above), a_point(entry, below), strict=True)])


def overhead(entry: Entry, name: str) -> Figure:
    """What a method takes on top of its own gradients, as a share of these."""
    pairs = zip(entry["seconds"][name], entry["inside gradients"][name], strict=True)
    return summary([seconds / inside - 1 for seconds, inside in pairs])


def _one_walk(entry: Entry) -> Figure:
    together, apart, idgi = (a_point(entry, name) for name in ("IG and IDGI, one walk", "IG, trapezoid", "IDGI"))
    return summary([t / (a + i) for t, a, i in zip(together, apart, idgi, strict=True)])


def wanted(results: Results) -> list[Wanted]:
    """Every figure of time and memory that was asked for, as far as its part was measured."""
    rows = []

    def add(part: str, what: str, figure: Callable[[Entry], Figure], limit: float, style: str, **about: Any) -> None:
        for entry in entries(results, part, **about):
            where = what.format(**entry)
            rows.append(Wanted(where, figure(entry), limit, style == "faster", style))

    room, few = "IG, as many as Captum has room for", "IG, few photographs"
    against = "IG, {images} photographs x {steps} steps: faster than Captum's"
    for comparison in (room, few):
        add("centre", against, lambda e: ratio(e, "Captum IG", "IG"), 4.0, "faster", comparison=comparison)
        if all(FOLDED in entry["seconds"] for entry in entries(results, "centre", comparison=comparison)):
            folded = f"{against}, explaining fold_batch_norm's copy"
            add("centre", folded, lambda e: ratio(e, "Captum IG", FOLDED), 4.0, "faster", comparison=comparison)
    rows += _memory(results)
    against = "IG, {images} photographs x {steps} steps: time over the bare loop's, contiguous inputs"
    add("centre", against, lambda e: ratio(e, "IG", BARE), 0.85, "ratio", comparison=room)
    for name, faster, own in (("Guided IG", 1.8, 0.15), ("Blur IG", 2.0, 0.05)):
        what = f"{name}, {{images}} photographs x {{steps}} steps: "
        add("paths", what + "faster than PAIR's", _ratio_of(f"PAIR {name}", name), faster, "faster", comparison=name)
        add("paths", what + "own time over its gradients'", _overhead_of(name), own, "share", comparison=name)
    guarded = "{network}, {images} rows: guard of the buffers over the model's passes"
    add("guard", guarded, _overhead_of("guarded"), 0.01, "share", comparison="guard")
    add("centre", "IG and IDGI on one path: time over that of two runs", _one_walk, 0.55, "ratio", comparison="IDGI")
    return rows


def _ratio_of(above: str, below: str) -> Callable[[Entry], Figure]:
    return lambda entry: ratio(entry, above, below)


def _overhead_of(name: str) -> Callable[[Entry], Figure]:
    return lambda entry: overhead(entry, name)


def _memory(results: Results) -> list[Wanted]:
    rows = []
    for captum in entries(results, "memory", contender="Captum IG"):
        images, steps = captum["images"], captum["steps"]
        if steps == results["memory"]["settings"]["short"] // 2:  # there to show how memory grows
            continue
        for own in entries(results, "memory", contender="IG", images=images, steps=steps):
            share = summary([own["megabytes"] / captum["megabytes"]])
            what = f"IG, {images} photographs x {steps} steps: peak memory over Captum's"
            rows.append(Wanted(what, share, 0.2, False, "ratio"))
    return rows
