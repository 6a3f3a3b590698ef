"""Step control with a fixed number of steps: all nodes of a grid, a few in each forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.results import PathRecord
from captum_ext._utils.tensors import Tensors, by_example
from captum_ext.paths import Path
from captum_ext.paths.base import Trajectory
from captum_ext.quadratures import Quadrature, Segment, Subsampled
from captum_ext.quadratures.grid import Grid, offset, shared_grid


class FixedSteps:
    """Steps of a number that the user chose.

    Args:
        n_steps: How many.
        record: Whether to record F on the path.
        estimate: Whether to estimate the error of the map, where half the points tell it.
    """

    def __init__(self, n_steps: int, record: bool = False, estimate: bool = False) -> None:
        self._n_steps = n_steps
        self._record = record
        self._estimate = estimate

    def plan(self, path: Path, quadratures: Sequence[Quadrature], inputs: Tensors, most_rows: int | None) -> FixedPlan:
        """The nodes, and how they and the examples are split into forward passes."""
        grids = [quadrature.grid(self._n_steps) for quadrature in quadratures]
        walked = path.adapt_grid(shared_grid(grids))
        everything = list(quadratures)
        closed = all(grid.steps == self._n_steps for grid in grids)
        if self._estimate and closed and self._n_steps % 2 == 0 and len(walked) > self._n_steps:
            everything += [Subsampled(quadrature, 2) for quadrature in quadratures]
            grids += [quadrature.grid(self._n_steps) for quadrature in everything[len(grids) :]]
        examples, nodes = split(inputs, len(walked), most_rows, path.look_ahead)
        return FixedPlan(path, everything, grids, walked, examples, nodes, self._record)


class FixedPlan(NamedTuple):
    """What is walked by all chunks of examples."""

    path: Path
    quadratures: list[Quadrature]
    grids: list[Grid]  # of each quadrature
    walked: Grid  # which has all their nodes
    chunks: list[slice]  # of examples
    nodes: list[slice]
    record: bool

    @property
    def ticks(self) -> int:
        """How often a progress bar moves: once per forward pass."""
        return len(self.chunks) * len(self.nodes)

    def start(self, end: Tensors, start: Tensors, evaluator: Evaluator) -> FixedWalk:
        """The walk of one chunk of examples."""
        trajectory = self.path.trajectory(end, start, self.walked, evaluator)
        return FixedWalk(self, trajectory, evaluator, (start, end))


class FixedWalk:
    """One chunk of examples on its way along all nodes; each request is some of the nodes."""

    def __init__(
        self, plan: FixedPlan, trajectory: Trajectory, evaluator: Evaluator, ends: tuple[Tensors, Tensors]
    ) -> None:
        self._plan = plan
        self._ends = ends
        self._trajectory = trajectory
        self._evaluator = evaluator
        self._accumulators = [quadrature.init() for quadrature in plan.quadratures]
        self._values: list[Tensor] = []
        self._n_visited = 0

    def requests(self) -> Iterator[slice]:
        """The nodes of each forward pass, until the path has no more points."""
        for nodes in self._plan.nodes:
            if self._trajectory.finished:
                return
            yield nodes

    def visit(self, nodes: slice) -> int:
        """Evaluate F at these nodes and hand the segment to the accumulators; how far a progress bar moves."""
        self._n_visited += 1
        grid = self._plan.walked.part(nodes)
        points, values, gradients = self._trajectory.visit(grid, self._evaluator)
        if self._plan.record and values is not None:
            self._values.append(values)
        if self._trajectory.backward:  # the way back with F is the way there with -F, for any quadrature
            values, gradients = None if values is None else -values, tuple(-gradient for gradient in gradients)
        segment = Segment(points, values, gradients, partial(self._trajectory.increments, grid), grid)
        for accumulator, own in zip(self._accumulators, self._plan.grids, strict=True):
            part = segment if own == self._plan.walked else self._part(segment, own, nodes)
            if len(part.grid):  # a rule may have none of these nodes, such as the left rule of the last one alone
                accumulator.update(part)
        return 1

    def _part(self, segment: Segment, own: Grid, nodes: slice) -> Segment:
        """The segment with a quadrature's own nodes and cells."""
        shift = offset(own, self._plan.walked)
        first = max(nodes.start - shift, 0)
        grid = own.part(slice(first, max(nodes.stop - shift, 0)))
        return segment.of(grid, first + shift - nodes.start, partial(self._trajectory.increments, grid))

    def remaining_ticks(self) -> int:
        """The passes that a path which ended early did not need."""
        return len(self._plan.nodes) - self._n_visited

    def results(self) -> list[Tensors]:
        """The attributions of each quadrature, and then of those that estimate their errors."""
        return [accumulator.result() for accumulator in self._accumulators]

    def output_deltas(self) -> Tensor:
        """F's change from the start of each example's path to its end, (B,)."""
        own = self._trajectory.output_deltas(self._evaluator)
        if own is not None:
            return own
        start, end = self._ends
        return self._evaluator.value(end) - self._evaluator.value(start)

    def records(self, results: list[Tensors], asked: int) -> list[list[PathRecord]]:
        """For each of the quadratures that were asked for, how each example was integrated."""
        if not self._values:
            return [[] for _ in range(asked)]
        values = torch.cat(self._values).T
        at = torch.tensor(self._plan.walked.nodes[: values.shape[1]], dtype=torch.float64, device="cpu")
        errors = [torch.full((len(values),), torch.nan, device="cpu")] * asked
        if len(results) > asked:
            errors = [_distance(fine, coarse) for fine, coarse in zip(results, results[asked:], strict=False)]
        return [
            [PathRecord(at, of_one, error, True) for of_one, error in zip(values, of_all.tolist(), strict=True)]
            for of_all in errors
        ]


def _distance(maps: Tensors, others: Tensors) -> Tensor:
    """The relative L2 distance of maps, (B,)."""
    ours, theirs = (torch.cat([by_example(part) for part in parts], dim=1) for parts in (maps, others))
    apart = (ours - theirs).norm(dim=1)
    return torch.where(apart == 0, 0.0, apart / ours.norm(dim=1))
