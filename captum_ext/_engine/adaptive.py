"""Adaptive step control: intervals of the path are halved until the attributions are accurate enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.results import PathRecord
from captum_ext._utils.tensors import Tensors, by_example, float_dtype
from captum_ext._utils.warnings import warn
from captum_ext.paths import Path
from captum_ext.quadratures import Grid, IntegrationErrors, Quadrature, Segment

_FIRST = 4  # intervals to start with
_SHARE = 0.5  # of the squared error, which is halved in a round: fewer rounds, or fewer gradients
_SHORTEST = 4  # an interval of so many units of rounding has no midpoint that the model could tell from its ends


@dataclass(frozen=True)
class AdaptiveSteps:
    """As many steps as each example needs.

    Args:
        tol: The relative error to reach.
        max_steps: The most steps.
    """

    tol: float
    max_steps: int

    def plan(
        self, path: Path, quadratures: Sequence[Quadrature], inputs: Tensors, most_rows: int | None
    ) -> AdaptivePlan:
        """How the examples are split; every quadrature takes the trapezoid rule on the points found."""
        shortest = _SHORTEST * max(torch.finfo(float_dtype(tensor)).eps for tensor in inputs)
        chunks, _ = split(inputs, 1, most_rows, True)
        return AdaptivePlan(path, list(quadratures), chunks, most_rows, Stop(self.tol, self.max_steps, shortest))

    def warn_if_missed(self, records: Sequence[PathRecord]) -> None:
        """Warn about the examples that did not converge.

        Warns:
            RuntimeWarning: If there are any.
        """
        missed = [index for index, record in enumerate(records) if not record.converged]
        short = [index for index in missed if len(records[index].positions) > self.max_steps]
        stuck = [index for index in missed if index not in short]
        if short:
            warn(
                f"n_steps='auto': {len(short)} of {len(records)} examples did not reach tol={self.tol:g} within "
                f"max_steps={self.max_steps} (the first are {short[:5]}). Give more max_steps or a larger tol; "
                "return_diagnostics=True shows the error of each.",
                RuntimeWarning,
            )
        if stuck:
            warn(
                f"n_steps='auto': {len(stuck)} of {len(records)} examples can't reach tol={self.tol:g} (the first are "
                f"{stuck[:5]}): the output jumps, or is not finite, between points that its dtype can't tell apart, so "
                "no gradient explains its change. Explain a smoother output, such as the logit, or give inputs in "
                "float64.",
                RuntimeWarning,
            )


class Stop(NamedTuple):
    """When to stop halving."""

    tol: float
    max_steps: int
    shortest: float  # the length of an interval


class AdaptivePlan(NamedTuple):
    """What holds for all chunks of examples."""

    path: Path
    quadratures: list[Quadrature]
    chunks: list[slice]
    most_rows: int | None
    stop: Stop

    @property
    def ticks(self) -> int:
        """How far a progress bar moves: once per example."""
        return sum(rows.stop - rows.start for rows in self.chunks)

    def start(self, end: Tensors, start: Tensors, evaluator: Evaluator) -> AdaptiveWalk:
        """The walk of one chunk of examples."""
        return AdaptiveWalk(self, end, start, evaluator)


class _Nodes(NamedTuple):
    """K points of one example's path, each tensor (K, ...)."""

    points: Tensors
    values: Tensor
    gradients: Tensors

    def pick(self, indices: list[int]) -> _Nodes:
        index = torch.tensor(indices, device=self.values.device)
        return _Nodes(tuple(p[index] for p in self.points), self.values[index], tuple(g[index] for g in self.gradients))

    @staticmethod
    def joined(parts: Sequence[_Nodes]) -> _Nodes:
        points, values, gradients = zip(*parts, strict=True)
        return _Nodes(
            tuple(torch.cat(pieces) for pieces in zip(*points, strict=True)),
            torch.cat(values),
            tuple(torch.cat(pieces) for pieces in zip(*gradients, strict=True)),
        )


class _Request(NamedTuple):
    """Points of several examples that share a forward pass."""

    rows: Tensor  # whose points these are, (R,)
    points: Tensors  # each (R, ...)


class AdaptiveWalk:
    """The examples of one chunk, each with the points that it needs so far; each request is one forward pass."""

    def __init__(self, plan: AdaptivePlan, end: Tensors, start: Tensors, evaluator: Evaluator) -> None:
        self._plan = plan
        self._evaluator = evaluator
        self._visited: list[_Nodes] = []  # in this round
        self._examples = [
            _Example(plan, tuple(t[row] for t in end), tuple(t[row] for t in start), evaluator.rows(row))
            for row in (slice(k, k + 1) for k in range(len(end[0])))
        ]

    def requests(self) -> Iterator[_Request]:
        """Round after round, the middles of the intervals with the largest errors."""
        first = min(_FIRST, self._plan.stop.max_steps)
        visits = [(example, [j / first for j in range(first + 1)]) for example in self._examples]
        while visits:
            yield from self._round(visits)
            sizes = [len(positions) for _, positions in visits]
            nodes = _Nodes.joined(self._visited)
            self._visited.clear()
            at = 0
            for (example, positions), size in zip(visits, sizes, strict=True):
                example.insert(positions, _slice(nodes, at, at + size))
                at += size
            visits = [(example, middles) for example in self._examples if (middles := example.midpoints())]

    def _round(self, visits: Sequence[tuple[_Example, list[float]]]) -> Iterator[_Request]:
        index = {id(example): k for k, example in enumerate(self._examples)}
        rows = torch.tensor([index[id(e)] for e, positions in visits for _ in positions], device="cpu")
        points = tuple(torch.cat(parts) for parts in zip(*(e.points(at) for e, at in visits), strict=True))
        for chunk in split(points, 1, self._plan.most_rows, True)[0]:
            yield _Request(rows[chunk], tuple(point[chunk] for point in points))

    def visit(self, request: _Request) -> int:
        """Evaluate F at the points; a progress bar counts examples, when all of a chunk are done."""
        points = tuple(point.unsqueeze(0) for point in request.points)
        values, gradients = self._evaluator.rows(request.rows)(points, keep=True)
        assert values is not None, "asked for"
        self._visited.append(_Nodes(request.points, values[0], tuple(gradient[0] for gradient in gradients)))
        return 0

    def remaining_ticks(self) -> int:
        """One per example."""
        return len(self._examples)

    def results(self) -> list[Tensors]:
        """The attributions of each quadrature."""
        of_examples = [example.attributions for example in self._examples]
        return [
            tuple(torch.cat(parts) for parts in zip(*of_one, strict=True)) for of_one in zip(*of_examples, strict=True)
        ]

    def output_deltas(self) -> Tensor:
        """F's change from the start of each example's path to its end, (B,)."""
        return torch.cat([example.change for example in self._examples])

    def records(self, results: list[Tensors], asked: int) -> list[list[PathRecord]]:
        """For each quadrature, how each example was integrated."""
        return [[example.record(k) for example in self._examples] for k in range(asked)]


def _slice(nodes: _Nodes, start: int, stop: int) -> _Nodes:
    part = slice(start, stop)
    return _Nodes(tuple(p[part] for p in nodes.points), nodes.values[part], tuple(g[part] for g in nodes.gradients))


class _Example:
    """One example's path with the points that were visited, and what is known of the error between them."""

    def __init__(self, plan: AdaptivePlan, end: Tensors, start: Tensors, evaluator: Evaluator) -> None:
        self._quadratures = plan.quadratures
        self._stop = plan.stop
        self._trajectory = plan.path.trajectory(end, start, Grid((), (), ()), evaluator)
        self.positions: list[float] = []
        self._nodes: _Nodes | None = None
        # Of each interval, in order: what the gradients at its ends leave over of F's change, and each map's error.
        self._interval_errors = torch.zeros(1 + len(plan.quadratures), 0, dtype=torch.float64, device="cpu")
        self._errors: list[IntegrationErrors] = []
        self._scales = torch.ones(1 + len(plan.quadratures), 1, dtype=torch.float64, device="cpu")
        self.attributions: list[Tensors] = []

    def points(self, positions: list[float]) -> Tensors:
        """The path's points there, each (K, ...)."""
        nodes = tuple(positions)
        return tuple(point[:, 0] for point in self._trajectory.points(Grid(nodes, (0.0,) * len(nodes), nodes)))

    def insert(self, positions: list[float], nodes: _Nodes) -> None:
        """Take further points into account, of which no two are in the same interval (but for the first ones)."""
        everything = self.positions + positions
        order = sorted(range(len(everything)), key=everything.__getitem__)
        is_new = [index >= len(self.positions) for index in order]
        joined = nodes if self._nodes is None else _Nodes.joined([self._nodes, nodes]).pick(order)
        changed = [k for k in range(len(order) - 1) if is_new[k] or is_new[k + 1]]
        kept = [k for k in range(len(order) - 1) if not (is_new[k] or is_new[k + 1])]
        errors = torch.zeros(len(self._interval_errors), len(order) - 1, dtype=torch.float64, device="cpu")
        errors[:, kept] = self._interval_errors[:, [order[k] for k in kept]]  # where the intervals that stay were
        at = torch.tensor([everything[index] for index in order], dtype=torch.float64, device="cpu")
        errors[:, changed] = self._errors_of(joined, changed, at)
        self._interval_errors = errors
        self.positions, self._nodes = [everything[index] for index in order], joined
        self._sum()

    def _errors_of(self, nodes: _Nodes, intervals: list[int], at: Tensor) -> Tensor:
        left, right = nodes.pick(intervals), nodes.pick([k + 1 for k in intervals])
        moves = tuple(after - before for before, after in zip(left.points, right.points, strict=True))
        values, gradients = (left.values, right.values), (left.gradients, right.gradients)
        explained = torch.stack(
            [_dot(before + after, move) / 2 for before, after, move in zip(*gradients, moves, strict=True)]
        ).sum(0)
        positions = (at[intervals], at[[k + 1 for k in intervals]])
        maps = [quadrature.interval_errors(values, gradients, moves, positions) for quadrature in self._quadratures]
        # One transfer to the host per round.
        return torch.stack([explained - (right.values - left.values), *maps]).detach().cpu().double()

    def _sum(self) -> None:
        assert self._nodes is not None
        at, nodes = tuple(self.positions), self._nodes
        grid = Grid(at, (at[0], *at[:-1]), (*at[1:], at[-1]))
        segment = Segment(
            tuple(point.unsqueeze(1) for point in nodes.points),
            nodes.values.unsqueeze(1),
            tuple(gradient.unsqueeze(1) for gradient in nodes.gradients),
            partial(self._trajectory.increments, grid),
            grid,
        )
        accumulators = [quadrature.init() for quadrature in self._quadratures]
        for accumulator in accumulators:
            accumulator.update(segment)
        self.attributions = [accumulator.result() for accumulator in accumulators]
        flat = [torch.cat([part.detach().flatten() for part in parts]) for parts in self.attributions]
        norms, sums = (torch.stack(numbers).tolist() for numbers in ([f.norm() for f in flat], [f.sum() for f in flat]))
        norms = [_ratio(norm, abs(float(a.error_scale))) for norm, a in zip(norms, accumulators, strict=True)]
        change = float(self.change.detach())
        left_over, maps = self._interval_errors[0], self._interval_errors[1:]
        sizes = [[abs(change) or 1.0], *([norm or 1.0] for norm in norms)]
        self._scales = 1 / torch.tensor(sizes, dtype=torch.float64, device="cpu")
        self._errors = [
            IntegrationErrors(
                map=_ratio(float(of_map.norm()), norm),
                completeness=_ratio(
                    abs(float(left_over.sum()) if quadrature.uses_increments else total - change), abs(change)
                ),
                unexplained=_ratio(float(left_over.norm()), abs(change)),
            )
            for quadrature, of_map, norm, total in zip(self._quadratures, maps, norms, sums, strict=True)
        ]

    @property
    def change(self) -> Tensor:
        """F(end) - F(start), (1,)."""
        assert self._nodes is not None
        return self._nodes.values[-1:] - self._nodes.values[:1]

    def midpoints(self) -> list[float]:
        """The middles of the intervals to halve: those with the largest errors; none if the example is done."""
        room = self._stop.max_steps - self._interval_errors.shape[1]
        if room <= 0 or all(map(self._converged, range(len(self._quadratures)))):
            return []
        error = (self._interval_errors.abs() * self._scales).amax(0)
        at = torch.tensor(self.positions, dtype=torch.float64, device="cpu")
        # Where F jumps or is not finite, halving does not help; if most of the error is there, the example is done.
        helps = (at.diff() > self._stop.shortest) & error.isfinite() & (error > 0)
        largest = error.nan_to_num(torch.inf).sort(descending=True, stable=True)
        before = largest.values.square().cumsum(0) - largest.values.square()
        needed = before < _SHARE * error.square().sum()
        chosen = largest.indices[needed]
        chosen = chosen[helps[chosen]][:room].sort().values
        return ((at[chosen] + at[chosen + 1]) / 2).tolist()

    def _converged(self, k: int) -> bool:
        return self._quadratures[k].relative_error(self._errors[k]) <= self._stop.tol

    def record(self, k: int) -> PathRecord:
        """How the example was integrated for one of the quadratures."""
        assert self._nodes is not None
        positions = torch.tensor(self.positions, dtype=torch.float64, device="cpu")
        return PathRecord(positions, self._nodes.values, self._errors[k].map, self._converged(k))


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """The inner products of K pairs, (K, ...) each; (K,)."""
    return by_example(one * other).sum(1)


def _ratio(error: float, size: float) -> float:
    return error / size if size else (0.0 if error == 0 else math.inf)
