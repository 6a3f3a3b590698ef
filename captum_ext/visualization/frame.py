"""The frame of all figures: panels, titles, intervals, legends and files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from captum_ext._utils.optional import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL, NORMAL, _LARGE = 8, 9, 11  # points
COLORS = ("#0072B2", "#D55E00", "#009E73", "#AA3377")  # for what is not a method: models, protocols


def panels(
    rows: int,
    columns: int,
    size: tuple[float, float],
    *,
    count: int | None = None,
    for_images: bool = False,
    sharex: Any = False,
    sharey: Any = False,
) -> tuple[Figure, NDArray[Any]]:
    """A figure of panels.

    Args:
        rows: How many down.
        columns: How many across.
        size: Width and height of the whole figure, in inches.
        count: How many panels are used. Default ``None``: all.
        for_images: Whether the panels have no axes. Default: ``False``.
        sharex: As in ``matplotlib.figure.Figure.subplots``.
        sharey: Likewise.

    Returns:
        The figure and its panels (rows, columns).

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
        >>> from captum_ext.visualization import panels, set_title
        >>> figure, grid = panels(1, 2, (6, 3))
        >>> set_title(grid[0, 0], "Insertion", "higher is better")
    """
    figure = optional("matplotlib.figure", "visualization").Figure(figsize=size, dpi=150, layout="constrained")
    figure._repr_png_ = partial(png, figure)  # notebooks show it without pyplot
    optional("matplotlib.backends.backend_agg", "visualization").FigureCanvasAgg(figure)
    grid: NDArray[Any] = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    for index, panel in enumerate(grid.flat):
        if for_images or (count is not None and index >= count):
            panel.set_axis_off()
        panel.grid(color="0.9", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(which="both", labelsize=SMALL)
        for axis in (panel.xaxis, panel.yaxis):
            axis.label.set_fontsize(NORMAL)
    return figure, grid


def figure_of(panel: Axes) -> Figure:
    """The figure of a panel; of a panel of a subfigure, the whole figure.

    Raises:
        TypeError: If the panel is not a matplotlib axes.
    """
    if not hasattr(panel, "get_figure"):
        raise TypeError(f"ax: expected matplotlib axes, got {type(panel).__name__}.")
    figure: Any = panel.get_figure()
    while getattr(figure, "figure", figure) is not figure:  # a subfigure
        figure = figure.figure
    return figure  # type: ignore[no-any-return]


def set_title(target: Axes | Figure, title: str, note: str = "") -> None:
    """Set the title of a panel or a figure, and a note below it. Dollars are dollars.

    Args:
        target: The panel or the figure.
        title: The title.
        note: The note.
    """
    text = f"{title}\n{note}" if note else title
    if hasattr(target, "suptitle"):
        # At the left, so that it does not meet the legend of a figure with a single panel.
        target.suptitle(text, x=0.01, ha="left", fontsize=_LARGE).set_parse_math(False)
    else:
        target.set_title(text, fontsize=NORMAL, loc="left" if target.axison else "center", parse_math=False)


def name_rows(panel: Axes, names: Sequence[str]) -> None:
    """Write names down a panel's y axis, the first at the top.

    Args:
        panel: The panel.
        names: One per row.
    """
    panel.set_yticks(range(len(names)), names, fontsize=SMALL)
    for label in panel.get_yticklabels():
        label.set_parse_math(False)
    panel.set_ylim(len(names) - 0.5, -0.5)


def draw_interval(panel: Axes, estimate: Any, y: float, **line: Any) -> None:
    """Draw a value and its interval along the x axis.

    Args:
        panel: The panel.
        estimate: A :class:`captum_ext.evaluation.Estimate`.
        y: Where.
        line: Keyword arguments of a matplotlib line.
    """
    whisker = {"color": line["color"], "linestyle": line.get("linestyle", "-"), "linewidth": 1.4}
    panel.plot([estimate.low, estimate.high], [y, y], **whisker)
    panel.plot([estimate.value], [y], **{"markersize": 5, **line, "linestyle": ""})


def draw_band(panel: Axes, x: ArrayLike, band: ArrayLike, *, alpha: float = 0.15, **line: Any) -> None:
    """Draw a line and its interval.

    Args:
        panel: The panel.
        x: Positions, (points,).
        band: Lower bound, line and upper bound, (3, points), as :func:`captum_ext.evaluation.band` returns them.
        alpha: The opacity of the interval.
        line: Keyword arguments of a matplotlib line.
    """
    low, values, high = np.asarray(band)
    panel.fill_between(x, low, high, color=line["color"], alpha=alpha, linewidth=0)
    panel.plot(x, values, **line)


def legend(figure: Figure, lines: Mapping[str, Mapping[str, Any]], columns: int | None = None) -> None:
    """Add a legend outside of the panels.

    Args:
        figure: The figure.
        lines: Labels, and keyword arguments of matplotlib lines.
        columns: How many columns the legend has below the panels. Default ``None``: it is at their right.
    """
    line_type = optional("matplotlib.lines", "visualization").Line2D
    handles = [line_type([], [], **line) for line in lines.values()]
    place: dict[str, Any] = {"loc": "outside right upper"}
    if columns is not None:
        place = {"loc": "outside lower center", "ncols": columns}
    added = figure.legend(handles, list(lines), fontsize=SMALL, frameon=False, handlelength=3, **place)
    for text in added.get_texts():
        text.set_parse_math(False)


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG file.

    Args:
        figure: The figure.
        dpi: Dots per inch.

    Returns:
        The file's content.
    """
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()
