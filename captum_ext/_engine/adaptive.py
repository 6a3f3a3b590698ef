"""Adaptive steps: intervals of the path are halved until the attributions are accurate enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator, float_dtype, sum_dtype
from captum_ext._engine.integrate import finish
from captum_ext.paths import Path
from captum_ext.quadratures import IntegrationErrors, Quadrature
from captum_ext.quadratures.grid import Grid
from captum_ext.quadratures.segment import Segment, Tensors, by_example

_FIRST = 4  # intervals to start with
_SHARE = 0.5  # of the squared error, which is halved in a round: fewer rounds, or fewer gradients
_SHORTEST = 4  # an interval of so many units of rounding has no midpoint that the model could tell from its ends


class Refinement(NamedTuple):
    """When to stop: at this relative error, or after so many steps; and the most rows of a forward pass."""

    tol: float
    max_steps: int
    internal_batch_size: int | None


@dataclass(frozen=True)
class Course:
    """How one example was integrated.

    Attributes:
        positions: Where on the path gradients were taken, from 0 to 1, (K,); float64.
        values: F there, (K,).
        error: The estimated relative L2 error of the map; NaN where it is not estimated.
        reached: Whether the tolerance was reached.
    """

    positions: Tensor
    values: Tensor
    error: float
    reached: bool


def adapt(
    path: Path,
    quadrature: Quadrature,
    evaluate: Evaluator,
    inputs: Tensors,
    baselines: Tensors | None,
    refinement: Refinement,
    progress: Callable[..., Any],
) -> tuple[Tensors, Tensor, list[Course]]:
    """The attributions, their deltas (B,), and how each example was integrated.

    Every gradient that was computed is used. Memory holds the gradients of one chunk of examples at all their points.

    Args:
        path: One that looks ahead.
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
    shortest = _SHORTEST * max(torch.finfo(float_dtype(tensor)).eps for tensor in inputs)
    parts: list[Tensors] = []
    rises: list[Tensor] = []
    courses: list[Course] = []
    with progress(total=len(inputs[0])) as bar:
        for rows in chunks:
            laid_out = [
                _Example(path, quadrature, tuple(end[k : k + 1] for end in ends), tuple(s[k : k + 1] for s in starts))
                for k in range(rows.start, rows.stop)
            ]
            _refine(laid_out, evaluate.rows(rows), refinement, shortest)
            for example in laid_out:
                parts.append(example.attributions)
                rises.append(example.change)
                courses.append(example.course(refinement.tol))
                bar.update()
    if courses:
        evaluate.check_gradient()
    attributions, delta = finish(parts, rises, inputs)
    assert delta is not None, "rises were given"
    return attributions, delta, courses


def _refine(examples: list[_Example], evaluate: Evaluator, refinement: Refinement, shortest: float) -> None:
    first = min(_FIRST, refinement.max_steps)
    visits = [(k, [j / first for j in range(first + 1)]) for k in range(len(examples))]
    while visits:
        _visit(examples, visits, evaluate, refinement.internal_batch_size)
        visits = [
            (k, midpoints)
            for k, example in enumerate(examples)
            if (midpoints := example.midpoints(refinement.tol, refinement.max_steps, shortest))
        ]


def _visit(
    examples: list[_Example],
    visits: Sequence[tuple[int, list[float]]],
    evaluate: Evaluator,
    internal_batch_size: int | None,
) -> None:
    """Evaluate these positions of each example's path, in shared forward passes, and hand the results over."""
    rows = torch.tensor([k for k, positions in visits for _ in positions], device="cpu")
    pieces = [examples[k].points(positions) for k, positions in visits]
    points = tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))
    values, gradients = [], []
    for chunk in split(points, 1, internal_batch_size, True)[0]:
        value, gradient = evaluate.rows(rows[chunk])(tuple(point[chunk].unsqueeze(0) for point in points))
        assert value is not None, "asked for"
        values.append(value[0])
        gradients.append(tuple(part[0] for part in gradient))
    sizes = [len(positions) for _, positions in visits]
    for_each = zip(
        visits,
        torch.cat(values).split(sizes),
        zip(*(torch.cat(parts).split(sizes) for parts in zip(*gradients, strict=True)), strict=True),
        pieces,
        strict=True,
    )
    for (k, positions), value, gradient, point in for_each:
        examples[k].insert(positions, _Nodes(point, value, gradient))


class _Nodes(NamedTuple):
    """K points of one example's path, each tensor (K, ...)."""

    points: Tensors
    values: Tensor
    gradients: Tensors

    def pick(self, indices: list[int]) -> _Nodes:
        index = torch.tensor(indices, device=self.values.device)
        return _Nodes(tuple(p[index] for p in self.points), self.values[index], tuple(g[index] for g in self.gradients))

    def join(self, others: _Nodes) -> _Nodes:
        return _Nodes(
            tuple(torch.cat(pair) for pair in zip(self.points, others.points, strict=True)),
            torch.cat([self.values, others.values]),
            tuple(torch.cat(pair) for pair in zip(self.gradients, others.gradients, strict=True)),
        )


class _Example:
    """One example's path with the points that were visited, and what is known of the error between them."""

    def __init__(self, path: Path, quadrature: Quadrature, end: Tensors, start: Tensors) -> None:
        self._path = path
        self._quadrature = quadrature
        self._ends = end, start
        self.positions: list[float] = []
        self._nodes: _Nodes | None = None
        # Of each interval, in order: its map's error, and the change of F that the gradients at its ends leave over.
        self._map_errors = torch.zeros(0, dtype=torch.float64, device="cpu")
        self._unexplained = torch.zeros(0, dtype=torch.float64, device="cpu")
        self.attributions: Tensors = ()
        self._errors = IntegrationErrors(math.inf, math.inf, math.inf)
        self._scales = 1.0, 1.0

    def points(self, positions: list[float]) -> Tensors:
        """The path's points there, each (K, ...)."""
        nodes = tuple(positions)
        trace = self._path.trace(*self._ends, Grid(nodes, nodes, nodes))
        return tuple(point[:, 0] for point in trace.points(slice(0, len(nodes))))

    def insert(self, positions: list[float], nodes: _Nodes) -> None:
        """Take further points into account, of which no two are in the same interval (but for the first ones)."""
        everything = self.positions + positions
        order = sorted(range(len(everything)), key=everything.__getitem__)
        is_new = [index >= len(self.positions) for index in order]
        joined = nodes if self._nodes is None else self._nodes.join(nodes).pick(order)
        changed = [k for k in range(len(order) - 1) if is_new[k] or is_new[k + 1]]
        kept = [k for k in range(len(order) - 1) if not (is_new[k] or is_new[k + 1])]
        before = [order[k] for k in kept]  # where the intervals that stay were
        errors = torch.zeros(2, len(order) - 1, dtype=torch.float64, device="cpu")
        errors[:, kept] = torch.stack([self._map_errors, self._unexplained])[:, before]
        errors[:, changed] = self._interval_errors(joined, changed)
        self._map_errors, self._unexplained = errors
        self.positions, self._nodes = [everything[index] for index in order], joined
        self._summarize()

    def _interval_errors(self, nodes: _Nodes, intervals: list[int]) -> Tensor:
        left, right = nodes.pick(intervals), nodes.pick([k + 1 for k in intervals])
        moves = tuple(after - before for before, after in zip(left.points, right.points, strict=True))
        values, gradients = (left.values, right.values), (left.gradients, right.gradients)
        explained = torch.stack(
            [_dot(before + after, move) / 2 for before, after, move in zip(*gradients, moves, strict=True)]
        ).sum(0)
        map_errors = self._quadrature.interval_errors(values, gradients, moves)
        # One transfer to the host for a round.
        return torch.stack([map_errors, explained - (right.values - left.values)]).cpu().double()

    def _summarize(self) -> None:
        assert self._nodes is not None
        at, nodes = tuple(self.positions), self._nodes
        trace = self._path.trace(*self._ends, Grid(at, (at[0], *at[:-1]), (*at[1:], at[-1])))
        running = self._quadrature.begin()
        running.update(
            Segment(
                tuple(point.unsqueeze(1) for point in nodes.points),
                nodes.values.unsqueeze(1),
                tuple(gradient.unsqueeze(1) for gradient in nodes.gradients),
                lambda before, after: trace.increments(slice(0, len(at)), before, after),
            )
        )
        self.attributions = running.result()
        flat = torch.cat([part.flatten() for part in self.attributions])
        norm, total, change = torch.stack([flat.norm(), flat.sum(), self.change[0]]).tolist()
        explained = self._unexplained.sum() if self._quadrature.uses_increments else total - change
        self._scales = 1 / (norm or 1.0), 1 / (abs(change) or 1.0)
        self._errors = IntegrationErrors(
            map=_ratio(float(self._map_errors.norm()), norm),
            completeness=_ratio(abs(float(explained)), abs(change)),
            unexplained=_ratio(float(self._unexplained.norm()), abs(change)),
        )

    @property
    def change(self) -> Tensor:
        """F(end) - F(start), (1,)."""
        assert self._nodes is not None
        return self._nodes.values[-1:] - self._nodes.values[:1]

    def midpoints(self, tol: float, max_steps: int, shortest: float) -> list[float]:
        """The middles of the intervals to halve: those with the largest errors; none if the example is done."""
        room = max_steps - len(self._map_errors)
        if room <= 0 or self._converged(tol):
            return []
        error = torch.maximum(self._map_errors * self._scales[0], self._unexplained.abs() * self._scales[1])
        at = torch.tensor(self.positions, dtype=torch.float64, device="cpu")
        # Where F jumps or is not finite, halving does not help; if most of the error is there, the example is done.
        helps = (at.diff() > shortest) & error.isfinite() & (error > 0)
        largest = error.nan_to_num(torch.inf).sort(descending=True, stable=True)
        before = largest.values.square().cumsum(0) - largest.values.square()
        needed = before < _SHARE * error.square().sum()
        chosen = largest.indices[needed]
        chosen = chosen[helps[chosen]][:room].sort().values
        return ((at[chosen] + at[chosen + 1]) / 2).tolist()

    def _converged(self, tol: float) -> bool:
        return self._quadrature.relative_error(self._errors) <= tol

    def course(self, tol: float) -> Course:
        """How the example was integrated, for its diagnostics."""
        assert self._nodes is not None
        positions = torch.tensor(self.positions, dtype=torch.float64, device="cpu")
        return Course(positions, self._nodes.values, self._errors.map, self._converged(tol))


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """The inner products of K pairs, (K, ...) each; (K,)."""
    return by_example(one * other).sum(1)


def _ratio(error: float, size: float) -> float:
    return error / size if size else (0.0 if error == 0 else math.inf)
