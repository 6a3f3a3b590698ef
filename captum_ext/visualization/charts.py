"""Charts: attributions of the features of a table, and curves of several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from captum_ext._utils.numbers import check_positive, is_number
from captum_ext.visualization._inputs import Attributions, MapArray, check_finite, read_row
from captum_ext.visualization.frame import draw_band, figure_of, name_rows, panels
from captum_ext.visualization.maps import LOWERS, RAISES, TITLE
from captum_ext.visualization.scale import LABEL
from captum_ext.visualization.style import method_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHART_WIDTH = 5.2  # inches


def bars(
    attributions: Attributions,
    names: Sequence[str] | None = None,
    *,
    values: Sequence[object] | Attributions | None = None,
    top: int = 10,
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw the attributions of a row of a table as bars: red raises the output, blue lowers it.

    Args:
        attributions: One number per feature: a tensor or an array, (F,) or (1, F).
        names: The features' names. Default ``None``: ``feature 0``, ``feature 1``, ...
        values: The features' values, which are written beside the names: numbers or words, (F,) or (1, F); a missing
            value may be NaN. Default: none.
        top: The number of features to draw, those with the largest magnitudes, in this order; ties keep the features'
            order. The others share one bar, with the sum of their attributions, so the bars always add up to the sum
            of all attributions. Default: 10.
        title: A line above. Default: none.
        legend: Whether to write the meaning of the colors below. Default: True.
        ax: The matplotlib axes to draw into. Default ``None``: those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If the attributions are not a real tensor or array.
        ValueError: If there are several rows or a NaN, or the numbers of names or values differ from that of features.

    Example:
        >>> from captum_ext.visualization import bars
        >>> figure = bars(torch.tensor([0.4, -0.1]), ["age", "income"], values=torch.tensor([41.0, 2.5]))
    """
    row = read_row(attributions)
    check_positive("top", top)
    labels = [f"feature {k}" for k in range(len(row))] if names is None else [str(name) for name in names]
    shown = None if values is None else _read_values(values)
    for argument, given in (("names", labels), ("values", shown)):
        if given is not None and len(given) != len(row):
            raise ValueError(f"{argument}: expected {len(row)}, one per feature, got {len(given)}.")
    if shown is not None:
        labels = [f"{label} = {value}" for label, value in zip(labels, shown, strict=True)]
    order = np.argsort(-np.abs(row), kind="stable")
    kept, rest = order[:top], order[top:]
    lengths = [float(row[k]) for k in kept]
    labels = [labels[k] for k in kept]
    if len(rest):
        lengths.append(float(row[rest].sum()))
        labels.append(f"{len(rest)} other feature{'s' if len(rest) > 1 else ''}")
    ax = _chart_axes(ax, 0.3 * len(lengths) + 0.9)
    colors = [tuple(RAISES if length > 0 else LOWERS) for length in lengths]
    ax.barh(range(len(lengths)), lengths, color=colors)
    for y, length in enumerate(lengths):
        side = -1 if length < 0 else 1
        ax.annotate(
            f"{length:+.3g}",
            (length, y),
            (4 * side, 0),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="center",
            fontsize=LABEL,
        )
    ax.axvline(0, color="0.3", linewidth=1)
    low, high = min(0.0, *lengths), max(0.0, *lengths)
    room = 0.3 * (high - low) or 1.0  # for the numbers at the ends
    ax.set_xlim(low - room * (low < 0), high + room * (high > 0 or low == 0))
    name_rows(ax, labels)
    ax.tick_params(labelsize=LABEL)
    _title(ax, title)
    meaning = "Red raises the output, blue lowers it. " if legend else ""
    ax.set_xlabel(f"{meaning}Sum: {row.sum():+.3g}", fontsize=LABEL)
    return figure_of(ax)


def curves(
    lines: Mapping[str, ArrayLike | Tensor],
    x: ArrayLike | Tensor | None = None,
    *,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw one curve per method, such as its insertion curve.

    Known methods always have the same colors and markers, and IDGI's lines are dashed.

    Args:
        lines: One curve per name: its values, (N,), or its lower bound, values and upper bound, (3, N), as
            :func:`captum_ext.evaluation.band` returns them. Curves may have different lengths if ``x`` is ``None``.
        x: The positions of the values, (N,). Default ``None``: from 0 to 1, evenly spaced.
        xlabel: The label of the x axis.
        ylabel: The label of the y axis.
        title: A line above. Default: none.
        legend: Whether to name the curves. Default: True.
        ax: The matplotlib axes to draw into. Default ``None``: those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If the lines are not a dictionary.
        ValueError: If a curve has a wrong shape, contains a NaN, or its bounds are not around its values.

    Example:
        >>> from captum_ext.visualization import curves
        >>> figure = curves({"IG": [0.1, 0.5, 0.9], "IDGI": [0.1, 0.7, 0.9]}, xlabel="inserted", ylabel="probability")
    """
    if not isinstance(lines, Mapping):
        raise TypeError(f'lines: expected a dictionary such as {{"IG": values}}, got {type(lines).__name__}.')
    if not lines:
        raise ValueError("lines: expected at least one curve, got an empty dictionary.")
    bands = {name: _read_band(values, f"lines[{name!r}]") for name, values in lines.items()}
    positions = None if x is None else _array_of(x, "x")
    for name, band in bands.items():
        if positions is not None and positions.shape != band.shape[1:]:
            raise ValueError(
                f"x: expected {band.shape[1]} positions, as lines[{name!r}] has values; got {positions.size}."
            )
    ax = _chart_axes(ax, 3.2)
    styles = method_styles(_key(name) for name in bands)
    for k, (name, band) in enumerate(bands.items()):
        at = np.linspace(0, 1, band.shape[1]) if positions is None else positions
        every = max(1, band.shape[1] // 8)  # markers are staggered, so that equal curves show both
        marks = (k * every // len(bands), every)
        draw_band(ax, at, band, **styles[_key(name)].line, label=name, markevery=marks)
    ax.set_xlabel(xlabel, fontsize=LABEL)
    ax.set_ylabel(ylabel, fontsize=LABEL)
    ax.tick_params(labelsize=LABEL)
    _title(ax, title)
    if legend:
        for text in ax.legend(fontsize=LABEL, frameon=False).get_texts():
            text.set_parse_math(False)
    return figure_of(ax)


def _read_values(values: Sequence[object] | Attributions) -> list[str]:
    """Values as text."""
    row = values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
    if isinstance(values, Tensor | np.ndarray) and values.ndim == 2 and len(row) == 1:
        (row,) = row
    return [f"{float(value):.4g}" if is_number(value) else str(value) for value in row]


def _key(name: str) -> str:
    """The name as the evaluation has it: "Blur IG + IDGI" is blur-ig+idgi."""
    return name.lower().replace(" + ", "+").replace(" ", "-")


def _array_of(values: ArrayLike | Tensor, name: str) -> MapArray:
    plain = values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values
    array: MapArray = np.asarray(plain, dtype=np.float64)
    check_finite(array, name)
    return array


def _read_band(values: ArrayLike | Tensor, name: str) -> MapArray:
    """Lower bound, line and upper bound, (3, N)."""
    array = _array_of(values, name)
    if array.ndim == 1 and array.size:
        return np.stack([array] * 3)
    if array.ndim != 2 or len(array) != 3 or not array.size:
        raise ValueError(
            f"{name}: expected one curve (N,), or its lower bound, values and upper bound (3, N); got shape "
            f"{array.shape}. Pass .mean(0) for the mean curve of several examples."
        )
    if (array[0] > array[1]).any() or (array[1] > array[2]).any():
        raise ValueError(
            f"{name}: expected the lower bound, the values and the upper bound, (3, N), but the values are not between "
            "the bounds. Pass .mean(0) for the mean curve of three examples."
        )
    return array


def _chart_axes(ax: Axes | None, height: float) -> Axes:
    if ax is None:
        _, grid = panels(1, 1, (_CHART_WIDTH, height))
        ax = grid[0, 0]
    figure_of(ax)  # which checks the axes
    return ax


def _title(ax: Axes, title: str) -> None:
    if title:
        ax.set_title(title, fontsize=TITLE, loc="left", parse_math=False)
