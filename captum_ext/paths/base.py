"""The interface of paths: the points between a baseline and an input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors, numbers_like
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.quadratures.grid import Grid, closed_grid


class Trajectory(ABC):
    """The path of B examples during one integration."""

    finished: bool = False
    """Whether the path has ended, although the grid has further nodes."""

    backward: bool = False
    """Whether attributions are those of the way from its last point back to its first, as of a walk from the inputs."""

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
        """The moves of the path on the cells of K nodes.

        Args:
            grid: The nodes, with the edges of their cells (``lower`` and ``upper``).
            before: The factor of the move from the start of each cell to its point.
            after: The factor of the move from the point to the end of the cell.

        Returns:
            The moves, one tensor (K, B, ...) per input.
        """

    def visit(self, grid: Grid, evaluator: PathEvaluator) -> tuple[Tensors, Tensor | None, Tensors]:
        """Compute the points at K nodes, F there and its gradients, from which a search chooses its next point.

        Args:
            grid: The nodes; a path that searches gets a single one.
            evaluator: F and its gradients for these examples.

        Returns:
            The points, F at the points (K, B), and the gradients.
        """
        points = self.points(grid)
        return (points, *evaluator(points))

    def output_deltas(self, evaluator: PathEvaluator) -> Tensor | None:
        """The change of F along the path, if the path chooses its own ends.

        Args:
            evaluator: F for these examples.

        Returns:
            The change (B,), or ``None`` for a path from the start to the inputs.
        """
        return None


@dataclass(frozen=True)
class Path:
    """The points between a baseline and an input. A path holds settings and no tensors.

    A path that is known in advance defines one method, :meth:`point`. A path that chooses each point from the gradient
    at the previous one is a :class:`SearchedPath`.
    """

    look_ahead: ClassVar[bool] = True
    """Whether all points are known before the first gradient, so that several points can share a batch."""

    takes_baselines: ClassVar[bool] = True
    """Whether the caller chooses the start of the path. If not, the path computes it from the input."""

    ends_at_inputs: ClassVar[bool] = True
    """Whether the path ends at the input. If not, a search chooses its end."""

    default_method: ClassVar[str] = "gausslegendre"
    """The integration rule that is most accurate on this path."""

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """The start of the path: the baselines, or zeros.

        Args:
            inputs: The ends of the path, one tensor (B, ...) per input.
            baselines: The user's baselines, expanded to the inputs' shapes; ``None`` for the default.

        Returns:
            The first point of each example, one tensor (B, ...) per input.
        """
        return baselines if baselines is not None else tuple(torch.zeros_like(tensor) for tensor in inputs)

    def point(self, inputs: Tensors, start: Tensors, alpha: float) -> Tensors:
        """One point of the path.

        Args:
            inputs: The ends of the path, one tensor (B, ...) per input.
            start: The result of :meth:`start`.
            alpha: The position, from 0 (the start) to 1 (the input).

        Returns:
            The point of each example, one tensor (B, ...) per input.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method point(inputs, start, alpha), got none.")

    def adapt_grid(self, grid: Grid) -> Grid:
        """Adapt a grid to this path.

        With ``n_steps="auto"``, the nodes are all positions of an example before each round of halving, and the path
        must return them unchanged or raise.

        Args:
            grid: The nodes of the quadratures.

        Returns:
            The grid to use. For a path that does not look ahead, it includes the node 0, where the search begins.

        Raises:
            ValueError: If this path has no points at these nodes.
        """
        if self.look_ahead:
            return grid
        if grid.steps is None:
            raise ValueError(
                f"{grid.rule} takes gradients between the points of {type(self).__name__}, which chooses each point "
                "from the gradient at the previous one. Use riemann_left (the default), riemann_right or "
                "riemann_trapezoid."
            )
        return closed_grid(grid.steps, grid.rule, last=grid.nodes[-1] == 1)

    def without_input_factor(self) -> Path:
        """The path with the same points, whose moves are those of its position alpha, for ``multiply_by_inputs=False``.

        Raises:
            ValueError: If the features of this path do not move at the same pace.
        """
        raise ValueError(
            f"multiply_by_inputs=False omits the factor (inputs - baselines), which only StraightPath has; "
            f"{type(self).__name__} moves every feature at its own pace. Use multiply_by_inputs=True."
        )

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """Start the path of some examples.

        Args:
            inputs: The ends of the path, one tensor (B, ...) per input.
            start: The starts, with the inputs' shapes.
            grid: The result of :meth:`adapt_grid`.
            evaluator: F and its gradient for these examples, at any points.

        Returns:
            The trajectory of these examples.
        """
        return PointTrajectory(self, inputs, start)


class PointTrajectory(Trajectory):
    """The trajectory of a path with a :meth:`Path.point`. Points that cells share are computed only once."""

    def __init__(self, path: Path, inputs: Tensors, start: Tensors) -> None:
        """See :meth:`Path.trajectory`."""
        self._path = path
        self._inputs = inputs
        self._start = start
        self._points: dict[float, Tensors] = {}

    def points(self, grid: Grid) -> Tensors:
        """The points at the nodes, stacked."""
        # This segment starts at the end of the previous one, whose last points it needs again.
        self._points = {alpha: point for alpha, point in self._points.items() if alpha >= grid.lower[0]}
        return tuple(torch.stack(points) for points in zip(*map(self._point, grid.nodes), strict=True))

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        """The differences of points."""
        cells = zip(grid.lower, grid.nodes, grid.upper, strict=True)
        moves = [self._move(*cell, before, after) for cell in cells]
        return tuple(torch.stack(of_one) if len(moves) > 1 else of_one[0][None] for of_one in zip(*moves, strict=True))

    def _move(self, lower: float, node: float, upper: float, before: float, after: float) -> Tensors:
        if before == after:  # the node itself cancels
            return tuple(
                (end - start) * after for start, end in zip(self._point(lower), self._point(upper), strict=True)
            )
        terms = [(after, upper), (-before, lower), (before - after, node)]
        points = [(factor, self._point(alpha)) for factor, alpha in terms if factor]
        parts = zip(*([factor * point for point in part] for factor, part in points), strict=True)
        return tuple(torch.stack(of_one).sum(0) for of_one in parts)

    def _point(self, alpha: float) -> Tensors:
        if alpha not in self._points:
            self._points[alpha] = self._path.point(self._inputs, self._start, alpha)
        return self._points[alpha]


def broadcast_positions(positions: tuple[float, ...], like: Tensor) -> Tensor:
    """The positions as a tensor (K, 1, ...), which multiplies ``like`` (B, ...) to (K, B, ...)."""
    return numbers_like(positions, like).reshape(-1, *(1,) * like.dim())
