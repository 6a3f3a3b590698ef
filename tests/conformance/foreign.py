"""A path from outside the library, which the tests register as any other: it passes or fails for what it does."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from captum_ext.paths import Path


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
