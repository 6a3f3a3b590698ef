"""Step control with a fixed number of steps: all nodes of a grid, several per forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.results import PathRecord
from captum_ext._utils.tensors import Tensors, by_example
from captum_ext.paths import Path
from captum_ext.paths.base import Trajectory
from captum_ext.quadratures import Accumulator, Quadrature, Segment, Subsampled
from captum_ext.quadratures.grid import Grid, offset, shared_grid


@dataclass(frozen=True)
class FixedSteps:
    """A fixed number of steps.

    Args:
        n_steps: The number of steps.
        record: Whether to record F on the path.
        estimate: Whether to estimate the map's error from half of the points, if the grid allows it.
    """

    n_steps: int
    record: bool = False
    estimate: bool = False

    def plan(self, path: Path, quadratures: Sequence[Quadrature], inputs: Tensors, most_rows: int | None) -> FixedPlan:
        """The nodes, and the split of nodes and examples into forward passes."""
        grids = [quadrature.grid(self.n_steps) for quadrature in quadratures]
        walked = path.adapt_grid(shared_grid(grids))
        coarse: list[Quadrature] = []
        closed = all(grid.steps == self.n_steps for grid in grids)
        ends_together = path.look_ahead or path.ends_at_inputs  # half of the points are then the same for all examples
        if self.estimate and closed and ends_together and self.n_steps % 2 == 0 and len(walked) > self.n_steps:
            coarse = [Subsampled(quadrature, 2) for quadrature in quadratures]
            grids += [quadrature.grid(self.n_steps) for quadrature in coarse]
        chunks, nodes = split(inputs, len(walked), most_rows, path.look_ahead)
        n_ticks = len(chunks) * len(nodes)
        return FixedPlan(
            path, list(quadratures), [*quadratures, *coarse], grids, walked, chunks, nodes, n_ticks, self.record
        )


@dataclass(frozen=True)
class FixedPlan:
    """The settings that all chunks of examples share.

    Attributes:
        path: The path.
        requested: The user's quadratures.
        quadratures: These and, if errors are estimated, the same quadratures on half of the points.
        grids: The grid of each quadrature.
        walked: The grid with the nodes of all grids.
        chunks: The examples of each walk.
        nodes: The nodes of each forward pass.
        n_ticks: The number of forward passes.
        record: Whether to record F on the path.
    """

    path: Path
    requested: list[Quadrature]
    quadratures: list[Quadrature]
    grids: list[Grid]
    walked: Grid
    chunks: list[slice]
    nodes: list[slice]
    n_ticks: int
    record: bool

    def start(self, end: Tensors, start: Tensors, evaluator: Evaluator) -> FixedWalk:
        """Start the walk of one chunk of examples."""
        trajectory = self.path.trajectory(end, start, self.walked, evaluator)
        accumulators = [quadrature.init() for quadrature in self.quadratures]
        return FixedWalk(self, trajectory, evaluator, start, end, accumulators, len(self.nodes))


@dataclass
class FixedWalk:
    """The walk of one chunk of examples along all nodes; each request is the nodes of one forward pass."""

    plan: FixedPlan
    trajectory: Trajectory
    evaluator: Evaluator
    start: Tensors
    end: Tensors
    accumulators: list[Accumulator]
    n_ticks: int
    values: list[Tensor] = field(default_factory=list)  # F at the nodes visited so far, each (K, B), if recorded

    def requests(self) -> Iterator[slice]:
        """The nodes of each forward pass, until the path has no more points."""
        for nodes in self.plan.nodes:
            if self.trajectory.finished:
                return
            yield nodes

    def visit(self, nodes: slice) -> int:
        """Evaluate F and its gradient at these nodes, and pass the segment to the accumulators."""
        walked = self.plan.walked
        grid = walked.part(nodes)
        points, values, gradients = self.trajectory.visit(grid, self.evaluator)
        if self.plan.record and values is not None:
            self.values.append(values)
        if self.trajectory.backward:  # walking back with F equals walking ahead with -F, for any quadrature
            values, gradients = None if values is None else -values, tuple(-gradient for gradient in gradients)
        segment = Segment(points, values, gradients, partial(self.trajectory.increments, grid), grid)
        for accumulator, own_grid in zip(self.accumulators, self.plan.grids, strict=True):
            part = segment if own_grid == walked else self._part(segment, own_grid, nodes)
            if len(
                part.grid
            ):  # a rule may skip all of these nodes, such as the left rule if there is only the last one
                accumulator.update(part)
        return 1

    def _part(self, segment: Segment, own_grid: Grid, nodes: slice) -> Segment:
        """The segment with a quadrature's nodes and cells."""
        shift = offset(own_grid, self.plan.walked)
        first = max(nodes.start - shift, 0)
        grid = own_grid.part(slice(first, max(nodes.stop - shift, 0)))
        return segment.of(grid, first + shift - nodes.start, partial(self.trajectory.increments, grid))

    def results(self) -> list[tuple[Tensors, list[PathRecord]]]:
        """The attributions of each quadrature, and its records, one per example, if F was recorded."""
        maps = [accumulator.result() for accumulator in self.accumulators]
        fine, coarse = maps[: len(self.plan.requested)], maps[len(self.plan.requested) :]
        if not self.values:
            return [(attributions, []) for attributions in fine]
        values = torch.cat(self.values).T
        positions = torch.tensor(self.plan.walked.nodes[: values.shape[1]], dtype=torch.float64, device="cpu")
        errors = [torch.full((len(values),), torch.nan, device="cpu")] * len(fine)
        if coarse:
            errors = [_relative_error(*pair) for pair in zip(fine, coarse, strict=True)]
        counts = self.trajectory.n_evaluated
        visited = [len(positions)] * len(values) if counts is None else counts.tolist()
        rows = [(positions[:n], row[:n]) for n, row in zip(visited, values, strict=True)]
        return [
            (attributions, [PathRecord(*row, e, True) for row, e in zip(rows, error.tolist(), strict=True)])
            for attributions, error in zip(fine, errors, strict=True)
        ]

    def output_deltas(self) -> Tensor:
        """F's change from the start of each example's path to its end, (B,)."""
        output_deltas = self.trajectory.output_deltas(self.evaluator)
        if output_deltas is None:
            output_deltas = self.evaluator.value(self.end) - self.evaluator.value(self.start)
        return output_deltas


def _relative_error(fine: Tensors, coarse: Tensors) -> Tensor:
    """The relative L2 distance of the coarse map from the fine one, (B,)."""
    first, second = (torch.cat([by_example(part) for part in parts], dim=1) for parts in (fine, coarse))
    distance = (first - second).norm(dim=1)
    return torch.where(distance == 0, 0.0, distance / first.norm(dim=1))
