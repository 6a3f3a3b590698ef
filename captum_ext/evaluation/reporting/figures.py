"""The report's figures: curves, scores over the number of steps, and scores per method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from captum_ext._utils.optional import optional
from captum_ext.evaluation.estimates import Estimate, FloatArray, ScoreSample, band
from captum_ext.evaluation.scores import ScoreTable, ScoreVariant
from captum_ext.visualization import (
    draw_band,
    draw_interval,
    legend,
    method_styles,
    name_rows,
    panels,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_POINTS = 120  # of a curve; SIC and AIC have 1001
_MAX_NAME_LENGTH = 55


class Drawing(NamedTuple):
    """A figure and its title."""

    title: str
    figure: Figure


def curve_samples(table: ScoreTable, model: str, name: str) -> dict[ScoreVariant, dict[str, ScoreSample]]:
    """The samples with curves of a score, by variant and method."""
    samples: dict[ScoreVariant, dict[str, ScoreSample]] = {}
    for score in table.scores:
        for method in table.methods:
            sample = table.sample(model, method, score.name, score.variant)
            if score.name == name and score.xlabel and sample is not None and sample.curves is not None:
                samples.setdefault(score, {})[method] = sample
    return samples


def curve_band(score: ScoreVariant, sample: ScoreSample, max_points: int) -> tuple[FloatArray, FloatArray]:
    """The positions (points,), and the data set's curve with its interval (3, points), at no more than these points."""
    assert sample.curves is not None, "selected before"
    points = sample.curves.shape[1]
    indices = np.unique(np.linspace(0, points - 1, min(points, max_points)).round().astype(int))
    return np.array(score.positions(points))[indices], band(sample.curves[:, indices], score.curve)


def step_estimates(
    table: ScoreTable, model: str, scores: Iterable[ScoreVariant]
) -> dict[ScoreVariant, dict[str, dict[int, Estimate]]]:
    """The value at each step count of each score and method that have two or more."""
    lines: dict[ScoreVariant, dict[str, dict[int, Estimate]]] = {}
    for score in scores:
        for method in table.methods:
            values = {count: table.estimate(model, method, score, count) for count in table.steps[method]}
            line = {count: value for count, value in values.items() if value is not None and np.isfinite(value.value)}
            if len(line) > 1:
                lines.setdefault(score, {})[method] = line
    return lines


def score_curves(table: ScoreTable, model: str, name: str) -> Drawing | None:
    """The data set's curves of a score, one panel per variant; ``None`` if there are none."""
    samples = curve_samples(table, model, name)
    if not samples:
        return None
    title = next(iter(samples)).title.split(" (")[0]
    figure, grid = _titled_panels(title, model, len(samples), 3)
    styles = method_styles(table.methods)
    for panel, (score, by_method) in zip(grid, samples.items(), strict=True):
        for k, (method, sample) in enumerate(by_method.items()):
            x, lines = curve_band(score, sample, _MAX_POINTS)
            every = max(1, len(x) // 8)
            marks = (k * every // len(by_method), every)
            draw_band(panel, x, lines, alpha=band_opacity(by_method), **styles[method].line, markevery=marks)
        panel.set_xlabel(score.xlabel)
        panel.set_ylabel(score.ylabel)
        panel.margins(x=0.01)
        if score.positions(3)[-1] > 1:  # a count
            panel.xaxis.set_major_locator(optional("matplotlib.ticker", "evaluation").MaxNLocator(integer=True))
        has_bands = any(len(sample.images) > 1 for sample in by_method.values())
        notes = [curve_direction(score), "bands: 95% bootstrap intervals" * has_bands]
        set_title(panel, score.title, "; ".join(note for note in notes if note))
    return _with_legend(figure, title, model, table, [method for by_method in samples.values() for method in by_method])


def curve_direction(score: ScoreVariant) -> str:
    """Which curves are better; empty if unknown."""
    return {1: "a higher curve is better", -1: "a lower curve is better", 0: ""}[score.better]


def steps(table: ScoreTable, model: str, scores: Iterable[ScoreVariant]) -> Drawing | None:
    """Each score over the step counts; ``None`` if no method has two."""
    lines = step_estimates(table, model, scores)
    if not lines:
        return None
    title = "Metrics over the number of steps"
    figure, grid = _titled_panels(title, model, len(lines), 3)
    styles = method_styles(table.methods)
    for panel, (score, by_method) in zip(grid, lines.items(), strict=True):
        for method, line in by_method.items():
            values = np.array([[value.low, value.value, value.high] for value in line.values()]).T
            draw_band(panel, list(line), values, alpha=band_opacity(by_method), **styles[method].line)
        ticks = sorted({count for line in by_method.values() for count in line})
        panel.set_xscale("log", base=2)
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        panel.set_xlabel("steps (log scale)")
        panel.set_ylabel("value, 95% interval")
        set_title(panel, score.title, score.direction)
    return _with_legend(figure, title, model, table, [method for by_method in lines.values() for method in by_method])


def methods(
    table: ScoreTable,
    model: str,
    scores: Iterable[ScoreVariant],
    title: str = "Value and 95% interval, at the largest number of steps",
) -> Drawing | None:
    """Each score's value and interval per method, with the largest step counts."""
    values: dict[ScoreVariant, dict[str, Estimate]] = {}
    for score in scores:
        for method in table.methods:
            value = table.estimate(model, method, score)
            if value is not None and np.isfinite(value.value):
                values.setdefault(score, {})[method] = value
    if not values:
        return None
    names = [method for method in table.methods if any(method in by_method for by_method in values.values())]
    styles = method_styles(table.methods)
    figure, grid = _titled_panels(title, model, len(values), 4, (3.3, 1.1 + 0.21 * len(names)), 1.6)
    for k, (panel, (score, by_method)) in enumerate(zip(grid, values.items(), strict=True)):
        for method, value in by_method.items():
            draw_interval(panel, value, names.index(method), **styles[method].line)
        name_rows(panel, [styles[method].label if k % 4 == 0 else "" for method in names])
        panel.xaxis.set_major_locator(optional("matplotlib.ticker", "evaluation").MaxNLocator(5))
        set_title(panel, score.title, score.direction)
    return Drawing(f"{title} ({model})", figure)


def _titled_panels(
    title: str, model: str, count: int, across: int, size: tuple[float, float] = (4.4, 3.6), legend_width: float = 2.3
) -> tuple[Figure, list[Any]]:
    """A figure with room for a legend at its right, and its panels in reading order."""
    across = min(across, count)
    down = -(-count // across)
    figure, grid = panels(down, across, (size[0] * across + legend_width, size[1] * down + 0.7), count=count)
    # The ends of long names differ more than their beginnings.
    set_title(figure, title, model if len(model) <= _MAX_NAME_LENGTH else f"...{model[3 - _MAX_NAME_LENGTH :]}")
    return figure, list(grid.flat)[:count]


def band_opacity(lines: dict[str, Any]) -> float:
    """The opacity of intervals of so many lines in one panel."""
    return min(0.15, 0.9 / len(lines))


def _with_legend(figure: Figure, title: str, model: str, table: ScoreTable, names: list[str]) -> Drawing:
    styles = method_styles(table.methods)
    legend(figure, {styles[method].label: styles[method].line for method in table.methods if method in names})
    return Drawing(f"{title} ({model})", figure)
