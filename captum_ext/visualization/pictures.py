"""Maps and photographs as small JPEG files, for pages that contain them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from captum_ext._utils.optional import optional
from captum_ext.visualization.maps import heatmap, overlay

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


def map_picture(
    pixels: NDArray[Any], attributions: NDArray[Any], style: str, short_side: int | None = None, quality: int = 90
) -> bytes:
    """A map alone, without a frame, as a JPEG file.

    Args:
        pixels: The image (H, W, 3) in [0, 1].
        attributions: (H, W).
        style: A key of ``STYLES``.
        short_side: The picture's shorter side in pixels; ``None`` for that of the image or a multiple of it.
        quality: Of the JPEG file, up to 95.
    """
    return _picture(pixels, attributions, STYLES[style], short_side, quality)


def photograph(pixels: NDArray[Any], short_side: int | None = None, quality: int = 90) -> bytes:
    """The image as the model sees it, likewise."""
    return _picture(pixels, pixels[..., 0], _draw_photograph, short_side, quality)


def data_url(picture: bytes) -> str:
    """A JPEG file as the source of an image in a page."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _picture(
    pixels: NDArray[Any], attributions: NDArray[Any], draw: Draw, short_side: int | None, quality: int
) -> bytes:
    height, width = attributions.shape
    shorter = min(height, width)
    scale = max(1, round(_SHORT_SIDE / shorter)) if short_side is None else short_side / shorter
    size = (scale * width / _DPI, scale * height / _DPI)
    # The caller's settings of layout and of saved files would change the picture's size.
    figure = optional("matplotlib.figure", "visualization").Figure(figsize=size, dpi=_DPI, layout="none")
    canvas = optional("matplotlib.backends.backend_agg", "visualization").FigureCanvasAgg(figure)
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set_axis_off()
    draw(panel, pixels, attributions)
    content = io.BytesIO()
    canvas.print_jpg(content, pil_kwargs={"quality": quality})
    return content.getvalue()
