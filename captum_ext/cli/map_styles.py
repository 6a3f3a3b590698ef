"""The styles of ``captum-ext explain``: the only place that draws pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from captum_ext._utils.optional import optional
from captum_ext.visualization import heatmap, overlay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI, _SHORT_SIDE = 100, 224

Draw = Callable[["Axes", NDArray[Any], NDArray[Any]], None]


def _draw_overlay(panel: Axes, pixels: NDArray[Any], attributions: NDArray[Any]) -> None:
    overlay(attributions, pixels, legend=False, ax=panel)


def _draw_heatmap(panel: Axes, pixels: NDArray[Any], attributions: NDArray[Any]) -> None:
    heatmap(attributions, legend=False, ax=panel)


def _draw_photograph(panel: Axes, pixels: NDArray[Any], attributions: NDArray[Any]) -> None:
    panel.imshow(pixels)


STYLES: dict[str, Draw] = {"overlay": _draw_overlay, "heatmap": _draw_heatmap}
LEGENDS = {
    "overlay": "Red supports the class, blue opposes it; each map has its own scale.",
    "heatmap": "Bright pixels matter, for or against the class; each map has its own scale.",
}


def map_picture(pixels: NDArray[Any], attributions: NDArray[Any], style: str) -> bytes:
    """A map alone, without a frame, as a JPEG file of the size of the image or a multiple of it."""
    return _picture(pixels, attributions, STYLES[style])


def photograph(pixels: NDArray[Any]) -> bytes:
    """The image as the model sees it, likewise."""
    return _picture(pixels, pixels[..., 0], _draw_photograph)


def _picture(pixels: NDArray[Any], attributions: NDArray[Any], draw: Draw) -> bytes:
    height, width = attributions.shape
    scale = max(1, round(_SHORT_SIDE / min(height, width)))
    size = (scale * width / _DPI, scale * height / _DPI)
    figure = optional("matplotlib.figure", "demo").Figure(figsize=size, dpi=_DPI)
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set_axis_off()
    draw(panel, pixels, attributions)
    content = io.BytesIO()
    figure.savefig(content, format="jpeg", dpi=_DPI, pil_kwargs={"quality": 90})
    return content.getvalue()
