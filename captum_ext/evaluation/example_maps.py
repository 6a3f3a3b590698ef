"""Small pictures of a few images and their maps, which evaluations store for their reports."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from captum_ext._utils.numbers import check_integer
from captum_ext.evaluation.batch_maps import MethodMaps
from captum_ext.evaluation.inputs import ImageBatch
from captum_ext.evaluation.store import ExamplePicture
from captum_ext.vision.probe import image_colors
from captum_ext.visualization.pictures import map_picture, photograph

EXAMPLE_STYLE = "heatmap"
_SHORT_SIDE, _QUALITY = 144, 82  # about 5 kB for each map


def examples_per_batch(n_examples: int, n_batches: int) -> list[int]:
    """The number of examples of each batch, spread evenly; it does not depend on the number of processes.

    Raises:
        TypeError, ValueError: If the number of examples is not an integer from 0.
    """
    check_integer("n_examples", n_examples, "an integer from 0")
    if n_examples < 0:
        raise ValueError(f"n_examples: expected an integer from 0, got {n_examples}.")
    counts = [0] * n_batches
    for k in range(n_examples):
        counts[k * n_batches // n_examples] += 1
    return counts


class ExampleRecorder:
    """Draws the first images of a batch and their maps.

    Args:
        count: How many images.
        steps: The step count whose maps are drawn, of methods with a path.

    Attributes:
        pictures: Each image before its maps.
    """

    def __init__(self, count: int, steps: int = 0) -> None:
        """See the class."""
        self._count, self._steps = count, steps
        self._names: tuple[str, ...] = ()
        self._colors: list[NDArray[Any]] = []
        self.pictures: list[ExamplePicture] = []

    def add_images(self, batch: ImageBatch, black: Tensor, white: Tensor) -> None:
        """Draw the first images that are explained; ``black`` and ``white`` as for these inputs, (B, C, H, W)."""
        self._names = batch.names[: self._count]
        for k, name in enumerate(self._names):
            rows = slice(k, k + 1)
            colors = image_colors(batch.inputs[rows], black[rows], white[rows])
            self._colors.append(colors)
            self.pictures.append(ExamplePicture(name, "", 0, photograph(colors, _SHORT_SIDE, _QUALITY)))

    def add_maps(self, result: MethodMaps) -> None:
        """Draw the maps of a method; those with a NaN or infinity are left out."""
        if result.steps not in (0, self._steps):
            return
        for name, colors, attributions in zip(self._names, self._colors, result.maps, strict=False):
            if bool(torch.isfinite(attributions).all()):
                summed = attributions.sum(0).float().cpu().numpy()
                picture = map_picture(colors, summed, EXAMPLE_STYLE, _SHORT_SIDE, _QUALITY)
                self.pictures.append(ExamplePicture(name, result.method, result.steps, picture))
