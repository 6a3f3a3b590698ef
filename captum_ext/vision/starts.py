"""Named baselines for images."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_ext import baselines

STARTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "black": lambda image, black, white: black,
    "white": lambda image, black, white: white,
    "gray": lambda image, black, white: (black + white) / 2,
    "blurred": lambda image, black, white: black + baselines.blurred(image - black),
    "uniform": lambda image, black, white: baselines.uniform(image.cpu(), black.cpu(), white.cpu(), 0).to(image.device),
    "maximum-distance": lambda image, black, white: baselines.maximum_distance(image, black, white),
}
"""Functions that compute a baseline (1, C, H, W) from an image, a black and a white picture as inputs of the model."""
