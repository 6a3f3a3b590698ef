"""The charts of the report's page, as the shapes of an SVG picture that follows the page's colors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from captum_ext._utils.optional import optional
from captum_ext.evaluation.estimates import FloatArray, format_number
from captum_ext.evaluation.reporting.figures import (
    band_opacity,
    curve_band,
    curve_direction,
    curve_samples,
    step_estimates,
)
from captum_ext.evaluation.scores import ScoreTable

WIDTH, HEIGHT = 360, 246  # of the picture, in its own units
LEFT, RIGHT, TOP, BOTTOM = 44, 350, 26, 200  # of the plot
_MAX_POINTS, _MAX_TICKS = 51, 5

Bands = dict[str, tuple[FloatArray, FloatArray]]  # of each method: positions (points,); low, value, high (3, points)


class Tick(NamedTuple):
    """A tick of an axis: where it is in the picture, and its label."""

    position: float
    label: str


class ChartLine(NamedTuple):
    """A method's line and its interval, as paths of SVG."""

    method: str
    path: str
    band: str


class Chart(NamedTuple):
    """A chart of several methods."""

    title: str
    note: str
    xlabel: str
    ylabel: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[ChartLine]
    opacity: float


def curve_charts(table: ScoreTable, model: str) -> list[Chart]:
    """The data set's curves, one chart per score with curves."""
    charts = []
    for name in dict.fromkeys(score.name for score in table.scores):
        for score, samples in curve_samples(table, model, name).items():
            bands = {method: curve_band(score, sample, _MAX_POINTS) for method, sample in samples.items()}
            charts.append(_chart(bands, score.title, curve_direction(score), score.xlabel, score.ylabel))
    return charts


def step_charts(table: ScoreTable, model: str) -> list[Chart]:
    """The scores over the number of steps, one chart per score with several."""
    charts = []
    for score, lines in step_estimates(table, model, table.scores).items():
        bands = {
            method: (
                np.log2(np.array(list(line), dtype=np.float64)),
                np.array([[value.low, value.value, value.high] for value in line.values()]).T,
            )
            for method, line in lines.items()
        }
        counts = sorted({count for line in lines.values() for count in line})
        x_ticks = [(float(np.log2(count)), str(count)) for count in counts]
        charts.append(_chart(bands, score.title, score.direction, "steps (log scale)", "value", x_ticks))
    return charts


def _chart(
    bands: Bands,
    title: str,
    note: str,
    xlabel: str,
    ylabel: str,
    x_ticks: Sequence[tuple[float, str]] | None = None,
) -> Chart:
    positions = np.concatenate([x for x, _ in bands.values()])
    values = np.concatenate([band.ravel() for _, band in bands.values()])
    x_range = _range_of(positions)
    y_range = _range_of(values[np.isfinite(values)])
    x_axis, y_axis = _Axis(*x_range, LEFT, RIGHT), _Axis(*y_range, BOTTOM, TOP)
    x_labels = _ticks(*x_range) if x_ticks is None else x_ticks
    lines = [
        ChartLine(method, _path(x_axis, y_axis, x, band[1]), _area(x_axis, y_axis, x, band))
        for method, (x, band) in bands.items()
    ]
    return Chart(
        title,
        note,
        xlabel,
        ylabel,
        [Tick(round(x_axis.place(at), 1), label) for at, label in x_labels],
        [Tick(round(y_axis.place(at), 1), label) for at, label in _ticks(*y_range)],
        lines,
        band_opacity(bands),
    )


class _Axis(NamedTuple):
    """Maps values from ``low`` to ``high`` to places from ``first`` to ``last``."""

    low: float
    high: float
    first: float
    last: float

    def place(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)


def _range_of(values: FloatArray) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high - low > 1e-12 * max(abs(low), abs(high), 1e-300) else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    locator = optional("matplotlib.ticker", "evaluation").MaxNLocator(_MAX_TICKS)
    inside = [float(at) for at in locator.tick_values(low, high) if low <= at <= high]
    return [(at, f"{at:.4g}" if abs(at) >= 5e-4 or at == 0 else format_number(at)) for at in inside]


def _plot_points(x_axis: _Axis, y_axis: _Axis, x: FloatArray, y: FloatArray) -> list[str]:
    return [
        f"{x_axis.place(float(at)):.1f},{y_axis.place(float(value)):.1f}"
        for at, value in zip(x, y, strict=True)
        if np.isfinite(value)
    ]


def _path(x_axis: _Axis, y_axis: _Axis, x: FloatArray, y: FloatArray) -> str:
    points = _plot_points(x_axis, y_axis, x, y)
    return f"M{'L'.join(points)}" if points else ""


def _area(x_axis: _Axis, y_axis: _Axis, x: FloatArray, band: FloatArray) -> str:
    """The interval; nothing where it has no bounds."""
    if not np.isfinite(band).all():
        return ""
    points = [*_plot_points(x_axis, y_axis, x, band[2]), *_plot_points(x_axis, y_axis, x[::-1], band[0][::-1])]
    return f"M{'L'.join(points)}Z"
