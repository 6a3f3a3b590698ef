"""Ratios of the measured times and sizes, and the summary of the page."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.contenders import BARE, CAPTUM, CAPTUM_ROWS, OPTIMIZED

Results = dict[str, dict[str, Any]]
Entry = dict[str, Any]


class Figure(NamedTuple):
    """The median, the smallest and the largest value of the rounds."""

    median: float
    low: float
    high: float
    rounds: int


class Comparison(NamedTuple):
    """A line of the summary: another contender's time or memory over this library's."""

    quantity: str
    work: str
    own: str
    other: str
    ratio: Figure


def read(folder: Path) -> Results:
    """The parts in a folder of results, by name. Files of other benchmarks are ignored."""
    parts = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return {part["part"]: part for part in parts if "part" in part}


def entries(results: Results, part: str, **properties: Any) -> list[Entry]:
    """The entries of a part that have all these properties."""
    measured = results[part]["measured"] if part in results else []
    return [entry for entry in measured if all(entry.get(key) == value for key, value in properties.items())]


def summarize(values: list[float]) -> Figure:
    return Figure(median(values), min(values), max(values), len(values))


def milliseconds(entry: Entry, name: str) -> list[float]:
    """Milliseconds per point of a contender in each round, or per call if the entry has no numbers of points."""
    points = entry.get("points", {}).get(name, 1)
    return [1000 * seconds / points for seconds in entry["seconds"][name]]


def ratio(entry: Entry, above: str, below: str) -> Figure:
    """The time of a contender over that of another in the same round."""
    return summarize([a / b for a, b in zip(milliseconds(entry, above), milliseconds(entry, below), strict=True)])


def overhead(entry: Entry, name: str) -> Figure:
    """A method's own time as a fraction of the time of its gradients."""
    pairs = zip(entry["seconds"][name], entry["inside gradients"][name], strict=True)
    return summarize([seconds / inside - 1 for seconds, inside in pairs])


def work_of(entry: Entry) -> str:
    return f"{entry['images']} photographs x {entry['steps']} steps"


def summary(results: Results) -> list[Comparison]:
    """The comparisons of the page's first table, from the parts that were measured."""
    rows = []
    with_captum = [entry for entry in entries(results, "centre") if CAPTUM in entry["seconds"]]
    for own in ("IG", OPTIMIZED):
        rows += [
            Comparison("time", work_of(entry), own, other, ratio(entry, other, own))
            for entry in with_captum[:1]
            for other in (CAPTUM, CAPTUM_ROWS)
            if {own, other} <= set(entry["seconds"])
        ]
    for part, own, others in (
        ("centre", "IG", ("PAIR IG", "zennit IG", BARE)),
        ("centre", "IDGI", ("IDGI's formula",)),
        ("paths", "Guided IG", ("PAIR Guided IG",)),
        ("paths", "Blur IG", ("PAIR Blur IG",)),
    ):
        rows += [
            Comparison("time", work_of(entry), own, other, ratio(entry, other, own))
            for entry in entries(results, part, comparison=own)
            for other in others
            if {own, other} <= set(entry["seconds"])
        ]
    return rows + _memory(results)


def _memory(results: Results) -> list[Comparison]:
    megabytes = {(e["contender"], e["images"], e["steps"]): e["megabytes"] for e in entries(results, "memory")}
    shapes = [(e["images"], e["steps"]) for e in entries(results, "memory", contender=CAPTUM)][:1]
    return [
        Comparison(
            "peak memory",
            f"{images} photographs x {steps} steps",
            "IG",
            other,
            summarize([megabytes[other, images, steps] / megabytes["IG", images, steps]]),
        )
        for images, steps in shapes
        for other in (CAPTUM, CAPTUM_ROWS)
        if {(other, images, steps), ("IG", images, steps)} <= set(megabytes)
    ]


def shared_walk(entry: Entry) -> Figure:
    """The time of IG and IDGI from one walk over that of two calls."""
    together, ig, idgi = (milliseconds(entry, name) for name in ("IG and IDGI, one walk", "IG, trapezoid", "IDGI"))
    return summarize([t / (a + b) for t, a, b in zip(together, ig, idgi, strict=True)])
