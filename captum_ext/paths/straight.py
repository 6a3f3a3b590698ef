"""The path of Integrated Gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from captum_ext.paths.base import Path, Trace, along
from captum_ext.quadratures.grid import Grid
from captum_ext.quadratures.segment import Tensors


@dataclass(frozen=True)
class StraightPath(Path):
    """The straight line from the baseline to the input, the path of Integrated Gradients.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import IDGI
        >>> from captum_ext.paths import StraightPath
        >>> method = IDGI(lambda x: x @ torch.tensor([3.0, 4.0]), path=StraightPath())
        >>> method.attribute(torch.tensor([[25.0, 0.0]]))
        tensor([[27.0000, 48.0000]])
    """

    default_method: ClassVar[str] = "gausslegendre"

    def local(self) -> Path:
        """The straight line whose increments are those of its parameter."""
        return _LocalStraightPath()

    def trace(self, inputs: Tensors, start: Tensors, grid: Grid) -> Trace:
        """Lay the line out."""
        moves = tuple(end - begin for begin, end in zip(start, inputs, strict=True))
        return _StraightTrace(start, inputs, moves, grid)


@dataclass(frozen=True)
class _LocalStraightPath(StraightPath):
    def trace(self, inputs: Tensors, start: Tensors, grid: Grid) -> Trace:
        return _StraightTrace(start, inputs, tuple(torch.ones_like(tensor) for tensor in inputs), grid)


class _StraightTrace(Trace):
    def __init__(self, start: Tensors, end: Tensors, moves: Tensors, grid: Grid) -> None:
        self._start = start
        self._end = end
        self._moves = moves
        self._grid = grid

    def points(self, nodes: slice) -> Tensors:
        at = self._grid.nodes[nodes]
        # lerp meets both ends exactly.
        return tuple(
            torch.lerp(start, end, along(at, start)) for start, end in zip(self._start, self._end, strict=True)
        )

    def increments(self, nodes: slice, before: float, after: float) -> Tensors:
        cells = zip(self._grid.lower[nodes], self._grid.nodes[nodes], self._grid.upper[nodes], strict=True)
        shares = tuple(before * (node - lower) + after * (upper - node) for lower, node, upper in cells)
        return tuple(along(shares, move) * move for move in self._moves)
