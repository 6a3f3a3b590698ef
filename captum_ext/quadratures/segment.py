"""What a quadrature gets: consecutive points of a path with F, its gradient and the path's moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors
from captum_ext.quadratures.grid import Grid


class Segment(NamedTuple):
    """K consecutive path points of B examples.

    Attributes:
        points: The points, one tensor (K, B, ...) per input.
        values: F at the points, (K, B); ``None`` unless a quadrature of the walk needs values.
        gradients: The gradient of F at the points, shaped as ``points``. The next forward pass may overwrite it: copy
            what you keep.
        increments: ``increments(before, after)`` is how far the path moves on the cell of each point: ``before`` times
            the way from the start of the cell to the point plus ``after`` times the way from the point to the end of
            the cell, shaped as ``points``.
        grid: The points' positions and cells; :attr:`positions` and :attr:`widths` give them as tensors.
    """

    points: Tensors
    values: Tensor | None
    gradients: Tensors
    increments: Callable[[float, float], Tensors]
    grid: Grid

    @property
    def positions(self) -> Tensor:
        """Where on the path the points are, from 0 to 1, (K,) in the gradients' dtype and on their device."""
        return self._on_device(self.grid.nodes)

    @property
    def widths(self) -> Tensor:
        """How long the points' cells are, as shares of the path, (K,)."""
        return self._on_device([upper - lower for lower, upper in zip(self.grid.lower, self.grid.upper, strict=True)])

    def of(self, grid: Grid, start: int, increments: Callable[[float, float], Tensors]) -> Segment:
        """The part of the segment that another grid has, with that grid's cells, from node ``start`` on."""
        part = slice(start, start + len(grid))
        return Segment(
            tuple(point[part] for point in self.points),
            None if self.values is None else self.values[part],
            tuple(gradient[part] for gradient in self.gradients),
            increments,
            grid,
        )

    def _on_device(self, numbers: object) -> Tensor:
        like = self.gradients[0]
        return torch.tensor(numbers, dtype=torch.float64, device="cpu").to(like.dtype).to(like.device)
