"""The heat map of methods x metrics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from captum_ext.evaluation.estimates import FEWEST_IMAGES, Estimate, combine, format_number
from captum_ext.evaluation.scores import ScoreTable, ScoreVariant

_WITHOUT_BEST = ("completeness",)  # IDGI's is exact by construction


class HeatCell(NamedTuple):
    """A value.

    Attributes:
        text: The value, or a dash.
        interval: The value with its interval and the number of images.
        level: Its place between the worst value of the score (0) and the best (1); ``None`` if neither is known.
        is_best: Whether it is the best of its score.
        is_close: Whether its difference from the best can be chance, by the paired interval.
    """

    text: str
    interval: str
    level: float | None
    is_best: bool
    is_close: bool


class HeatMap(NamedTuple):
    """Methods down, scores across."""

    scores: list[ScoreVariant]
    rows: list[tuple[str, list[HeatCell]]]


def heat_map(table: ScoreTable, model: str) -> HeatMap:
    """The values of a model with the largest step counts, of scores and methods that it has."""
    values = {
        (method, score): estimate
        for score in table.scores
        for method in table.methods
        if (estimate := table.estimate(model, method, score)) is not None
    }
    scores = [score for score in table.scores if any((method, score) in values for method in table.methods)]
    methods = [method for method in table.methods if any((method, score) in values for score in scores)]
    columns = [
        _heat_column(
            table, model, score, {method: values[method, score] for method in methods if (method, score) in values}
        )
        for score in scores
    ]
    empty = HeatCell("-", "not measured", None, False, False)
    return HeatMap(scores, [(method, [column.get(method, empty) for column in columns]) for method in methods])


def _heat_column(
    table: ScoreTable, model: str, score: ScoreVariant, estimates: dict[str, Estimate]
) -> dict[str, HeatCell]:
    goodness = {method: score.better * each.value for method, each in estimates.items() if np.isfinite(each.value)}
    is_ranked = score.better != 0 and score.name not in _WITHOUT_BEST and len(goodness) > 1
    best = max(goodness, key=lambda method: goodness[method]) if is_ranked else None
    cells = {}
    for method, each in estimates.items():
        level = None
        if best is not None and method in goodness:
            low, high = min(goodness.values()), goodness[best]
            level = (goodness[method] - low) / (high - low) if high > low else 1.0
        is_best = best is not None and goodness.get(method) == goodness[best]
        is_close = best is not None and not is_best and _can_be_chance(table, model, score, method, best)
        images = f"{each.n} image{'s' if each.n != 1 else ''}"
        cells[method] = HeatCell(format_number(each.value), f"{each}, {images}", level, is_best, is_close)
    return cells


def _can_be_chance(table: ScoreTable, model: str, score: ScoreVariant, method: str, best: str) -> bool:
    """Whether the paired interval of the difference from the best has 0; not said for too few images."""
    samples = [table.sample(model, name, score.name, score.variant) for name in (best, method)]
    difference = combine(samples, lambda values: values[0] - values[1])
    return difference is not None and difference.n >= FEWEST_IMAGES and difference.side() == 0
