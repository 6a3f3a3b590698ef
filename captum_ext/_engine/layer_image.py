"""A path of the inputs as the layers of a model see it: the curve of their activations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from captum_ext._engine.layer_gradients import LayerGradients
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

    @property
    def finished(self) -> bool:  # type: ignore[override]
        return self._inner.finished

    def visit(self, grid: Grid, evaluator: PathEvaluator) -> tuple[Tensors, Tensor | None, Tensors]:
        before = self._layers.n_passes
        points, values, _ = self._inner.visit(grid, evaluator)
        if self._layers.n_passes != before + 1 or not self._passed(points):
            values, _ = evaluator(points)  # a search evaluates other points too, or some of the examples
        return self._by_node(self._layers.activations, points), values, self._by_node(self._layers.gradients, points)

    def _passed(self, points: Tensors) -> bool:
        """Whether these are the points of the last pass."""
        flat = zip(self._layers.points, points, strict=True)
        return all(own.shape == p.flatten(0, 1).shape and torch.equal(own, p.flatten(0, 1).to(own)) for own, p in flat)

    @staticmethod
    def _by_node(tensors: Tensors, points: Tensors) -> Tensors:
        return tuple(tensor.unflatten(0, points[0].shape[:2]) for tensor in tensors)

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

    Raises:
        ValueError: If it takes its gradients elsewhere.
    """

    method: str = field(init=False)
    quadrature: Quadrature

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
        return _HeldBack(self.quadrature)


class _HeldBack(Accumulator):
    def __init__(self, quadrature: Quadrature) -> None:
        self._quadrature = quadrature
        self._inner = quadrature.init()
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
        return self._inner.result()

    def _hand_on(self, segment: Segment, count: int) -> None:
        """Give the first points to the quadrature, as far as its rule has them."""
        if not count:
            return
        before = self._previous or tuple(point[:1] for point in segment.points)
        points = tuple(torch.cat(pair) for pair in zip(before, segment.points, strict=True))
        self._previous = tuple(point[count : count + 1] for point in points)
        own, nodes = self._quadrature.grid(2).nodes, segment.grid.nodes
        first = int(nodes[0] == 0 and own[0] > 0)
        stop = count - int(nodes[count - 1] == 1 and own[-1] < 1)

        def increments(back: float, on: float) -> Tensors:
            return tuple(_moves(point, first, stop, back, on) for point in points)

        if first < stop:
            self._inner.update(segment.of(segment.grid.part(slice(first, stop)), first, increments))


def _moves(points: Tensor, first: int, stop: int, back: float, on: float) -> Tensor:
    """``back`` times the way to points 1 + first, ... from the one before, plus ``on`` times that to the one after."""
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
