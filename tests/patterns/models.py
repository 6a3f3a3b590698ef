"""Models whose patterns the tests fit."""

import torch
from torch import nn


class Branched(nn.Module):
    """Residual adds, a shared module, depthwise and grouped convolutions, in-place ReLU, max-pooling; to (B, 4)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, padding_mode="reflect")
        self.shared = nn.Conv2d(8, 8, (1, 2), padding="same", groups=2)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(8 * 9, 4)

    def forward(self, x, shift=0.0):
        x = self.act(self.stem(x))
        x = x + self.act(self.depthwise(x))
        x = self.act(self.shared(self.act(self.shared(x))))
        return self.head(self.pool(x).flatten(1)) + shift


def branched(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return Branched().double().to(dtype).eval()


def inputs(count=3, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 6, 6, dtype=torch.float64, generator=generator).to(dtype)
