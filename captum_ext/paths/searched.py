"""Paths that choose each point from the gradient at the previous one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors
from captum_ext.paths.base import Path, Trajectory
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.quadratures.grid import Grid


class Step(NamedTuple):
    """The next point of a search in which some examples are finished.

    Attributes:
        points: One tensor (B, ...) per input; finished examples keep their points.
        active: A mask (B,) of the examples that still move. No gradients are computed for the others.
        origin: Where the move to these points starts, if not at the previous ones.
    """

    points: Tensors
    active: Tensor
    origin: Tensors | None = None


Gradients: TypeAlias = tuple[Tensor | None, Tensors]
Search: TypeAlias = Generator[Tensors | Step, Gradients, Tensors | None]


@dataclass(frozen=True)
class SearchedPath(Path):
    """A path that chooses each point from the gradient at the previous one.

    A subclass defines one method, :meth:`search`. The search can end before ``n_steps`` steps and can finish its
    examples one by one (:class:`Step`). It chooses its end: the attributions are compared with the change of F between
    its first and its last point.
    """

    from_inputs: ClassVar[bool] = False
    """Whether the search starts at the inputs. Attributions are then those of the way back: they sum to F at the input
    less F at the end that was found, and positions count from the input."""

    look_ahead: ClassVar[bool] = False
    ends_at_inputs: ClassVar[bool] = False
    default_method: ClassVar[str] = "riemann_left"

    @abstractmethod
    def search(self, inputs: Tensors, start: Tensors, n_steps: int, evaluator: PathEvaluator) -> Search:
        """Yield the points (B, ...) one by one; each ``yield`` returns F (B,) and its gradients there.

        F is ``None`` if the quadrature does not need it. ``evaluator.value`` computes it with an additional pass.

        Args:
            inputs: The user's inputs, one tensor (B, ...) per input.
            start: The baselines, or zeros, with the inputs' shapes.
            n_steps: The largest number of steps.
            evaluator: F and its gradient at other points, for other targets, or of other functions.

        Returns:
            The end of the path, if no gradient is needed there, or ``None``. A quadrature that uses F at the end of a
            step, such as IDGI's, omits a last step whose end is returned, which the delta shows; yield the end instead.
        """

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """Start the search."""
        assert grid.steps is not None, "adapt_grid() returns closed grids"
        # Copies: the search may yield them, and no gradient can be taken at the user's inference tensors.
        inputs, start = (tuple(tensor.clone() for tensor in tensors) for tensors in (inputs, start))
        return _SearchTrajectory(self.search(inputs, start, grid.steps, evaluator), self.from_inputs)


class _SearchTrajectory(Trajectory):
    n_evaluated: Tensor

    def __init__(self, search: Search, backward: bool) -> None:
        self._search = search
        self.backward = backward
        self._active: Tensor | None = None  # indices; None for all
        try:
            first = next(search)
        except StopIteration:
            raise ValueError("search: expected at least one point, got none. Yield the start of the path.") from None
        self._first = self._current = self._next = self._unpack(first)
        # The moves to the current point, and from it.
        self._arrival = self._departure = tuple(torch.zeros_like(point) for point in self._first)
        self.finished = False  # the first point is evaluated even if no example is active
        self._values: Tensor | None = None  # F at the current points, (1, B)
        self._is_evaluated = False
        self.n_evaluated = torch.zeros(len(self._first[0]), dtype=torch.long, device="cpu")

    def points(self, grid: Grid) -> Tensors:
        self._current, self._arrival = self._next, self._departure
        return tuple(point.unsqueeze(0) for point in self._current)

    def visit(self, grid: Grid, evaluator: PathEvaluator) -> tuple[Tensors, Tensor | None, Tensors]:
        points = self.points(grid)
        values, gradients = self._evaluate(points, evaluator)
        at_points = (None if values is None else values[0], tuple(gradient[0] for gradient in gradients))
        try:
            step = self._search.send(at_points)
            self._next = self._unpack(step)
            origin = step.origin if isinstance(step, Step) and step.origin is not None else self._current
        except StopIteration as stop:
            self.finished = True
            self._next, origin = self._current if stop.value is None else stop.value, self._current
        self._departure = tuple(new - old for new, old in zip(self._next, origin, strict=True))
        return points, values, gradients

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        moves = zip(self._arrival, self._departure, strict=True)
        return tuple((before * arrival + after * departure).unsqueeze(0) for arrival, departure in moves)

    def output_deltas(self, evaluator: PathEvaluator) -> Tensor:
        ends = (self._next, self._first) if self.backward else (self._first, self._next)
        return evaluator.value(ends[1]) - evaluator.value(ends[0])

    def _unpack(self, step: Tensors | Step) -> Tensors:
        if not isinstance(step, Step):
            self._active = None
            return step
        self._active = step.active.nonzero().flatten()
        self.finished = not len(self._active)
        return step.points

    def _evaluate(self, points: Tensors, evaluator: PathEvaluator) -> tuple[Tensor | None, Tensors]:
        """F and its gradients. Finished examples keep their F, have zero gradients and cost nothing."""
        if self._active is None or not self._is_evaluated:
            # A copy, since the search may need other passes before the gradients are summed.
            self._values, gradients = evaluator(points, keep=True)
            self.n_evaluated += 1
        else:
            rows = self._active
            self.n_evaluated[rows.cpu()] += 1
            active_values, active_gradients = evaluator.rows(rows)(tuple(point[:, rows] for point in points))
            gradients = tuple(
                torch.zeros_like(point).index_copy(1, rows, part)
                for point, part in zip(points, active_gradients, strict=True)
            )
            if self._values is not None and active_values is not None:
                self._values = self._values.index_copy(1, rows, active_values)
        self._is_evaluated = True
        return self._values, gradients
