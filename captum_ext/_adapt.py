"""Steps where they are needed: intervals of the path are halved until the attributions are as good as asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from captum_ext._evaluate import Evaluator, sum_dtype
from captum_ext._grid import Grid
from captum_ext._integrate import finish
from captum_ext._segment import Segment, Tensors
from captum_ext._walk import split
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature

_FIRST = 4  # intervals to start with
_SHARE = 0.5  # of the estimated error that is halved in a round: fewer rounds, or fewer gradients


class Refinement(NamedTuple):
    """When to stop: at this estimated relative error, or after so many steps, of so many rows a forward pass."""

    tol: float
    max_steps: int
    internal_batch_size: int | None


@dataclass(frozen=True)
class Course:
    """What one example's walk was.

    Attributes:
        positions: Where on the path gradients were taken, from 0 to 1, (K,); float64.
        values: F there, (K,).
        error: The estimated relative L2 error of the map that was left; NaN where it is not estimated.
        reached: Whether the tolerance was reached.
    """

    positions: Tensor
    values: Tensor
    error: float
    reached: bool


@dataclass
class _Node:
    at: float
    point: Tensors
    value: Tensor
    gradients: Tensors


@dataclass
class _Interval:
    left: _Node
    right: _Node
    error: float  # of the map
    missed: float  # of F's change


@dataclass
class _Example:
    index: int
    intervals: list[_Interval] = field(default_factory=list)
    error: float = float("inf")
    reached: bool = False

    def nodes(self) -> list[_Node]:
        return [self.intervals[0].left, *(interval.right for interval in self.intervals)]


def adapt(
    path: Path,
    quadrature: Quadrature,
    evaluate: Evaluator,
    inputs: Tensors,
    baselines: Tensors | None,
    refinement: Refinement,
    progress: Callable[..., Any],
) -> tuple[Tensors, Tensor, list[Course]]:
    """The attributions, their deltas (B,), and how each example was walked.

    Every point that was paid for is used. In memory are the gradients of one chunk of examples at all their points.

    Args:
        path: One that can look ahead.
        quadrature: One that estimates its errors.
        evaluate: F and its gradient, with values, for all examples.
        inputs: The ends of the path, each (B, ...).
        baselines: Its starts in the same shape, or ``None`` for the path's own.
        refinement: When to stop.
        progress: Makes a progress bar, given its total.
    """
    ends = tuple(tensor.detach().to(sum_dtype(tensor)) for tensor in inputs)
    starts = path.start(ends, baselines)
    chunks, _ = split(inputs, 1, refinement.internal_batch_size, True)
    parts: list[Tensors] = []
    rises: list[Tensor] = []
    courses: list[Course] = []
    with progress(total=len(inputs[0])) as bar:
        for rows in chunks:
            end, start = (tuple(tensor[rows] for tensor in tensors) for tensors in (ends, starts))
            walker = _Walker(path, quadrature, evaluate.rows(rows), end, start, refinement)
            for example in walker.refined():
                sums, rise, course = walker.result(example)
                parts.append(sums)
                rises.append(rise)
                courses.append(course)
                bar.update()
    if courses:
        evaluate.check_gradient()
    attributions, delta = finish(parts, rises, inputs)
    assert delta is not None, "rises were given"
    return attributions, delta, courses


class _Walker:
    def __init__(
        self,
        path: Path,
        quadrature: Quadrature,
        evaluate: Evaluator,
        end: Tensors,
        start: Tensors,
        refinement: Refinement,
    ) -> None:
        self._path = path
        self._quadrature = quadrature
        self._evaluate = evaluate
        self._end = end
        self._start = start
        self._refinement = refinement

    def refined(self) -> list[_Example]:
        examples = [_Example(index) for index in range(len(self._end[0]))]
        first = min(_FIRST, self._refinement.max_steps)
        grid = [k / first for k in range(first + 1)]
        for example, nodes in zip(examples, self._visit([(e, grid) for e in examples]), strict=True):
            example.intervals = [self._interval(*pair) for pair in pairwise(nodes)]
        pending = examples
        while pending := [example for example in pending if not self._done(example)]:
            halved = [(example, self._worst(example)) for example in pending]
            middles = self._visit([(e, [(w.left.at + w.right.at) / 2 for w in worst]) for e, worst in halved])
            for (example, worst), nodes in zip(halved, middles, strict=True):
                self._halve(example, worst, nodes)
        return examples

    def _done(self, example: _Example) -> bool:
        size = float(torch.stack([part.double().square().sum() for part in self._sums(example)]).sum().sqrt())
        # As if the intervals' errors pointed in directions that have nothing to do with each other.
        error = math.sqrt(sum(interval.error**2 for interval in example.intervals))
        example.error = error / size if size else (0.0 if error == 0 else math.inf)
        missed = sum(interval.missed for interval in example.intervals)
        change = float(example.intervals[-1].right.value - example.intervals[0].left.value)
        example.reached = self._quadrature.relative_error(example.error, missed, change) <= self._refinement.tol
        return example.reached or len(example.intervals) >= self._refinement.max_steps

    def _worst(self, example: _Example) -> list[_Interval]:
        """The intervals with the largest errors, which make up a share of their squares' sum."""
        room = self._refinement.max_steps - len(example.intervals)
        by_error = sorted(example.intervals, key=lambda interval: -interval.error)
        wanted = _SHARE * sum(interval.error**2 for interval in by_error)
        chosen: list[_Interval] = []
        for interval in by_error[:room]:
            chosen.append(interval)
            wanted -= interval.error**2
            if wanted <= 0:
                break
        return chosen

    def _halve(self, example: _Example, worst: list[_Interval], middles: list[_Node]) -> None:
        middle_of = {id(interval): node for interval, node in zip(worst, middles, strict=True)}
        intervals: list[_Interval] = []
        for interval in example.intervals:
            node = middle_of.get(id(interval))
            if node is None:
                intervals.append(interval)
            else:
                intervals += [self._interval(interval.left, node), self._interval(node, interval.right)]
        example.intervals = intervals

    def _visit(self, wanted: Sequence[tuple[_Example, list[float]]]) -> list[list[_Node]]:
        """The nodes at these positions of each example's path, in shared forward passes."""
        at = [position for _, positions in wanted for position in positions]
        rows = torch.tensor([example.index for example, positions in wanted for _ in positions])
        pieces = [self._points(example, positions) for example, positions in wanted]
        points = tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))
        nodes: list[_Node] = []
        for chunk in split(points, 1, self._refinement.internal_batch_size, True)[0]:
            some = tuple(point[chunk].unsqueeze(0) for point in points)
            values, gradients = self._evaluate.rows(rows[chunk])(some)
            assert values is not None, "asked for"
            for k, position in enumerate(at[chunk]):
                nodes.append(
                    _Node(position, tuple(p[0, k] for p in some), values[0, k], tuple(g[0, k] for g in gradients))
                )
        rest = iter(nodes)
        return [[next(rest) for _ in positions] for _, positions in wanted]

    def _points(self, example: _Example, positions: list[float]) -> Tensors:
        nodes = tuple(positions)
        trace = self._path.trace(*self._of(example), Grid(nodes, nodes, nodes))
        return tuple(point[:, 0] for point in trace.points(slice(0, len(nodes))))

    def _of(self, example: _Example) -> tuple[Tensors, Tensors]:
        one = slice(example.index, example.index + 1)
        return tuple(tensor[one] for tensor in self._end), tuple(tensor[one] for tensor in self._start)

    def _interval(self, left: _Node, right: _Node) -> _Interval:
        move = tuple(after - before for before, after in zip(left.point, right.point, strict=True))
        error, missed = self._quadrature.interval_error(
            (left.value, right.value), (left.gradients, right.gradients), move
        )
        return _Interval(left, right, float(error), float(missed))

    def _sums(self, example: _Example) -> Tensors:
        nodes = example.nodes()
        at = tuple(node.at for node in nodes)
        grid = Grid(at, (at[0], *at[:-1]), (*at[1:], at[-1]))
        trace = self._path.trace(*self._of(example), grid)
        everything = slice(0, len(at))
        running = self._quadrature.begin()
        running.update(
            Segment(
                tuple(torch.stack(parts).unsqueeze(1) for parts in zip(*(node.point for node in nodes), strict=True)),
                torch.stack([node.value for node in nodes]).unsqueeze(1),
                tuple(torch.stack(p).unsqueeze(1) for p in zip(*(node.gradients for node in nodes), strict=True)),
                lambda before, after: trace.increments(everything, before, after),
            )
        )
        return running.result()

    def result(self, example: _Example) -> tuple[Tensors, Tensor, Course]:
        nodes = example.nodes()
        values = torch.stack([node.value for node in nodes])
        course = Course(
            torch.tensor([node.at for node in nodes], dtype=torch.float64), values, example.error, example.reached
        )
        return self._sums(example), values[-1:] - values[:1], course
