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
from captum_ext._utils.tensors import Tensors, by_example, float_dtype, per_node
from captum_ext._utils.warnings import warn
from captum_ext.paths import Path
from captum_ext.quadratures import Grid, IntegrationErrors, Quadrature, Segment

_FIRST_INTERVALS = 4
_SHARE_PER_ROUND = 0.5  # of the squared error; a larger share takes fewer rounds, a smaller one fewer gradients
_SHORTEST = 4  # units of rounding; the model can't distinguish the midpoint of a shorter interval from its ends


@dataclass(frozen=True)
class AdaptiveSteps:
    """A number of steps that is chosen per example.

    Args:
        tol: The relative error to reach.
        max_steps: The most steps.
    """

    tol: float
    max_steps: int

    def plan(
        self, path: Path, quadratures: Sequence[Quadrature], inputs: Tensors, most_rows: int | None
    ) -> AdaptivePlan:
        """The split of the examples into chunks."""
        shortest = _SHORTEST * max(torch.finfo(float_dtype(tensor)).eps for tensor in inputs)
        chunks, _ = split(inputs, 1, most_rows, True)
        return AdaptivePlan(
            path, list(quadratures), chunks, len(inputs[0]), most_rows, self.tol, self.max_steps, shortest
        )

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


class AdaptivePlan(NamedTuple):
    """The settings that all chunks of examples share.

    Attributes:
        path: The path.
        quadratures: The quadratures, with rules whose points are kept when intervals are halved.
        chunks: The examples of each walk.
        n_ticks: The number of examples.
        most_rows: The most rows of a forward pass.
        tol: The relative error to reach.
        max_steps: The most steps.
        shortest: The length of the shortest interval that is halved.
    """

    path: Path
    quadratures: list[Quadrature]
    chunks: list[slice]
    n_ticks: int
    most_rows: int | None
    tol: float
    max_steps: int
    shortest: float

    def start(self, end: Tensors, start: Tensors, evaluator: Evaluator) -> AdaptiveWalk:
        """Start the walk of one chunk of examples."""
        return AdaptiveWalk(self, end, start, evaluator)


class _Nodes(NamedTuple):
    """K points of one example's path, each tensor (K, ...)."""

    points: Tensors
    values: Tensor
    gradients: Tensors

    def select(self, index: Tensor | slice) -> _Nodes:
        return _Nodes(tuple(p[index] for p in self.points), self.values[index], tuple(g[index] for g in self.gradients))

    @staticmethod
    def concatenate(parts: Sequence[_Nodes]) -> _Nodes:
        points, values, gradients = zip(*parts, strict=True)
        return _Nodes(
            tuple(torch.cat(pieces) for pieces in zip(*points, strict=True)),
            torch.cat(values),
            tuple(torch.cat(pieces) for pieces in zip(*gradients, strict=True)),
        )


class _Request(NamedTuple):
    """Points of several examples that share a forward pass."""

    rows: Tensor  # the example of each point, (R,)
    points: Tensors  # each (R, ...)


class AdaptiveWalk:
    """The walk of one chunk of examples, each with its own points; each request is one forward pass."""

    def __init__(self, plan: AdaptivePlan, end: Tensors, start: Tensors, evaluator: Evaluator) -> None:
        self._plan = plan
        self._evaluator = evaluator
        self._visited: list[_Nodes] = []  # in this round
        self._examples = [
            _Example(plan, tuple(t[row] for t in end), tuple(t[row] for t in start), evaluator.rows(row))
            for row in (slice(k, k + 1) for k in range(len(end[0])))
        ]
        self.n_ticks = len(self._examples)

    def requests(self) -> Iterator[_Request]:
        """Round after round, the midpoints of the intervals with the largest errors."""
        first = min(_FIRST_INTERVALS, self._plan.max_steps)
        visits = [(example, [j / first for j in range(first + 1)]) for example in self._examples]
        while visits:
            yield from self._requests_of_round(visits)
            nodes = _Nodes.concatenate(self._visited)
            self._visited.clear()
            begin = 0
            for example, positions in visits:
                example.insert(positions, nodes.select(slice(begin, begin + len(positions))))
                begin += len(positions)
            visits = [(example, middles) for example in self._examples if (middles := example.midpoints())]

    def _requests_of_round(self, visits: Sequence[tuple[_Example, list[float]]]) -> Iterator[_Request]:
        index = {id(example): k for k, example in enumerate(self._examples)}
        rows = torch.tensor([index[id(example)] for example, positions in visits for _ in positions], device="cpu")
        points_of_examples = [example.points(positions) for example, positions in visits]
        points = tuple(torch.cat(parts) for parts in zip(*points_of_examples, strict=True))
        for chunk in split(points, 1, self._plan.most_rows, True)[0]:
            yield _Request(rows[chunk], tuple(point[chunk] for point in points))

    def visit(self, request: _Request) -> int:
        """Evaluate F and its gradient; no progress, because examples are counted when all of a chunk are done."""
        points = tuple(point.unsqueeze(0) for point in request.points)
        values, gradients = self._evaluator.rows(request.rows)(points, keep=True)
        assert values is not None, "needed"
        self._visited.append(_Nodes(request.points, values[0], tuple(gradient[0] for gradient in gradients)))
        return 0

    def results(self) -> list[tuple[Tensors, list[PathRecord]]]:
        """The attributions of each quadrature, and its records, one per example."""
        of_quadratures = zip(*(example.attributions for example in self._examples), strict=True)
        return [
            (
                tuple(torch.cat(parts) for parts in zip(*attributions, strict=True)),
                [example.record(k) for example in self._examples],
            )
            for k, attributions in enumerate(of_quadratures)
        ]

    def output_deltas(self) -> Tensor:
        """F's change from the start of each example's path to its end, (B,)."""
        return torch.cat([example.output_delta for example in self._examples])


class _Example:
    """One example's path: the points visited so far, and estimates of the errors between them."""

    def __init__(self, plan: AdaptivePlan, end: Tensors, start: Tensors, evaluator: Evaluator) -> None:
        self._plan = plan
        self._quadratures = plan.quadratures
        self._trajectory = plan.path.trajectory(end, start, Grid((), (), ()), evaluator)
        self.positions: list[float] = []
        self._nodes: _Nodes | None = None
        # Of each interval, in order: F's change that the trapezoid rule does not explain, then each map's error.
        self._interval_errors = torch.zeros(1 + len(plan.quadratures), 0, dtype=torch.float64, device="cpu")
        self._errors: list[IntegrationErrors] = []
        self._scales = torch.ones(1 + len(plan.quadratures), 1, dtype=torch.float64, device="cpu")
        self.attributions: list[Tensors] = []

    def points(self, positions: list[float]) -> Tensors:
        """The path's points at further positions, each (K, ...).

        Raises:
            ValueError: If the path can't be walked on these and the previous positions.
        """
        walked = _closed_cells(sorted(self.positions + positions))
        if self._plan.path.adapt_grid(walked).nodes != walked.nodes:
            raise ValueError(
                f"n_steps='auto' is not available on {type(self._plan.path).__name__}, whose adapt_grid() changes the "
                "positions where intervals are halved. Give a number."
            )
        nodes = tuple(positions)
        return tuple(point[:, 0] for point in self._trajectory.points(Grid(nodes, (0.0,) * len(nodes), nodes)))

    def insert(self, positions: list[float], nodes: _Nodes) -> None:
        """Insert further points, at most one per interval after the first call."""
        unsorted = self.positions + positions
        order = sorted(range(len(unsorted)), key=unsorted.__getitem__)
        is_new = [index >= len(self.positions) for index in order]
        if self._nodes is not None:
            joined = _Nodes.concatenate([self._nodes, nodes])
            nodes = joined.select(torch.tensor(order, device=joined.values.device))
        # The path's velocity at a point depends on both of its neighbors.
        is_changed = [any(is_new[max(k - 1, 0) : k + 3]) for k in range(len(order) - 1)]
        changed = [k for k, is_one in enumerate(is_changed) if is_one]
        kept = [k for k, is_one in enumerate(is_changed) if not is_one]
        errors = torch.zeros(len(self._interval_errors), len(order) - 1, dtype=torch.float64, device="cpu")
        errors[:, kept] = self._interval_errors[:, [order[k] for k in kept]]  # indexed by the previous order
        self.positions, self._nodes = [unsorted[index] for index in order], nodes
        errors[:, changed] = self._errors_of(nodes, changed)
        self._interval_errors = errors
        self._integrate(nodes)

    def _errors_of(self, nodes: _Nodes, intervals: list[int]) -> Tensor:
        index = torch.tensor(intervals, device=nodes.values.device)
        left, right = nodes.select(index), nodes.select(index + 1)
        steps = tuple(after - before for before, after in zip(left.points, right.points, strict=True))
        values, gradients = (left.values, right.values), (left.gradients, right.gradients)
        trapezoid = torch.stack(
            [
                by_example((before + after) * step).sum(1) / 2
                for before, after, step in zip(*gradients, steps, strict=True)
            ]
        ).sum(0)
        positions = torch.tensor(self.positions, dtype=torch.float64, device="cpu")
        ends = (positions[intervals], positions[[k + 1 for k in intervals]])
        # The path's own moves, from which multiply_by_inputs=False leaves out the inputs.
        starts = tuple(self.positions[:-1])
        cells = Grid(starts, starts, tuple(self.positions[1:]))
        all_moves = tuple(move[:, 0] for move in self._trajectory.increments(cells, 0.0, 1.0))
        rates = tuple(_velocities(move, positions.diff()) for move in all_moves)
        moves = tuple(move[index] for move in all_moves)
        velocities = tuple(rate[index] for rate in rates), tuple(rate[index + 1] for rate in rates)
        maps = [
            quadrature.interval_errors(values, gradients, moves, ends, velocities) for quadrature in self._quadratures
        ]
        # One transfer to the host per round.
        return torch.stack([trapezoid - (right.values - left.values), *maps]).detach().cpu().double()

    def _integrate(self, nodes: _Nodes) -> None:
        grid = _closed_cells(self.positions)
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
        change = float(self.output_delta.detach())
        unexplained, maps = self._interval_errors[0], self._interval_errors[1:]
        sizes = [[abs(change) or 1.0], *([norm or 1.0] for norm in norms)]
        self._scales = 1 / torch.tensor(sizes, dtype=torch.float64, device="cpu")
        self._errors = [
            IntegrationErrors(
                map=_ratio(float(map_errors.norm()), norm),
                completeness=_ratio(
                    abs(float(unexplained.sum()) if quadrature.uses_increments else total - change), abs(change)
                ),
                unexplained=_ratio(float(unexplained.norm()), abs(change)),
            )
            for quadrature, map_errors, norm, total in zip(self._quadratures, maps, norms, sums, strict=True)
        ]

    @property
    def output_delta(self) -> Tensor:
        """F(end) - F(start), (1,)."""
        assert self._nodes is not None
        return self._nodes.values[-1:] - self._nodes.values[:1]

    def midpoints(self) -> list[float]:
        """The midpoints of the intervals with the largest errors; empty if the example is done."""
        room = self._plan.max_steps - self._interval_errors.shape[1]
        if room <= 0 or all(map(self._converged, range(len(self._quadratures)))):
            return []
        error = (self._interval_errors.abs() * self._scales).amax(0)
        positions = torch.tensor(self.positions, dtype=torch.float64, device="cpu")
        # Halving does not help where F jumps or is not finite; if most of the error is there, the example is done.
        can_improve = (positions.diff() > self._plan.shortest) & error.isfinite() & (error > 0)
        largest = error.nan_to_num(torch.inf).sort(descending=True, stable=True)
        before = largest.values.square().cumsum(0) - largest.values.square()
        chosen = largest.indices[before < _SHARE_PER_ROUND * error.square().sum()]
        chosen = chosen[can_improve[chosen]][:room].sort().values
        return ((positions[chosen] + positions[chosen + 1]) / 2).tolist()

    def _converged(self, k: int) -> bool:
        return self._quadratures[k].relative_error(self._errors[k]) <= self._plan.tol

    def record(self, k: int) -> PathRecord:
        """The record of the example's integration by one of the quadratures."""
        assert self._nodes is not None
        positions = torch.tensor(self.positions, dtype=torch.float64, device="cpu")
        return PathRecord(positions, self._nodes.values, self._errors[k].map, self._converged(k))


def _closed_cells(positions: Sequence[float]) -> Grid:
    """Nodes with cells that reach from neighbor to neighbor."""
    nodes = tuple(positions)
    return Grid(nodes, (nodes[0], *nodes[:-1]), (*nodes[1:], nodes[-1]), rule="n_steps='auto'")


def _ratio(error: float, size: float) -> float:
    return error / size if size else (0.0 if error == 0 else math.inf)


def _velocities(moves: Tensor, lengths: Tensor) -> Tensor:
    """The path's derivative at all points (K + 1, ...), from its moves (K, ...) on intervals of these lengths."""
    lengths = lengths.to(moves.dtype).to(moves.device)
    secants = moves / per_node(lengths, moves)
    share = lengths[:-1] / (lengths[:-1] + lengths[1:])  # the shorter interval's secant counts more
    inner = secants[:-1] + per_node(share, secants[1:]) * secants.diff(dim=0)
    return torch.cat([secants[:1], inner, secants[-1:]])
