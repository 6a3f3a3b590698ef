"""Which points lie between a baseline and an input: what the engine asks of a path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.quadratures.grid import Grid, closed_grid


class Trajectory(ABC):
    """One path between the starts and the inputs of B examples, while it is walked."""

    finished: bool = False
    """Whether there is no further point, although the grid has further nodes."""

    @abstractmethod
    def points(self, grid: Grid) -> Tensors:
        """The points at K nodes.

        Args:
            grid: The nodes.

        Returns:
            The points, one tensor (K, B, ...) per input.
        """

    @abstractmethod
    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        """The path's move on the cells of K nodes.

        Args:
            grid: The nodes, and ``lower`` and ``upper``, the edges of their cells.
            before: The factor of the way from the start of each cell to its point.
            after: The factor of the way from the point to the end of the cell.

        Returns:
            The moves, one tensor (K, B, ...) per input.
        """

    def visit(self, grid: Grid, evaluator: PathEvaluator) -> tuple[Tensors, Tensor | None, Tensors]:
        """The points at K nodes, F there (K, B) and its gradients; a path that searches learns from these.

        Args:
            grid: The nodes, one of them for a path that searches.
            evaluator: F and its gradients for these examples.

        Returns:
            The points, F at the points, and the gradients.
        """
        points = self.points(grid)
        return (points, *evaluator(points))

    def output_deltas(self, evaluator: PathEvaluator) -> Tensor | None:
        """F's change along the path that was walked, (B,), if that has ends of its own; ``None`` for the user's.

        Args:
            evaluator: F for these examples.
        """
        return None


@dataclass(frozen=True)
class Path:
    """Which points lie between a baseline and an input. Holds settings only, no tensors.

    A path that is known in advance has one method, :meth:`point`. A path that finds each point from the gradient at the
    last one is a :class:`SearchedPath`.
    """

    look_ahead: ClassVar[bool] = True
    """Whether all points are known before any gradient is, so that points can share a batch."""

    takes_baselines: ClassVar[bool] = True
    """Whether it starts from a baseline that the caller may choose, or makes its own start from the input."""

    ends_at_inputs: ClassVar[bool] = True
    """Whether it ends at the input, or where a search ends."""

    default_method: ClassVar[str] = "gausslegendre"
    """The rule that sums gradients along this path best."""

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """Where the path starts: the baselines, or zeros.

        Args:
            inputs: The path's ends, each (B, ...).
            baselines: As the user gave them, brought to the shape of ``inputs``; ``None`` for the default.

        Returns:
            The path's first points, shaped as ``inputs``.
        """
        return baselines if baselines is not None else tuple(torch.zeros_like(tensor) for tensor in inputs)

    def point(self, inputs: Tensors, start: Tensors, alpha: float) -> Tensors:
        """One point of the path.

        Args:
            inputs: The path's ends, one tensor (B, ...) per input.
            start: What :meth:`start` returned.
            alpha: The position, from 0 (the start) to 1 (the input).

        Returns:
            The point of each example, shaped as ``inputs``.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a point(inputs, start, alpha).")

    def adapt_grid(self, grid: Grid) -> Grid:
        """The grid as this path can walk it.

        With ``n_steps="auto"``, the nodes are all positions of an example before each round of halving, and the path
        must return them unchanged or raise.

        Args:
            grid: The nodes that the quadratures ask for.

        Returns:
            The grid to walk. Without looking ahead it has its first node, without whose gradient there is no second.

        Raises:
            ValueError: If this path has no points there.
        """
        if self.look_ahead:
            return grid
        if grid.steps is None:
            raise ValueError(
                f"{grid.rule} takes gradients between the points of {type(self).__name__}, which finds each point from "
                "the gradient at the last. Use riemann_left (the default), riemann_right or riemann_trapezoid."
            )
        return closed_grid(grid.steps, grid.rule, last=grid.nodes[-1] == 1)

    def without_input_factor(self) -> Path:
        """The same points with the increments of the path's parameter in place of the path's own.

        Raises:
            ValueError: If the features of this path do not move in step.
        """
        raise ValueError(
            f"multiply_by_inputs=False leaves out the factor (inputs - baselines), which only StraightPath "
            f"has; {type(self).__name__} moves every feature at its own pace. Use multiply_by_inputs=True."
        )

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """Lay the path out.

        Args:
            inputs: The path's ends, one tensor (B, ...) per input.
            start: Where it starts, in the same shapes.
            grid: What :meth:`adapt_grid` returned.
            evaluator: F and its gradient for these examples, for paths that search with more than the last gradient.

        Returns:
            The path of these examples.
        """
        return PointTrajectory(self, inputs, start)


class PointTrajectory(Trajectory):
    """A path known in advance, from its :meth:`Path.point`; points that cells share are computed once."""

    def __init__(self, path: Path, inputs: Tensors, start: Tensors) -> None:
        """See :meth:`Path.trajectory`."""
        self._path = path
        self._inputs = inputs
        self._start = start
        self._points: dict[float, Tensors] = {}

    def points(self, grid: Grid) -> Tensors:
        """The points at the nodes, stacked."""
        # Cells meet, so the points at the last segment's end serve this one too; older ones are done with.
        self._points = {alpha: point for alpha, point in self._points.items() if alpha >= grid.lower[0]}
        return tuple(torch.stack(points) for points in zip(*map(self._at, grid.nodes), strict=True))

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        """Differences of points."""
        cells = zip(grid.lower, grid.nodes, grid.upper, strict=True)
        moves = [self._move(*cell, before, after) for cell in cells]
        return tuple(torch.stack(of_one) if len(moves) > 1 else of_one[0][None] for of_one in zip(*moves, strict=True))

    def _move(self, lower: float, node: float, upper: float, before: float, after: float) -> Tensors:
        if before == after:  # the node itself takes no part
            return tuple((end - start) * after for start, end in zip(self._at(lower), self._at(upper), strict=True))
        terms = [(after, upper), (-before, lower), (before - after, node)]
        points = [(factor, self._at(alpha)) for factor, alpha in terms if factor]
        parts = zip(*([factor * point for point in at] for factor, at in points), strict=True)
        return tuple(torch.stack(of_one).sum(0) for of_one in parts)

    def _at(self, alpha: float) -> Tensors:
        if alpha not in self._points:
            self._points[alpha] = self._path.point(self._inputs, self._start, alpha)
        return self._points[alpha]


def broadcast_positions(positions: tuple[float, ...], like: Tensor) -> Tensor:
    """Positions as a (K, 1, ...) tensor that multiplies ``like``, (B, ...), node by node."""
    # Made in float64 on the CPU: some devices have no float64. Not to wait for the device is safe in this direction.
    column = torch.tensor(positions, dtype=torch.float64, device="cpu").to(like.dtype)
    column = column.to(like.device, non_blocking=True)
    return column.reshape(-1, *(1,) * like.dim())
