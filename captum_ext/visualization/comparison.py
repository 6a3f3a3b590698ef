"""Several maps of one image side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from captum_ext._utils.numbers import check_positive
from captum_ext.visualization._inputs import Attributions, PictureLike, read_map, read_picture
from captum_ext.visualization.frame import figure_of, panels
from captum_ext.visualization.maps import TITLE, heatmap, overlay
from captum_ext.visualization.scale import LABEL, LINE_HEIGHT, make_scale, smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Style = Literal["heatmap", "overlay"]

_SIDE = 1.8  # inches: three panels of 1.8 inches with type of 10 points are readable at 390 pixels
_NARROWEST = 3.0  # room for the legend
_LEGENDS = {
    "heatmap": "Bright: large attributions of either sign.",
    "overlay": "Red raises the output, blue lowers it.",
}


def compare(
    maps: Mapping[str, Attributions],
    image: PictureLike | None = None,
    *,
    style: Style = "heatmap",
    image_title: str = "input",
    columns: int | None = None,
    percentile: float = 99.0,
    sigma: float = 0.0,
    shared_scale: bool = False,
    legend: bool = True,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draw several maps side by side, with the image first.

    Args:
        maps: One map per name, each as for :func:`heatmap`.
        image: The picture, as for :func:`overlay`. Default ``None``: maps only.
        style: ``"heatmap"`` (default), as :func:`heatmap` draws magnitudes on black, or ``"overlay"``, as
            :func:`overlay` draws signs over the image.
        image_title: The title of the image. Default: ``"input"``.
        columns: The number of panels in a row. Default ``None``: at most 3, so that a phone shows readable type.
        percentile: As for :func:`heatmap`. Default: 99.
        sigma: As for :func:`heatmap`, or :func:`overlay` in its style. Default: 0, no blur.
        shared_scale: Whether all maps have the scale of the one with the largest limit. Default: False; each map has
            its own, so brightness can't be compared between maps.
        legend: Whether to write the meaning of the colors below the figure. Default: True.
        axes: The matplotlib axes to draw into, one per panel. Default ``None``: those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If the maps are not a dictionary, or a map has a wrong type.
        ValueError: If a map can't be drawn (the message names it), or an option is out of range.

    Example:
        >>> from captum_ext.visualization import compare
        >>> figure = compare({"IG": torch.randn(3, 8, 8), "IDGI": torch.rand(3, 8, 8)}, torch.rand(3, 8, 8))
    """
    if not isinstance(maps, Mapping):
        raise TypeError(f'maps: expected a dictionary such as {{"IG": attributions}}, got {type(maps).__name__}.')
    if not maps:
        raise ValueError("maps: expected at least one map, got an empty dictionary.")
    if style not in get_args(Style):
        raise ValueError(f"style: expected one of {get_args(Style)}, got {style!r}.")
    if columns is not None:
        check_positive("columns", columns)
    named = {name: read_map(attributions, f"maps[{name!r}]") for name, attributions in maps.items()}
    limit = _shared_limit(list(named.values()), style, percentile, sigma) if shared_scale else None
    picture = None if image is None else read_picture(image)
    shape = next(iter(named.values())).shape if picture is None else picture.shape
    figure, places = _places(len(named) + (picture is not None), columns, shape, 1 + bool(sigma), axes)
    if picture is not None:
        _draw_picture(places.pop(0), picture, image_title)
    channels_first = None if picture is None else np.moveaxis(picture, -1, 0)
    options: dict[str, Any] = {"percentile": percentile, "limit": limit, "legend": False}
    for ax, (name, values) in zip(places, named.items(), strict=True):
        if style == "heatmap":
            heatmap(values, title=name, sigma=sigma, ax=ax, **options)
        else:
            overlay(values, channels_first, title=name, sigma=sigma, ax=ax, **options)
    if legend:
        scale = "All maps have one scale." if shared_scale else "Each map has its own scale."
        figure.supxlabel(f"{_LEGENDS[style]}\n{scale}", fontsize=LABEL)
    return figure


def _shared_limit(maps: list[Any], style: str, percentile: float, sigma: float) -> float | None:
    """The largest limit of all maps; none if all are 0."""
    drawn = [smooth(np.abs(values) if style == "heatmap" else values, sigma) for values in maps]
    return max(make_scale(values, percentile, None).limit for values in drawn) or None


def _places(
    count: int, columns: int | None, shape: tuple[int, ...], lines: int, axes: Sequence[Axes] | None
) -> tuple[Figure, list[Any]]:
    """The figure and its panels, each with some lines of text."""
    if axes is not None:
        given = list(np.asarray(axes, dtype=object).flat)
        if len(given) != count:
            raise ValueError(f"axes: expected {count}, one per panel, got {len(given)}.")
        return figure_of(given[0]), given
    across = min(columns or (2 if count == 4 else 3), count)
    down = -(-count // across)
    height = _SIDE * min(max(shape[0] / shape[1], 0.25), 3.0) + LINE_HEIGHT * lines
    size = (max(_SIDE * across, _NARROWEST), height * down + 2 * LINE_HEIGHT + 0.1)
    figure, grid = panels(down, across, size, count=count, for_images=True)
    return figure, list(grid.flat)[:count]


def _draw_picture(ax: Axes, picture: Any, title: str) -> None:
    ax.imshow(picture)
    ax.set_axis_off()
    ax.set_title(title, fontsize=TITLE, parse_math=False)
