"""Paths that find each point from the gradient at the last one."""

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
    """The next point of a search of which some examples are finished.

    Attributes:
        points: One tensor (B, ...) per input. Finished examples stay where they are.
        active: Which examples still move, (B,), bool. For the others no gradient is computed any more.
        origin: Where the move to these points starts, if not at the last ones.
    """

    points: Tensors
    active: Tensor
    origin: Tensors | None = None


Gradients: TypeAlias = tuple[Tensor | None, Tensors]
Search: TypeAlias = Generator[Tensors | Step, Gradients, Tensors | None]


@dataclass(frozen=True)
class SearchedPath(Path):
    """A path that chooses each point by the gradient at the last one.

    It needs one method, :meth:`search`. The search may end before ``n_steps`` steps, may finish its examples one by one
    (:class:`Step`), and ends where it likes: attributions are compared with F's change between its first point and its
    last one.
    """

    from_inputs: ClassVar[bool] = False
    """Whether the search starts at the inputs. Attributions are then those of the way back: they sum to F at the input
    less F at the end that was found, and positions count from the input."""

    look_ahead: ClassVar[bool] = False
    ends_at_inputs: ClassVar[bool] = False
    default_method: ClassVar[str] = "riemann_left"

    @abstractmethod
    def search(self, inputs: Tensors, start: Tensors, n_steps: int, evaluator: PathEvaluator) -> Search:
        """Yield one point (B, ...) after another; each ``yield`` gives F (B,) and its gradients there.

        F is ``None`` unless the quadrature needs it; ask ``evaluator`` then, at the cost of a pass.

        Args:
            inputs: The user's inputs, one tensor (B, ...) each.
            start: The baselines, or zeros, in the same shapes.
            n_steps: The most steps.
            evaluator: F and its gradient at other points, for other targets, and of other functions.

        Returns:
            The end of the path, if no gradient is needed there. Yield the end instead for quadratures that use F at
            the end of the last step, such as IDGI's; otherwise they leave that step out, which the delta shows.
        """

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """Begin the search."""
        assert grid.steps is not None, "adapt_grid() lets closed grids through only"
        # Copies: the search may yield them, and no gradient can be taken at the user's inference tensors.
        inputs, start = (tuple(tensor.clone() for tensor in tensors) for tensors in (inputs, start))
        return _SearchTrajectory(self.search(inputs, start, grid.steps, evaluator), self.from_inputs)


class _SearchTrajectory(Trajectory):
    def __init__(self, search: Search, backward: bool) -> None:
        self._search = search
        self.backward = backward
        self._active: Tensor | None = None  # indices; None for all
        try:
            first = next(search)
        except StopIteration:
            raise ValueError("search: expected at least one point, got none. Yield the start of the path.") from None
        self._first = self._here = self._next = self._unpacked(first)
        # The moves to the point here, and from there.
        self._arrival = self._departure = tuple(torch.zeros_like(point) for point in self._first)
        self.finished = False  # the first point is visited, even if no example moves on from it
        self._values: Tensor | None = None  # F at the last points, (1, B)
        self._visited = False

    def points(self, grid: Grid) -> Tensors:
        self._here, self._arrival = self._next, self._departure
        return tuple(point.unsqueeze(0) for point in self._here)

    def visit(self, grid: Grid, evaluator: PathEvaluator) -> tuple[Tensors, Tensor | None, Tensors]:
        points = self.points(grid)
        values, gradients = self._evaluated(points, evaluator)
        at_points = (None if values is None else values[0], tuple(gradient[0] for gradient in gradients))
        try:
            step = self._search.send(at_points)
            self._next = self._unpacked(step)
            origin = step.origin if isinstance(step, Step) and step.origin is not None else self._here
        except StopIteration as stop:
            self.finished = True
            self._next, origin = self._here if stop.value is None else stop.value, self._here
        self._departure = tuple(new - old for new, old in zip(self._next, origin, strict=True))
        return points, values, gradients

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        moves = zip(self._arrival, self._departure, strict=True)
        return tuple((before * arrival + after * departure).unsqueeze(0) for arrival, departure in moves)

    def output_deltas(self, evaluator: PathEvaluator) -> Tensor:
        ends = (self._next, self._first) if self.backward else (self._first, self._next)
        return evaluator.value(ends[1]) - evaluator.value(ends[0])

    def _unpacked(self, step: Tensors | Step) -> Tensors:
        if not isinstance(step, Step):
            self._active = None
            return step
        self._active = step.active.nonzero().flatten()
        self.finished = not len(self._active)
        return step.points

    def _evaluated(self, points: Tensors, evaluator: PathEvaluator) -> tuple[Tensor | None, Tensors]:
        """F and its gradients; those of finished examples are F's last value and zero, and cost nothing."""
        if self._active is None or not self._visited:
            # A copy, since the search may need other passes before the gradients are summed.
            self._values, gradients = evaluator(points, keep=True)
        else:
            rows = self._active
            some_values, some = evaluator.rows(rows)(tuple(point[:, rows] for point in points))
            gradients = tuple(
                torch.zeros_like(point).index_copy(1, rows, part) for point, part in zip(points, some, strict=True)
            )
            if self._values is not None and some_values is not None:
                self._values = self._values.index_copy(1, rows, some_values)
        self._visited = True
        return self._values, gradients
