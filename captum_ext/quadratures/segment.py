"""Segments of a path: the data that a quadrature consumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from captum_ext._utils.tensors import Tensors, numbers_like
from captum_ext.quadratures.grid import Grid


class Segment(NamedTuple):
    """K consecutive path points of B examples.

    Attributes:
        points: The points, one tensor (K, B, ...) per input.
        values: F at the points, (K, B); ``None`` unless a quadrature of the walk needs values.
        gradients: The gradients of F, with the points' shapes. The next forward pass may overwrite them; copy what
            you keep.
        increments: ``increments(before, after)`` returns the path's move on each point's cell, with the points' shapes:
            ``before`` times the move from the start of the cell to the point, plus ``after`` times the move from the
            point to the end of the cell.
        grid: The positions and cells of the points; :attr:`positions` and :attr:`widths` are these as tensors.
    """

    points: Tensors
    values: Tensor | None
    gradients: Tensors
    increments: Callable[[float, float], Tensors]
    grid: Grid

    @property
    def positions(self) -> Tensor:
        """The positions of the points on the path, from 0 to 1, (K,), with the gradients' dtype and device."""
        return numbers_like(self.grid.nodes, self.gradients[0])

    @property
    def widths(self) -> Tensor:
        """The widths of the points' cells, as fractions of the path, (K,)."""
        widths = [upper - lower for lower, upper in zip(self.grid.lower, self.grid.upper, strict=True)]
        return numbers_like(widths, self.gradients[0])

    def of(self, grid: Grid, start: int, increments: Callable[[float, float], Tensors]) -> Segment:
        """The part of the segment at another grid's nodes, which start at index ``start``, with that grid's cells."""
        part = slice(start, start + len(grid))
        return Segment(
            tuple(point[part] for point in self.points),
            None if self.values is None else self.values[part],
            tuple(gradient[part] for gradient in self.gradients),
            increments,
            grid,
        )
