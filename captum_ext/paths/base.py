"""The interface of paths: the points between a baseline and an input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
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

    n_evaluated: Tensor | None = None
    """The number of evaluated points of each example, (B,), if examples may finish one by one."""

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

    complete: ClassVar[bool] = True
    """Whether its moves lead from its start to its end, so that complete quadratures sum to F's change between them."""

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

    def points(self, inputs: Tensors, start: Tensors, alphas: Sequence[float]) -> Tensors:
        """Several points of the path; a path may compute them faster together than one by one.

        Args:
            inputs: The ends of the path, one tensor (B, ...) per input.
            start: The result of :meth:`start`.
            alphas: K positions, from 0 to 1.

        Returns:
            The points of each example, one tensor (K, B, ...) per input.
        """
        points = [self.point(inputs, start, alpha) for alpha in alphas]
        return tuple(torch.stack(of_one) for of_one in zip(*points, strict=True))

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
    """The trajectory of a path that is known in advance. Points that cells share are computed only once."""

    def __init__(self, path: Path, inputs: Tensors, start: Tensors) -> None:
        """See :meth:`Path.trajectory`."""
        self._path = path
        self._inputs = inputs
        self._start = start
        # Of each position: tensors with several points, (K, B, ...), and its index there.
        self._points: dict[float, tuple[Tensors, int]] = {}
        self._needs_edges = False

    def points(self, grid: Grid) -> Tensors:
        """The points at the nodes."""
        # This segment starts at the end of the previous one, whose last points it needs again.
        self._points = {alpha: entry for alpha, entry in self._points.items() if alpha >= grid.lower[0]}
        # After a segment with increments, compute the edges of the cells too, since together they are faster.
        self._compute([*grid.nodes, *grid.lower, *grid.upper] if self._needs_edges else grid.nodes)
        return self._at(grid.nodes)

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        """The differences of points."""
        self._needs_edges = True
        if before == after:  # the nodes themselves cancel
            terms = [(1.0, grid.upper), (-1.0, grid.lower)]
        else:
            terms = [(after, grid.upper), (-before, grid.lower), (before - after, grid.nodes)]
        terms = [(factor, alphas) for factor, alphas in terms if factor]
        self._compute([alpha for _, alphas in terms for alpha in alphas])
        parts = zip(*(_scaled(self._at(alphas), factor) for factor, alphas in terms), strict=True)
        moves = tuple(reduce(torch.add, of_one) for of_one in parts)
        return _scaled(moves, after) if before == after else moves

    def _at(self, alphas: Sequence[float]) -> Tensors:
        """The points at K positions, (K, B, ...)."""
        self._compute(alphas)
        entries = [self._points[alpha] for alpha in alphas]
        block, first = entries[0]
        if all(other is block and index == first + k for k, (other, index) in enumerate(entries)):
            return tuple(part[first : first + len(entries)] for part in block)
        of_inputs = zip(*([part[index] for part in points] for points, index in entries), strict=True)
        return tuple(torch.stack(of_one) for of_one in of_inputs)

    def _compute(self, alphas: Sequence[float]) -> None:
        """Compute the points that are missing."""
        missing = [alpha for alpha in dict.fromkeys(alphas) if alpha not in self._points]
        if missing:
            block = self._path.points(self._inputs, self._start, missing)
            self._points |= {alpha: (block, index) for index, alpha in enumerate(missing)}


def _scaled(points: Tensors, factor: float) -> Tensors:
    return points if factor == 1 else tuple(factor * point for point in points)


def broadcast_positions(positions: tuple[float, ...], like: Tensor) -> Tensor:
    """The positions as a tensor (K, 1, ...), which multiplies ``like`` (B, ...) to (K, B, ...)."""
    return numbers_like(positions, like).reshape(-1, *(1,) * like.dim())
