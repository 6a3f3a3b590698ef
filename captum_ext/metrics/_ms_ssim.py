"""Multi-scale structural similarity (MS-SSIM) of many pictures to one original."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, from Wang et al. 2003
_RADIUS, _SIGMA = 5, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_CENTER = 128.0  # variances of centered values have smaller rounding errors
SMALLEST_SIDE = 2 ** (len(_SCALE_WEIGHTS) - 1) * (2 * _RADIUS + 1)


class MultiScaleSimilarity:
    """MS-SSIM to an original, whose means and variances at five scales are computed once.

    The result is that of torchmetrics up to rounding; the window is separable, and serves all channels.

    Args:
        original: Pixels from 0 to 255, (1, C, H, W), floating point.
    """

    def __init__(self, original: Tensor) -> None:
        self._scales: list[tuple[Tensor, Tensor, Tensor]] = []  # centered pixels, their local means and variances
        centered = original - _CENTER
        for _ in _SCALE_WEIGHTS:
            self._scales.append((centered, *_mean_and_variance(centered)))
            centered = functional.avg_pool2d(centered, 2)

    def __call__(self, pictures: Tensor) -> Tensor:
        """The similarity of each picture (N, C, H, W) to the original, in [0, 1], (N,)."""
        centered = pictures - _CENTER
        similarity = centered.new_ones(len(centered))
        for scale, (weight, (original, original_mean, original_variance)) in enumerate(
            zip(_SCALE_WEIGHTS, self._scales, strict=True)
        ):
            mean, variance = _mean_and_variance(centered)
            covariance = _blurred(centered * original) - mean * original_mean
            structure = (2 * covariance + _C2) / (variance + original_variance + _C2)
            if scale < len(_SCALE_WEIGHTS) - 1:
                structure = structure[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
                centered = functional.avg_pool2d(centered, 2)
            else:
                left, right = mean + _CENTER, original_mean + _CENTER
                structure = structure * (2 * left * right + _C1) / (left.square() + right.square() + _C1)
            similarity = similarity * structure.flatten(1).mean(1).clamp(min=0) ** weight
        return similarity


def _mean_and_variance(pixels: Tensor) -> tuple[Tensor, Tensor]:
    mean = _blurred(pixels)
    return mean, (_blurred(pixels.square()) - mean.square()).clamp(min=0)


def _blurred(pixels: Tensor) -> Tensor:
    """The Gaussian mean around each pixel, with reflection at the border.

    Sums of shifted pictures: on a CPU, faster than a convolution, and in the same order for any number of pictures.
    """
    window = [math.exp(-((offset / _SIGMA) ** 2) / 2) for offset in range(-_RADIUS, _RADIUS + 1)]
    padded = functional.pad(pixels, (_RADIUS,) * 4, mode="reflect")
    for axis in (2, 3):
        length = padded.shape[axis] - 2 * _RADIUS
        total = torch.zeros_like(padded.narrow(axis, 0, length))
        for offset, weight in enumerate(window):
            total.add_(padded.narrow(axis, offset, length), alpha=weight / sum(window))
        padded = total
    return padded
