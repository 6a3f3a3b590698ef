"""The path of Integrated Gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from captum_ext._utils.tensors import Tensors
from captum_ext.paths.base import Path, Trajectory, broadcast_positions
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.quadratures.grid import Grid


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

    def point(self, inputs: Tensors, start: Tensors, alpha: float) -> Tensors:
        """The point at this position of the line."""
        # lerp returns both ends exactly.
        return tuple(torch.lerp(begin, end, alpha) for begin, end in zip(start, inputs, strict=True))

    def without_input_factor(self) -> Path:
        """The straight line whose moves are those of its position alpha."""
        return _LocalStraightPath()

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """A trajectory that computes all nodes at once."""
        moves = tuple(end - begin for begin, end in zip(start, inputs, strict=True))
        return _StraightTrajectory(start, inputs, moves)


@dataclass(frozen=True)
class _LocalStraightPath(StraightPath):
    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        return _StraightTrajectory(start, inputs, tuple(torch.ones_like(tensor) for tensor in inputs))


class _StraightTrajectory(Trajectory):
    def __init__(self, start: Tensors, end: Tensors, moves: Tensors) -> None:
        self._start = start
        self._end = end
        self._moves = moves

    def points(self, grid: Grid) -> Tensors:
        return tuple(
            torch.lerp(start, end, broadcast_positions(grid.nodes, start))
            for start, end in zip(self._start, self._end, strict=True)
        )

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        cells = zip(grid.lower, grid.nodes, grid.upper, strict=True)
        shares = tuple(before * (node - lower) + after * (upper - node) for lower, node, upper in cells)
        return tuple(broadcast_positions(shares, move) * move for move in self._moves)
