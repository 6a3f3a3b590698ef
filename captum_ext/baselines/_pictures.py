"""Uniform pictures, transformed with the model's transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image


def black(image: Image, transform: Callable[[Image], Tensor]) -> Tensor:
    """A black picture of the image's size, as an input of the model.

    Args:
        image: A PIL image.
        transform: The function that turns an image into the model's input (C, H, W).

    Returns:
        The baseline (1, C, H, W).

    Example:
        >>> from captum_ext import baselines
        >>> from PIL import Image
        >>> from torchvision.transforms.functional import to_tensor
        >>> image = Image.new("RGB", (8, 8), "red")
        >>> baselines.black(image, lambda picture: (to_tensor(picture) - 0.5) / 0.5).unique()
        tensor([-1.])
    """
    return _plain(0, image, transform)


def white(image: Image, transform: Callable[[Image], Tensor]) -> Tensor:
    """A white picture of the image's size, as an input of the model; see :func:`black`."""
    return _plain(255, image, transform)


def gray(image: Image, transform: Callable[[Image], Tensor]) -> Tensor:
    """A gray picture, halfway between black and white, as an input of the model; see :func:`black`."""
    return _plain(128, image, transform)


def _plain(level: int, image: Image, transform: Callable[[Image], Tensor]) -> Tensor:
    from PIL import Image  # not installed with the library

    return transform(Image.new("RGB", image.size, (level, level, level)).convert(image.mode)).unsqueeze(0)
