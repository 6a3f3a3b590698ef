"""Gaussian blur along one axis, for any padding and width, as in ``scipy.ndimage.gaussian_filter1d``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from captum_ext._utils.devices import full_precision, widest_dtype

PaddingMode = Literal["constant", "reflect", "replicate"]

_TRUNCATE = 4.0  # scipy's: the kernel reaches this many standard deviations
_LONG = 1024  # pixels; on longer axes, a convolution with a short kernel is faster than a square matrix
_MATRIX_VALUES = 2**22  # of the matrices of one product: 32 MB of float64


MatrixCache: TypeAlias = dict[tuple[int, torch.dtype], Tensor]


def blur(tensor: Tensor, dim: int, sigmas: Sequence[float], padding_mode: PaddingMode, matrices: MatrixCache) -> Tensor:
    """Blur tensors along one dimension, each with its sigma.

    Args:
        tensor: K tensors of a floating point dtype, (K, ...), or one for all sigmas, (1, ...).
        dim: The dimension.
        sigmas: K standard deviations in pixels; 0 leaves a tensor unchanged.
        padding_mode: The values beyond the ends.
        matrices: A cache of the matrices for these sigmas and this padding, keyed with size and dtype.

    Returns:
        The blurred tensors, (K, ...).
    """
    size = tensor.shape[dim]
    if not tensor.numel() or not any(map(_radius, sigmas)):
        return tensor.expand(len(sigmas), *tensor.shape[1:])
    lines = tensor.movedim(dim, -1)
    # The product needs full precision.
    with full_precision(tensor.device):
        if len(sigmas) == 1 and size > _LONG and 2 * len(_kernel(sigmas[0])) < size:
            blurred = _convolve(lines, _kernel(sigmas[0]), padding_mode)
        else:
            key = size, tensor.dtype
            if key not in matrices:
                matrices[key] = blur_matrices(size, sigmas, padding_mode, tensor.device).to(tensor.dtype)
            blurred = _products(lines, matrices[key])
    return blurred.movedim(-1, dim)


def sigmas_per_product(sizes: Sequence[int], device: torch.device) -> int:
    """The number of tensors to blur at once. A CPU takes one, whose matrix stays in its caches."""
    longest = max(sizes, default=1)
    if device.type == "cpu" or longest > _LONG:
        return 1
    return max(1, _MATRIX_VALUES // longest**2)


def _products(lines: Tensor, matrices: Tensor) -> Tensor:
    count, size = len(matrices), lines.shape[-1]
    if count == 1:
        return (lines[0] @ matrices[0].T).unsqueeze(0)
    flat = lines.reshape(len(lines), lines[0].numel() // size, size)
    return torch.bmm(flat.expand(count, -1, -1), matrices.mT).reshape(count, *lines.shape[1:])


def blur_matrices(size: int, sigmas: Sequence[float], padding_mode: PaddingMode, device: torch.device) -> Tensor:
    """The matrices (K, size, size) that blur a vector, in float64 if the device has it.

    The padding can be wider than the vector. Only bands with a few numbers per pixel are copied to the device, without
    a wait of the host.
    """
    bands = torch.stack([_bands(size, _kernel(sigma), padding_mode) for sigma in sigmas])
    bands = bands.to(widest_dtype(device)).to(device, non_blocking=True)
    diagonals, others = bands[:, : 2 * size - 1], bands[:, 2 * size - 1 :]
    matrices = diagonals.unfold(1, size, 1).flip(1)
    if padding_mode == "reflect":
        matrices += others.unfold(1, size, 1)
    elif padding_mode == "replicate":
        matrices[:, :, 0] = others[:, :size]
        matrices[:, :, -1] = others[:, size:]
    return matrices


def _bands(size: int, kernel: Tensor, padding_mode: PaddingMode) -> Tensor:
    """The weights by the difference of two pixels, from 1 - size to size - 1, followed by what the padding adds.

    For ``reflect``, these are the weights by the sum of two pixels, for ``replicate``, those of the first and of the
    last pixel.
    """
    radius = len(kernel) // 2
    differences = torch.arange(1 - size, size, device="cpu")
    if padding_mode == "reflect":
        # The mirrored image repeats every 2 * size, so fold the kernel onto one period.
        offsets = torch.arange(-radius, radius + 1, device="cpu") % (2 * size)
        folded = torch.zeros(2 * size, dtype=torch.float64, device="cpu").index_add_(0, offsets, kernel)
        sums = torch.arange(2 * size - 1, device="cpu")
        return torch.cat([folded[differences % (2 * size)], folded[(-1 - sums) % (2 * size)]])

    reach = max(radius, size - 1)
    padded = functional.pad(kernel, (reach - radius, reach - radius))
    band = padded[differences + reach]
    if padding_mode == "replicate":
        edge = padded.cumsum(0)[reach - torch.arange(size, device="cpu")]  # the weight on and before the first pixel
        if size == 1:
            edge = torch.ones_like(edge)
        band = torch.cat([band, edge, edge.flip(0)])
    return band


def _radius(sigma: float) -> int:
    return int(_TRUNCATE * sigma + 0.5)


def _kernel(sigma: float) -> Tensor:
    radius = _radius(sigma)
    if radius == 0:
        return torch.ones(1, dtype=torch.float64, device="cpu")
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64, device="cpu") / sigma) ** 2)
    return kernel / kernel.sum()


def _convolve(lines: Tensor, kernel: Tensor, padding_mode: PaddingMode) -> Tensor:
    radius = len(kernel) // 2
    flat = lines.reshape(-1, 1, lines.shape[-1])
    if padding_mode == "reflect":  # torch's reflection omits the border pixel
        flat = torch.cat([flat[..., :radius].flip(-1), flat, flat[..., -radius:].flip(-1)], -1)
    else:
        flat = functional.pad(flat, (radius, radius), mode=padding_mode)
    return functional.conv1d(flat, kernel.to(flat.dtype).to(flat.device, non_blocking=True).reshape(1, 1, -1)).reshape(
        lines.shape
    )
