"""Small models in float64, and PAIR's reference code as it still runs on today's NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn


class SmoothNet(nn.Module):
    """Images (B, 3, 6, 5) to probabilities (B, 4), smooth, float64."""

    shape = (3, 6, 5)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        self.head = nn.Linear(5 * 6 * 5, 4)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.softplus(self.conv(x)).flatten(1)).softmax(1)


class PairNet(nn.Module):
    """Two inputs of different shapes and an optional factor a row, to (B, 4)."""

    shapes = ((3, 6, 5), (2, 4, 4))

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(90, 4)
        self.right = nn.Linear(32, 4)
        self.double()

    def forward(self, x: Tensor, y: Tensor, factor: Tensor | float = 1.0, power: int = 1) -> Tensor:
        if isinstance(factor, Tensor) and factor.dim():
            factor = factor.unsqueeze(1)
        mixed = torch.tanh(self.left(x.flatten(1)) + factor * self.right(y.flatten(1)))
        return mixed.mul(2) ** power if power != 1 else mixed


@pytest.fixture
def net() -> SmoothNet:
    torch.manual_seed(0)
    return SmoothNet()


@pytest.fixture
def pair_net() -> PairNet:
    torch.manual_seed(1)
    return PairNet()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, *SmoothNet.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def pairs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(3, *shape, dtype=torch.float64, generator=generator) for shape in PairNet.shapes)


@pytest.fixture
def saliency(monkeypatch):
    """PAIR's ``saliency.core``; its NumPy calls that NumPy 2.4 no longer has are put back."""
    quantile = np.quantile
    monkeypatch.setattr(np, "quantile", lambda a, q, interpolation="linear": quantile(a, q, method=interpolation))
    import saliency.core

    return saliency.core
