"""Maps of images: heat maps, overlays and regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from captum_ext._utils.numbers import check_number, count_of_fraction
from captum_ext._utils.optional import optional
from captum_ext.visualization._inputs import Attributions, MapArray, PictureLike, read_map, read_picture, stretch
from captum_ext.visualization.frame import figure_of, panels
from captum_ext.visualization.scale import LABEL, LINE_HEIGHT, MINUS, Scale, draw_scale, make_scale, smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = 11  # points
_PANEL_WIDTH = 3.6  # inches, of a figure with one panel
RAISES, LOWERS = np.array([1.0, 0.23, 0.0]), np.array([0.0, 0.63, 1.0])  # side by side they look gray, not purple
_EDGE = "#FF3B00"


def heatmap(
    attributions: Attributions,
    *,
    title: str = "",
    percentile: float = 99.0,
    sigma: float = 0.0,
    limit: float | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw where a map's attributions are large: their magnitude, on black.

    A pixel's attribution is the sum over its channels. Pass ``attributions.abs()`` to add up magnitudes instead, as
    PAIR's ``VisualizeImageGrayscale`` does.

    Args:
        attributions: One map: a tensor or an array, (C, H, W), (1, C, H, W) or (H, W). Arrays may be (H, W, C) with 1
            or 3 channels. Three dimensions are never a batch.
        title: A line above the map. Default: none.
        percentile: The percentile of the magnitudes that has the brightest color; larger ones have the same. Default:
            99. 100 clips nothing. If the percentile is 0, the largest magnitude has the brightest color.
        sigma: The standard deviation of a Gaussian blur of the magnitudes, in pixels of the map, which is written below
            the picture. Default: 0, no blur.
        limit: The magnitude that has the brightest color, instead of ``percentile``. Equal limits make several maps
            comparable. Default: ``None``.
        legend: Whether to draw the scale below the map. Default: True.
        ax: The matplotlib axes to draw into. Default ``None``: those of a new figure.

    Returns:
        The figure. ``figure.savefig("map.png")`` writes it; notebooks show it.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If the attributions are not a real tensor or array.
        ValueError: If they are a batch of several maps or contain a NaN, or an option is out of range.

    Example:
        >>> from captum_ext.visualization import heatmap
        >>> figure = heatmap(torch.randn(3, 32, 32), title="IG")
    """
    magnitudes = smooth(np.abs(read_map(attributions)), sigma)
    scale = make_scale(magnitudes, percentile, limit)
    note = _note(scale, sigma)
    ax = _image_axes(ax, magnitudes.shape, title, 3 * legend + len(note.splitlines()))
    colors = optional("matplotlib", "visualization").colormaps["afmhot"]
    ax.imshow(magnitudes, cmap=colors, vmin=0, vmax=scale.limit or 1.0)
    if legend:
        draw_scale(ax, colors(np.linspace(0, 1, 256))[:, :3], "0", f"|attribution| {scale.text()}", note)
    else:
        ax.set_xlabel(note, fontsize=LABEL)
    return figure_of(ax)


def overlay(
    attributions: Attributions,
    image: PictureLike | None = None,
    *,
    title: str = "",
    percentile: float = 99.0,
    sigma: float = 0.0,
    limit: float | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw a map's signs over its image in light gray: red raises the output, blue lowers it.

    The opacity of a color is the attribution's magnitude, as a fraction of the limit. A pixel's attribution is the sum
    over its channels. Captum's default colors are green and red, so red has the opposite meaning there.

    Args:
        attributions: One map, as for :func:`heatmap`. A map smaller than the image, such as that of a layer, is
            stretched over it.
        image: The picture: a tensor or an array, (C, H, W), (1, C, H, W), (H, W, C) or (H, W) with 1 or 3 channels, or
            a Pillow image. Values are in [0, 1], or 8-bit integers; others, such as those of a standardized input, are
            rescaled from their minimum and maximum. Default ``None``: a white background.
        title: A line above the map. Default: none.
        percentile: The percentile of the magnitudes that has full opacity, as for :func:`heatmap`. Default: 99.
        sigma: The standard deviation of a Gaussian blur of the attributions, in pixels of the map, which is written
            below the picture. Opposite signs cancel. Default: 0, no blur.
        limit: The magnitude that has full opacity, instead of ``percentile``. Default: ``None``.
        legend: Whether to draw the scale and the meaning of the colors below the map. Default: True.
        ax: The matplotlib axes to draw into. Default ``None``: those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If the attributions or the image have a wrong type.
        ValueError: If they are batches of several, contain a NaN, or do not fit each other.

    Example:
        >>> from captum_ext.visualization import overlay
        >>> figure = overlay(torch.randn(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
    """
    values = smooth(read_map(attributions), sigma)
    scale = make_scale(values, percentile, limit)
    background = np.ones((*values.shape, 3))
    if image is not None:
        background = faded(read_picture(image))
        values = stretch(values, background.shape)
    note = _note(scale, sigma)
    ax = _image_axes(ax, background.shape, title, 4 * legend + len(note.splitlines()))
    strength = scale.strength(values)[..., None]
    ax.imshow(_mix(background, np.where(strength > 0, RAISES, LOWERS), np.abs(strength)))
    if legend:
        position = np.linspace(-1, 1, 255)[:, None]
        strip = _mix(np.ones(3), np.where(position > 0, RAISES, LOWERS), np.abs(position))
        left, right = f"lowers the output\n{scale.text(MINUS)}", f"raises the output\n{scale.text()}"
        draw_scale(ax, strip, left, right, note)
    else:
        ax.set_xlabel(note, fontsize=LABEL)
    return figure_of(ax)


def regions(
    ranks: Attributions, image: PictureLike, *, share: float = 0.1, title: str = "", ax: Axes | None = None
) -> Figure:
    """Draw the most important regions of a picture in color, and the rest in light gray.

    Args:
        ranks: A label map, integers (H, W) or (1, H, W), in which 1 is the most important region, as
            ``xrai(..., return_regions=True)`` returns it; or bool masks (M, H, W), the most important first, which may
            overlap.
        image: The picture, as for :func:`overlay`.
        share: The fraction of the picture that the regions should cover, above 0 and at most 1. Regions are added as a
            whole, so they may cover more; the covered fraction is written below the picture. Default: 0.1.
        title: A line above the picture. Default: none.
        ax: The matplotlib axes to draw into. Default ``None``: those of a new figure.

    Returns:
        The figure.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If the ranks are neither integers nor masks.
        ValueError: If the shapes do not fit, or the share is out of range.

    Example:
        >>> from captum_ext.visualization import regions
        >>> ranks = torch.ones(32, 32, dtype=torch.int64)
        >>> ranks[8:24] = 2
        >>> figure = regions(ranks, torch.rand(3, 32, 32), share=0.2)
    """
    check_number("share", share)
    if not 0 < share <= 1:
        raise ValueError(f"share: expected more than 0 and at most 1, got {share}.")
    colors = read_picture(image)
    labels = stretch(_read_ranks(ranks), colors.shape, "ranks")
    needed = count_of_fraction(share, labels.size)
    last = np.sort(labels, axis=None)[needed - 1]
    mask = labels <= min(last, labels[np.isfinite(labels)].max(initial=-np.inf))
    ax = _image_axes(ax, colors.shape, title, 1)
    ax.imshow(np.where(mask[..., None], colors, faded(colors)))
    if mask.any() and not mask.all():
        ax.contour(mask, [0.5], colors=_EDGE, linewidths=1)
    ax.set_xlabel(f"top {mask.mean():.0%} of the picture", fontsize=LABEL)
    return figure_of(ax)


def faded(picture: MapArray) -> MapArray:
    """A picture in light gray, (H, W, 3)."""
    gray: MapArray = 0.65 + 0.35 * picture.mean(2, keepdims=True)
    return gray.repeat(3, 2)


def _read_ranks(ranks: object) -> MapArray:
    """Ranks (H, W) from 1, infinite where there is no region."""
    array: Any = ranks.detach().cpu().numpy() if hasattr(ranks, "detach") else ranks
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biu":
        raise TypeError(
            "ranks: expected integers (H, W), 1 for the most important region, or bool masks (M, H, W), got "
            f"{getattr(ranks, 'dtype', type(ranks).__name__)}. xrai(..., return_regions=True) returns ranks beside the "
            "maps."
        )
    if array.dtype.kind == "b":
        if array.ndim != 3 or not array.size:
            raise ValueError(f"ranks: expected masks (M, H, W), got shape {array.shape}.")
        array = np.where(array.any(0), array.argmax(0) + 1.0, np.inf)
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2 or not array.size:
        advice = " Draw one example: ranks[0]." if array.ndim == 3 else ""
        raise ValueError(f"ranks: expected integers (H, W), got shape {array.shape}.{advice}")
    labels: MapArray = array.astype(np.float64)
    return labels


def _mix(background: NDArray[Any], color: NDArray[Any], opacity: NDArray[Any]) -> NDArray[Any]:
    mixed: NDArray[Any] = (1 - opacity) * background + opacity * color
    return mixed


def _note(scale: Scale, sigma: float) -> str:
    """Notes that belong below a map."""
    notes = []
    if not scale.largest:
        notes.append("all attributions are 0")
    if sigma:
        notes.append(f"smoothed, \N{GREEK SMALL LETTER SIGMA} = {sigma:g} pixel{'s' * (sigma != 1)}")
    return "\n".join(notes)


def _image_axes(ax: Axes | None, shape: tuple[int, ...], title: str, lines_below: int) -> Axes:
    """Axes for an image, without ticks and lines."""
    if ax is None:
        height = _PANEL_WIDTH * min(max(shape[0] / shape[1], 0.25), 3.0)
        _, grid = panels(
            1, 1, (_PANEL_WIDTH, height + LINE_HEIGHT * (lines_below + (title.count("\n") + 1) * bool(title)) + 0.1)
        )
        ax = grid[0, 0]
    figure_of(ax)  # which checks the axes
    ax.set_axis_on()
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, fontsize=TITLE, parse_math=False)
    return ax
