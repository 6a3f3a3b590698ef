"""Gaussian blur along one axis, for any padding and width, as in ``scipy.ndimage.gaussian_filter1d``."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from captum_ext._utils.devices import full_precision

PaddingMode = Literal["constant", "reflect", "replicate"]

_TRUNCATE = 4.0  # scipy's: the kernel reaches this many standard deviations
_LONG = 1024  # pixels; on longer axes, a convolution with a short kernel is faster than a square matrix


def blur(tensor: Tensor, dim: int, sigma: float, padding_mode: PaddingMode, matrices: dict[int, Tensor]) -> Tensor:
    """Blur a tensor along one dimension.

    Args:
        tensor: Any floating point tensor.
        dim: The dimension.
        sigma: The standard deviation in pixels; 0 returns the tensor unchanged.
        padding_mode: The values beyond the ends.
        matrices: A cache of the matrices for this sigma and padding; the keys are sizes.
    """
    size, kernel = tensor.shape[dim], _kernel(sigma)
    if len(kernel) == 1 or not tensor.numel():
        return tensor
    lines = tensor.movedim(dim, -1)
    # The product needs full precision.
    with full_precision(tensor.device):
        if size > _LONG and 2 * len(kernel) < size:
            lines = _convolve(lines, kernel, padding_mode)
        else:
            if size not in matrices:
                matrices[size] = blur_matrix(size, sigma, padding_mode)
            lines = lines @ matrices[size].to(tensor.dtype).to(tensor.device).T
    return lines.movedim(-1, dim)


def blur_matrix(size: int, sigma: float, padding_mode: PaddingMode) -> Tensor:
    """The (size, size) float64 matrix that blurs a vector. The padding can be wider than the vector."""
    kernel = _kernel(sigma)
    radius = len(kernel) // 2
    pixels = torch.arange(size, device="cpu")  # the default device may have no float64
    differences = pixels - pixels.unsqueeze(1)  # from the row's pixel to the column's

    if padding_mode == "reflect":
        # The mirrored image repeats every 2 * size, so fold the kernel onto one period.
        offsets = torch.arange(-radius, radius + 1, device="cpu") % (2 * size)
        folded = torch.zeros(2 * size, dtype=torch.float64, device="cpu").index_add_(0, offsets, kernel)
        mirrored = -1 - pixels - pixels.unsqueeze(1)
        return folded[differences % (2 * size)] + folded[mirrored % (2 * size)]

    reach = max(radius, size - 1)
    padded = functional.pad(kernel, (reach - radius, reach - radius))
    matrix = padded[differences + reach]
    if padding_mode == "replicate":
        edge = padded.cumsum(0)[reach - pixels]  # the weight on and before the first pixel
        matrix[:, 0] = edge
        matrix[:, -1] = edge.flip(0)
        if size == 1:
            matrix.fill_(1.0)
    return matrix


def _kernel(sigma: float) -> Tensor:
    radius = int(_TRUNCATE * sigma + 0.5)
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
    return functional.conv1d(flat, kernel.to(flat.dtype).to(flat.device).reshape(1, 1, -1)).reshape(lines.shape)
