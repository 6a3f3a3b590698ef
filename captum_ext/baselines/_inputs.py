"""Baselines with the inputs' shape: constant, random or computed from the inputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from captum_ext._utils.gaussian import PaddingMode
from captum_ext._utils.numbers import check_number
from captum_ext._utils.random import as_generator
from captum_ext._utils.tensors import float_dtype
from captum_ext.paths import BlurPath


def constant(inputs: Tensor, value: Tensor | float) -> Tensor:
    """One value everywhere.

    Args:
        inputs: The inputs (B, ...).
        value: A number, or a tensor that broadcasts to the inputs' shape, such as (C, 1, 1) for a color.

    Returns:
        The baselines, with the inputs' shape.

    Raises:
        ValueError: If the value does not broadcast.

    Example:
        >>> from captum_ext import baselines
        >>> baselines.constant(torch.rand(1, 2), 0.5)
        tensor([[0.5000, 0.5000]])
    """
    return _broadcast("value", value, _floating(inputs)).clone()


def blurred(inputs: Tensor, sigma: float = 50.0, padding_mode: PaddingMode = "constant") -> Tensor:
    """The inputs (B, C, ...) blurred along all dimensions after the channels, as at the start of Blur IG's path.

    Args:
        inputs: Images, series or volumes.
        sigma: The Gaussian's standard deviation in pixels. Default: 50, as in Blur IG.
        padding_mode: The values beyond the border: ``"constant"`` (zeros), ``"reflect"`` or ``"replicate"``.

    Returns:
        The baselines, with the inputs' shape.

    Raises:
        TypeError, ValueError: If an argument is invalid, or the inputs have no dimensions after the channels.

    Example:
        >>> from captum_ext import baselines
        >>> baselines.blurred(torch.ones(1, 1, 8, 8), 2.0, "reflect").allclose(torch.ones(1, 1, 8, 8))
        True
    """
    return BlurPath(sigma, padding_mode=padding_mode).start((_floating(inputs),), None)[0]


def gaussian_noise(
    inputs: Tensor,
    sigma: Tensor | float = 0.5,
    low: Tensor | float | None = None,
    high: Tensor | float | None = None,
    generator: int | torch.Generator | None = None,
) -> Tensor:
    """The inputs plus Gaussian noise, clipped to bounds.

    The baseline still contains the input: without clipping, the mean over many draws is the input itself.

    Args:
        inputs: The inputs (B, ...).
        sigma: The noise's standard deviation in the units of the inputs, a number or a tensor that broadcasts, such as
            ``0.5 * (white - black)``. Default: 0.5, for inputs in [0, 1].
        low: The lower bound, a number or a tensor that broadcasts, such as :func:`black`. Default: no bound.
        high: The upper bound, such as :func:`white`. Default: no bound.
        generator: A seed or a random number generator, for reproducible noise. Default: torch's global generator.

    Returns:
        The baselines, with the inputs' shape.

    Raises:
        ValueError: If sigma is negative, or sigma or a bound does not broadcast.

    Reference:
        Smilkov et al.: SmoothGrad: removing noise by adding noise. 2017. https://arxiv.org/abs/1706.03825

    Example:
        >>> from captum_ext import baselines
        >>> noisy = baselines.gaussian_noise(torch.rand(1, 3, 8, 8), low=0.0, high=1.0)
        >>> 0 <= noisy.min() <= noisy.max() <= 1
        tensor(True)
    """
    inputs = _floating(inputs)
    spread = _broadcast("sigma", sigma, inputs)
    if bool((spread < 0).any()):
        raise ValueError(f"sigma: expected standard deviations of at least 0, got {spread.min().item():g}.")
    noisy = inputs + spread * _draw_noise(torch.randn, inputs, generator)
    if low is not None:
        noisy = noisy.maximum(_broadcast("low", low, inputs))
    return noisy if high is None else noisy.minimum(_broadcast("high", high, inputs))


def uniform(
    inputs: Tensor, low: Tensor | float, high: Tensor | float, generator: int | torch.Generator | None = None
) -> Tensor:
    """Uniform noise between two bounds, with the inputs' shape.

    Args:
        inputs: The inputs (B, ...).
        low: The lower bound, a number or a tensor that broadcasts, such as :func:`black`.
        high: The upper bound, such as :func:`white`.
        generator: A seed or a random number generator, for reproducible noise. Default: torch's global generator.

    Returns:
        The baselines, with the inputs' shape.

    Raises:
        ValueError: If a bound does not broadcast.

    Example:
        >>> from captum_ext import baselines
        >>> baselines.uniform(torch.zeros(2, 3), low=-1.0, high=1.0).shape
        torch.Size([2, 3])
    """
    inputs = _floating(inputs)
    least, greatest = _broadcast("low", low, inputs), _broadcast("high", high, inputs)
    return least + (greatest - least) * _draw_noise(torch.rand, inputs, generator)


def maximum_distance(inputs: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """The bound that is further away from each value, so that every feature differs from the baseline.

    Args:
        inputs: The inputs (B, ...).
        low: The lower bound, a number or a tensor that broadcasts, such as :func:`black`.
        high: The upper bound, such as :func:`white`.

    Returns:
        The baselines, with the inputs' shape.

    Raises:
        ValueError: If a bound does not broadcast.

    Example:
        >>> from captum_ext import baselines
        >>> baselines.maximum_distance(torch.tensor([[0.2, 0.9]]), 0.0, 1.0)
        tensor([[1., 0.]])
    """
    inputs = _floating(inputs)
    least, greatest = _broadcast("low", low, inputs), _broadcast("high", high, inputs)
    return torch.where(inputs - least > greatest - inputs, least, greatest)


def _floating(inputs: Tensor) -> Tensor:
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs: expected a tensor, got {type(inputs).__name__}. Write torch.as_tensor(x).")
    if inputs.is_complex():
        raise TypeError(f"inputs: expected real numbers, got {inputs.dtype}. Write torch.view_as_real(x).")
    return inputs.detach().to(float_dtype(inputs))


def _broadcast(name: str, value: Tensor | float, inputs: Tensor) -> Tensor:
    if not isinstance(value, Tensor):
        check_number(name, value, "a number or a tensor")
    tensor = torch.as_tensor(value, dtype=inputs.dtype, device=inputs.device).detach()
    try:
        return tensor.expand_as(inputs)
    except RuntimeError:
        raise ValueError(
            f"{name}: expected a number or a tensor that broadcasts to the inputs' shape {tuple(inputs.shape)}, got "
            f"shape {tuple(tensor.shape)}."
        ) from None


def _draw_noise(draw: Callable[..., Tensor], like: Tensor, generator: int | torch.Generator | None) -> Tensor:
    source = None if generator is None else as_generator(generator)
    # Draw on the generator's device: a CPU generator gives the same noise for inputs on a GPU.
    device = like.device if source is None else source.device
    return draw(like.shape, dtype=like.dtype, device=device, generator=source).to(like.device)
