"""Baselines: what an image without information could look like to the model.

Zero is grey, not black, after the usual normalisation: an image baseline is best made as a picture and put
through the model's own transform. No choice is neutral: a path method gives nothing to a feature that is as in
the baseline, so a black baseline can't find black objects.

Reference:
    Sturmfels, Lundberg, Lee: Visualizing the Impact of Feature Attribution Baselines. Distill 2020.
    https://distill.pub/2020/attribution-baselines/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ext._evaluate import float_dtype
from captum_ext._gaussian import PaddingMode
from captum_ext.paths import BlurPath

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["black", "blurred", "grey", "maximum_distance", "uniform", "white"]


def black(image: Image, transform: Callable[[Image], Tensor]) -> Tensor:
    """A black picture of the image's size, as the model sees it.

    Args:
        image: A PIL image.
        transform: What turns it into the model's input (C, H, W).

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
    """A white picture of the image's size, as the model sees it; see :func:`black`."""
    return _plain(255, image, transform)


def grey(image: Image, transform: Callable[[Image], Tensor]) -> Tensor:
    """A picture half way between black and white, as the model sees it; see :func:`black`."""
    return _plain(128, image, transform)


def _plain(level: int, image: Image, transform: Callable[[Image], Tensor]) -> Tensor:
    from PIL import Image  # needed only here

    return transform(Image.new("RGB", image.size, (level, level, level)).convert(image.mode)).unsqueeze(0)


def blurred(inputs: Tensor, sigma: float = 50.0, padding_mode: PaddingMode = "constant") -> Tensor:
    """The inputs (B, C, ...) blurred along all further dimensions, as Blur IG starts.

    Args:
        inputs: Images, series or volumes.
        sigma: The Gaussian's standard deviation in pixels. Default: 50, Blur IG's.
        padding_mode: What lies beyond the border: ``"constant"`` (zeros), ``"reflect"`` or ``"replicate"``.

    Example:
        >>> from captum_ext import baselines
        >>> baselines.blurred(torch.ones(1, 1, 8, 8), 2.0, "reflect").allclose(torch.ones(1, 1, 8, 8))
        True
    """
    return BlurPath(sigma, padding_mode=padding_mode).start((_floating(inputs),), None)[0]


def uniform(
    inputs: Tensor, low: Tensor | float, high: Tensor | float, generator: torch.Generator | None = None
) -> Tensor:
    """Noise between two bounds, shaped as the inputs.

    Args:
        inputs: The inputs (B, ...).
        low: The least value, a number or a tensor that broadcasts, such as :func:`black`.
        high: The greatest, such as :func:`white`.
        generator: For noise that can be repeated.

    Example:
        >>> from captum_ext import baselines
        >>> baselines.uniform(torch.zeros(2, 3), low=-1.0, high=1.0).shape
        torch.Size([2, 3])
    """
    inputs = _floating(inputs)
    noise = torch.rand(inputs.shape, dtype=inputs.dtype, device=inputs.device, generator=generator)
    return low + (high - low) * noise


def maximum_distance(inputs: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Of two bounds the one further from each value: every feature has a way to go.

    Args:
        inputs: The inputs (B, ...).
        low: The least value, a number or a tensor that broadcasts, such as :func:`black`.
        high: The greatest, such as :func:`white`.

    Example:
        >>> from captum_ext import baselines
        >>> baselines.maximum_distance(torch.tensor([[0.2, 0.9]]), 0.0, 1.0)
        tensor([[1., 0.]])
    """
    inputs = _floating(inputs)
    low, high = (torch.as_tensor(bound, dtype=inputs.dtype, device=inputs.device) for bound in (low, high))
    return torch.where(inputs - low > high - inputs, low, high)


def _floating(inputs: Tensor) -> Tensor:
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs: expected a tensor, got {type(inputs).__name__}. Write torch.as_tensor(x).")
    return inputs.to(float_dtype(inputs))
