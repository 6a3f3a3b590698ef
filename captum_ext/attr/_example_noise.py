"""Separate noise for each example, whatever else is in its batch."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ext._utils.random import as_generator

_SEEDS = 2**63 - 1


def draw_seeds(examples: int, generator: int | torch.Generator | None) -> Tensor:
    """One seed per example, (examples,), on the CPU.

    Raises:
        TypeError: If the generator is neither an integer nor a ``torch.Generator``.
    """
    source = None if generator is None else as_generator(generator)
    device = "cpu" if source is None else source.device
    return torch.randint(_SEEDS, (examples,), generator=source, device=device).cpu()


class ExampleNoise:
    """Standard normal noise for some examples, drawn from one stream per example.

    Args:
        seeds: One per example, as :func:`draw_seeds` makes them.
    """

    def __init__(self, seeds: Tensor) -> None:
        """See the class."""
        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]

    def draw(self, like: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next noise of all examples, one tensor with the shape of each of ``like``."""
        # Drawn on the CPU, so that a seed gives the same noise on every device.
        parts = [
            [torch.randn(tensor.shape[1:], dtype=tensor.dtype, device="cpu", generator=stream) for tensor in like]
            for stream in self._streams
        ]
        return tuple(
            torch.stack(noise).to(tensor.device) for noise, tensor in zip(zip(*parts, strict=True), like, strict=True)
        )

    def draw_seeds(self, rows: list[int]) -> Tensor:
        """Seeds of further streams for some of the examples, (len(rows),)."""
        return torch.cat([torch.randint(_SEEDS, (1,), device="cpu", generator=self._streams[row]) for row in rows])
