"""Parts from outside the library, registered as any other: they pass or fail for what they do."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from captum_ext.paths import Path, SearchedPath, Step
from captum_ext.quadratures import Accumulator, Quadrature, WeightedSum, open_grid


@dataclass(frozen=True)
class SpectralPath(Path):
    """From each channel's mean to the image: every frequency fades in, low ones first."""

    takes_baselines: ClassVar[bool] = False

    def start(self, inputs, baselines):
        if baselines is not None:
            raise ValueError("baselines: SpectralPath starts from the mean image. Pass None.")
        return self.point(inputs, (), 0.0)

    def point(self, inputs, start, alpha):
        return tuple(_low_pass(x, alpha) for x in inputs)


def _low_pass(x, alpha):
    if x.dim() < 3:
        raise ValueError(f"inputs: SpectralPath needs dimensions after (batch, channel), got shape {tuple(x.shape)}.")
    if not len(x):
        return x  # FFTs of nothing fail
    dims = tuple(range(2, x.dim()))
    frequencies = torch.meshgrid(*(torch.fft.fftfreq(n, 1 / n, device=x.device) for n in x.shape[2:]), indexing="ij")
    radius = torch.stack(frequencies).abs().sum(0)
    return torch.fft.ifftn(torch.fft.fftn(x, dim=dims) * alpha**radius, dim=dims).real.to(x.dtype)


@dataclass(frozen=True)
class DescentPath(SearchedPath):
    """From the input down the gradient, until an example has moved by a share of its own length."""

    step: float = 0.05
    share: float = 0.2

    takes_baselines: ClassVar[bool] = False

    def start(self, inputs, baselines):
        if baselines is not None:
            raise ValueError("baselines: DescentPath starts from the inputs. Pass None.")
        return inputs

    def search(self, inputs, start, n_steps, evaluator):
        points = inputs
        for _ in range(n_steps):
            active = _length([x - p for x, p in zip(inputs, points, strict=True)]) < self.share * _length(inputs)
            _, gradients = yield Step(points, active)
            length = _length(gradients).clamp(min=torch.finfo(gradients[0].dtype).tiny)
            points = tuple(
                p - (active * self.step / length).reshape(-1, *(1,) * (p.dim() - 1)) * g
                for p, g in zip(points, gradients, strict=True)
            )
        return points


def _length(tensors):
    return torch.stack([tensor.flatten(1).square().sum(1) for tensor in tensors]).sum(0).sqrt()


@dataclass(frozen=True)
class SimpsonSum(WeightedSum):
    """Gradient times move by Simpson's rule."""

    method: str = "simpson"
    methods = ("simpson",)

    def grid(self, n_steps):
        weights = np.r_[1, np.tile([4, 2], n_steps // 2)[:-1], 1] / (3 * n_steps)
        return open_grid(np.linspace(0, 1, n_steps + 1), weights, "Simpson's rule")


@dataclass(frozen=True)
class TotalVariation(Quadrature):
    """How far each feature moves F, both ways together; it does not sum to F's change."""

    method: str = "riemann_left"
    name = "TotalVariation"
    methods = ("riemann_left", "riemann_middle")
    complete = False

    def grid(self, n_steps):
        return WeightedSum(self.method).grid(n_steps)

    def init(self):
        return _Magnitudes((0.0, 1.0) if self.method == "riemann_left" else (1.0, 1.0))


class _Magnitudes(Accumulator):
    total = None

    def __init__(self, shares):
        self.shares = shares

    def update(self, segment):
        moves = segment.increments(*self.shares)
        parts = [(g * move).abs().sum(0) for g, move in zip(segment.gradients, moves, strict=True)]
        self.total = parts if self.total is None else [a + b for a, b in zip(self.total, parts, strict=True)]

    def result(self):
        return tuple(self.total)
