"""What the figures share: the width of the page, panels, intervals and one legend below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from captum_ext.evaluation.reporting.estimates import Draws, Estimate, Floats, draws, interval, mean_curve
from captum_ext.evaluation.reporting.figures import style
from captum_ext.evaluation.reporting.methods import looks

WIDTH, DPI = 8.0, 150  # inches; shown at 800 pixels, 9 points are 12.5 of them
SMALL, NORMAL = 8, 9
SHADES = ("#0072B2", "#D55E00", "#009E73")  # for what is no method: models, protocols
MARKERS = ("o", "s", "^")


def blank(down: int, across: int, height: float, sharex: Any = False, sharey: Any = False) -> tuple[Figure, Any]:
    """A figure and its panels (down, across)."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False, sharex=sharex, sharey=sharey)
    for panel in panels.flat:
        panel.grid(color="0.9", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=SMALL)
    return figure, panels


def head(panel: Axes, title: str) -> None:
    """A panel's title."""
    panel.set_title(title, fontsize=NORMAL, loc="left")


def dot(panel: Axes, found: Estimate, y: float, **look: Any) -> None:
    """A value and its interval, lying."""
    panel.plot([found.low, found.high], [y, y], color=look["color"], linewidth=1.4)
    panel.plot([found.value], [y], **{"markersize": 5, **look, "linestyle": ""})


Line = Callable[[Floats | None, Draws], Floats]


def curve(panel: Axes, x: Floats, curves: Floats, marks: int, of: Line = mean_curve, **look: Any) -> None:
    """The images' curves (n, P) as one, their mean unless told otherwise, and its band; a mark every so many points."""
    n = len(curves)
    band = interval(np.concatenate([of(curves, drawn) for drawn in draws(n)]))
    panel.fill_between(x, *band, color=look["color"], alpha=0.15, linewidth=0)
    panel.plot(x, of(curves, np.arange(n)[None])[0], **{**look, "markersize": 4}, markevery=marks)


def rows(panel: Axes, names: Sequence[str]) -> None:
    """Names down the y axis, the first one on top."""
    panel.set_yticks(range(len(names)), names, fontsize=SMALL)
    panel.set_ylim(len(names) - 0.5, -0.5)


def zero(panel: Axes) -> None:
    """The line of no difference."""
    panel.axvline(0, color="0.3", linewidth=1)


def legend(figure: Figure, handles: Sequence[Line2D], columns: int) -> None:
    """Below all panels."""
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)


def of_methods(methods: Sequence[str]) -> list[Line2D]:
    """A legend's handles."""
    look = looks(methods)
    return [Line2D([], [], label=look[method].label, **style(look[method])) for method in look]


def of_others(names: Sequence[str]) -> list[Line2D]:
    """The same of models or protocols."""
    return [
        Line2D([], [], color=colour, marker=marker, label=name, linewidth=1.4, markersize=5)
        for name, colour, marker in zip(names, SHADES, MARKERS, strict=False)
    ]
