"""The meaning of a map's colors: clipping, smoothing, and the legend below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from captum_ext._utils.gaussian import blur
from captum_ext._utils.numbers import check_number
from captum_ext.visualization._inputs import MapArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MINUS = "\N{MINUS SIGN}"
LINE_HEIGHT = 0.22  # inches
LABEL = 10  # points: readable where a figure of three panels is 390 pixels wide


class Scale(NamedTuple):
    """The magnitude that has the strongest color, and the largest one of the map."""

    limit: float
    largest: float

    def strength(self, values: MapArray) -> MapArray:
        """The values as fractions of the limit, in [-1, 1]."""
        return np.clip(values / self.limit, -1, 1) if self.limit else np.zeros_like(values)

    def text(self, sign: str = "") -> str:
        """The limit, with a mark where larger values have the same color."""
        mark = ("≤ " if sign == MINUS else "≥ ") if self.largest > self.limit * (1 + 1e-6) else ""
        return f"{mark}{sign}{self.limit:.2g}"


def make_scale(values: MapArray, percentile: float, limit: float | None) -> Scale:
    """The scale of a map's values.

    If so many values are 0 that the percentile is 0, the limit is the largest magnitude.

    Raises:
        TypeError, ValueError: If the percentile or the limit is invalid.
    """
    check_number("percentile", percentile)
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile: expected more than 0 and at most 100, got {percentile}.")
    magnitudes = np.abs(values)
    largest = float(magnitudes.max())
    if limit is None:
        return Scale(float(np.percentile(magnitudes, percentile)) or largest, largest)
    check_number("limit", limit)
    if not 0 < limit < np.inf:
        raise ValueError(f"limit: expected a positive number, got {limit}.")
    return Scale(float(limit), largest)


def smooth(values: MapArray, sigma: float) -> MapArray:
    """The map after a Gaussian blur.

    Raises:
        TypeError, ValueError: If sigma is not a nonnegative number.
    """
    check_number("sigma", sigma)
    if not 0 <= sigma < np.inf:
        raise ValueError(f"sigma: expected a nonnegative number of pixels, got {sigma}.")
    tensor = torch.from_numpy(np.ascontiguousarray(values)).unsqueeze(0)
    for dim in (1, 2):
        tensor = blur(tensor, dim, [float(sigma)], "reflect", {})
    return tensor[0].numpy()


def draw_scale(ax: Axes, colors: NDArray[Any], left: str, right: str, note: str) -> None:
    """A strip of colors below a panel, with a label at each end and a note below.

    Args:
        ax: The panel.
        colors: The strip's colors, (N, 3).
        left: The label of the first color.
        right: The label of the last one.
        note: The note.
    """
    strip = ax.inset_axes((0.0, -0.09, 1.0, 0.04))
    strip.imshow(colors[None], aspect="auto", extent=(0, 1, 0, 1))
    strip.set_yticks([])
    strip.set_xticks([0, 1], [left, right], fontsize=LABEL)
    strip.tick_params(length=0, pad=2)
    first, last = strip.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    strip.set_xlabel(note, fontsize=LABEL)
