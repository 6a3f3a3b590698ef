"""A path of the inputs as the layers of a model see it: the curve of their activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from captum_ext._engine.layer_gradients import LayerGradients, LayerPass
from captum_ext._utils.tensors import Tensors
from captum_ext.paths import Path
from captum_ext.paths.base import Trajectory
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.quadratures import Grid, Quadrature, Segment, closed_grid
from captum_ext.quadratures.base import Accumulator


class LayerImage(Path):
    """The image of a path at the layers: its points are their activations.

    Args:
        path: The path of the inputs.
        layers: Gives the activations and gradients of the evaluator's last pass.
    """

    def __init__(self, path: Path, layers: LayerGradients) -> None:
        self.inner = path
        self.layers = layers
        self.look_ahead = path.look_ahead  # type: ignore[misc]
        self.ends_at_inputs = path.ends_at_inputs  # type: ignore[misc]

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """The path's own start."""
        return self.inner.start(inputs, baselines)

    def adapt_grid(self, grid: Grid) -> Grid:
        """The path's adapted grid."""
        return self.inner.adapt_grid(grid)

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """The path of these examples, seen at the layers."""
        return _LayerTrajectory(self.inner.trajectory(inputs, start, grid, evaluator), self.layers)


class _LayerTrajectory(Trajectory):
    def __init__(self, inner: Trajectory, layers: LayerGradients) -> None:
        self._inner = inner
        self._layers = layers
        self.backward = inner.backward
        self._end: Tensors | None = None  # of a search, (1, B, ...), if it is still to be visited

    @property
    def finished(self) -> bool:  # type: ignore[override]
        return self._inner.finished and self._end is None

    def visit(self, grid: Grid, evaluator: PathEvaluator) -> tuple[Tensors, Tensor | None, Tensors]:
        self._layers.take()  # of the path's own passes, such as those at its ends
        if self._end is not None:
            points, self._end = self._end, None
            values, _ = evaluator(points)
        else:
            points, values, _ = self._inner.visit(grid, evaluator)
            if self._inner.finished:  # a search needs no gradient at its end, but the layers' last moves end there
                moves = self._inner.increments(grid, 0.0, 1.0)
                self._end = tuple(point + move for point, move in zip(points, moves, strict=True))
        seen = self._layers.take()
        if seen is None or not _is_at(seen, points):
            # A search evaluates other points too, or some of the examples; a pass too large for the memory is split.
            values, seen = self._visit_again(points, evaluator)
        activations, gradients = (
            tuple(tensor.unflatten(0, points[0].shape[:2]) for tensor in tensors) for tensors in seen[1:]
        )
        return activations, values, gradients

    def _visit_again(self, points: Tensors, evaluator: PathEvaluator) -> tuple[Tensor | None, LayerPass]:
        """F and the layers at these points, example by example, so that the rows of split passes are in order."""
        steps, examples = points[0].shape[:2]
        parts: list[LayerPass] = []
        values: list[Tensor] = []
        for k in range(examples):
            of_one, _ = evaluator.rows(slice(k, k + 1))(tuple(point[:, k : k + 1] for point in points), keep=True)
            seen = self._layers.take()
            assert seen is not None, "the evaluator runs the layers"
            # The last rows, after those of passes that were too large.
            parts.append(LayerPass(*(tuple(tensor[-steps:] for tensor in tensors) for tensors in seen)))
            values += [] if of_one is None else [of_one]
        rows = (_interleave(tensors) for tensors in zip(*parts, strict=True))
        return torch.cat(values, 1) if values else None, LayerPass(*rows)

    def points(self, grid: Grid) -> Tensors:
        raise NotImplementedError("only visit() has the activations")

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        raise NotImplementedError("PointDifferences has them")

    def output_deltas(self, evaluator: PathEvaluator) -> Tensor | None:
        return self._inner.output_deltas(evaluator)


@dataclass(frozen=True)
class PointDifferences(Quadrature):
    """A quadrature on 0, 1/n, ..., 1 whose increments are the differences of consecutive points.

    For paths that are known at the points that were visited and nowhere between. Each segment is handed on without its
    last point, whose difference to the next one is known with the next segment.

    Args:
        quadrature: One whose rule is on the closed grid.
        layers: The layers. Each has a separate sum, since quadratures such as IDGI's compare the features of one layer.

    Raises:
        ValueError: If it takes its gradients elsewhere.
    """

    method: str = field(init=False)
    quadrature: Quadrature
    layers: LayerGradients

    def __post_init__(self) -> None:
        """Check the grid."""
        if self.quadrature.grid(2).steps is None:
            raise ValueError(
                f"{self.quadrature.name} with {self.quadrature.method} takes gradients between the points of the "
                "closed grid 0, 1/n, ..., 1, where the layer's moves are not known. Use riemann_trapezoid (the "
                "default), riemann_left or riemann_right."
            )
        object.__setattr__(self, "method", self.quadrature.method)

    @property
    def needs_values(self) -> bool:  # type: ignore[override]
        """The quadrature's."""
        return self.quadrature.needs_values

    def grid(self, n_steps: int) -> Grid:
        """The whole closed grid: the last move ends at the last point, whatever its weight."""
        steps = self.quadrature.grid(n_steps).steps
        assert steps is not None, "checked"
        return closed_grid(steps, self.method)

    def init(self) -> Accumulator:
        """An empty accumulator, for one walk."""
        return _HeldBack(self.quadrature, self.layers)


class _HeldBack(Accumulator):
    def __init__(self, quadrature: Quadrature, layers: LayerGradients) -> None:
        nodes = quadrature.grid(2).nodes
        self._has_ends = nodes[0] == 0, nodes[-1] == 1  # whether the rule has the first and the last point
        self._quadrature = quadrature
        self._layers = layers
        self._inner: list[tuple[slice, Accumulator]] = []  # which tensors are a layer's, and its accumulator
        self._previous: Tensors | None = None  # the point before the one that is held
        self._held: Segment | None = None

    def update(self, segment: Segment) -> None:
        if self._held is not None:
            segment = _join_segments(self._held, segment)
        self._hand_on(segment, len(segment.grid) - 1)
        last = segment.of(segment.grid.part(slice(-1, None)), len(segment.grid) - 1, segment.increments)
        # Held until after the next pass, which may overwrite the gradients.
        self._held = last._replace(gradients=tuple(gradient.clone() for gradient in last.gradients))

    def result(self) -> Tensors:
        if self._held is not None:
            self._hand_on(self._held, 1)
            self._held = None
        return tuple(tensor for _, accumulator in self._inner for tensor in accumulator.result())

    def _hand_on(self, segment: Segment, count: int) -> None:
        """Give the first points to the quadrature, as far as its rule has them."""
        if not count:
            return
        before = self._previous or tuple(point[:1] for point in segment.points)
        points = tuple(torch.cat(pair) for pair in zip(before, segment.points, strict=True))
        self._previous = tuple(point[count : count + 1] for point in points)
        nodes, (has_first, has_last) = segment.grid.nodes, self._has_ends
        first = int(nodes[0] == 0 and not has_first)
        stop = count - int(nodes[count - 1] == 1 and not has_last)

        if first == stop:
            return
        if not self._inner:
            ends = list(accumulate(self._layers.sizes, initial=0))
            self._inner = [(slice(*pair), self._quadrature.init()) for pair in pairwise(ends)]
        shared = segment.of(segment.grid.part(slice(first, stop)), first, segment.increments)
        for part, accumulator in self._inner:
            increments = partial(_moves, points[part], first, stop)
            of_layer = shared._replace(
                points=shared.points[part], gradients=shared.gradients[part], increments=increments
            )
            accumulator.update(of_layer)


def _interleave(parts: Sequence[Tensors]) -> Tensors:
    """Rows (K, ...) of each example as the rows (K * B, ...) of a batch."""
    return tuple(torch.stack(pieces, 1).flatten(0, 1) for pieces in zip(*parts, strict=True))


def _is_at(seen: LayerPass, points: Tensors) -> bool:
    """Whether a pass was at these points (K, B, ...), in their order."""
    flat = tuple(point.flatten(0, 1) for point in points)
    pairs = list(zip(seen.points, flat, strict=True))
    return all(own.shape == other.shape and torch.equal(own, other.to(own)) for own, other in pairs)


def _moves(points: Tensors, first: int, stop: int, back: float, on: float) -> Tensors:
    """``back`` times the way to points 1 + first, ... from the one before, plus ``on`` times that to the one after."""
    return tuple(_moves_of(point, first, stop, back, on) for point in points)


def _moves_of(points: Tensor, first: int, stop: int, back: float, on: float) -> Tensor:
    differences = points.diff(dim=0)
    ahead = differences[first + 1 : stop + 1]
    if len(ahead) < stop - first:  # the path ends here
        ahead = torch.cat([ahead, torch.zeros_like(differences[:1])])
    return back * differences[first:stop] + on * ahead


def _join_segments(held: Segment, segment: Segment) -> Segment:
    def both(parts: Tensors, others: Tensors) -> Tensors:
        return tuple(torch.cat(pair) for pair in zip(parts, others, strict=True))

    grid = replace(
        segment.grid,
        nodes=held.grid.nodes + segment.grid.nodes,
        lower=held.grid.lower + segment.grid.lower,
        upper=held.grid.upper + segment.grid.upper,
    )
    values = None
    if held.values is not None and segment.values is not None:
        values = torch.cat([held.values, segment.values])
    points, gradients = both(held.points, segment.points), both(held.gradients, segment.gradients)
    return Segment(points, values, gradients, segment.increments, grid)
