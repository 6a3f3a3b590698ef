"""Paths and quadratures that are wrong in one way each, by the name of the check that is to find it."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from captum_ext.paths import Path, SearchedPath, StraightPath, Trajectory
from captum_ext.quadratures import Accumulator, Grid, ImportantDirection, Quadrature, WeightedSum, closed_grid


def between(start, inputs, alpha):
    return tuple(s + alpha * (x - s) for s, x in zip(start, inputs, strict=True))


# Paths


@dataclass(frozen=True)
class LinePath(Path):
    """The straight line, as the broken ones would be if they were not broken."""

    def point(self, inputs, start, alpha):
        return between(start, inputs, alpha)


class RandomPath(LinePath):
    def point(self, inputs, start, alpha):
        wander = alpha * (1 - alpha)
        return tuple(p + wander * torch.rand_like(p) for p in between(start, inputs, alpha))


class BatchPath(LinePath):
    def point(self, inputs, start, alpha):
        wander = alpha * (1 - alpha)
        return tuple(p + wander * x.mean(0) for p, x in zip(between(start, inputs, alpha), inputs, strict=True))


class FirstInputPath(LinePath):
    def point(self, inputs, start, alpha):
        return between(start[:1], inputs[:1], alpha)


class WidestPath(LinePath):
    def start(self, inputs, baselines):
        return tuple(s + 0 * x.max() for s, x in zip(baselines, inputs, strict=True))


class DoublePath(LinePath):
    def point(self, inputs, start, alpha):
        return tuple(p @ torch.eye(p.shape[-1], dtype=torch.float64) for p in between(start, inputs, alpha))


class InPlacePath(LinePath):
    def point(self, inputs, start, alpha):
        return tuple(x.clamp_(-0.5, 0.5) * alpha for x in inputs)


class DeafPath(LinePath):
    def start(self, inputs, baselines):
        return tuple(torch.zeros_like(x) for x in inputs)


class SilentPath(DeafPath):
    takes_baselines: ClassVar[bool] = False


class ShortPath(LinePath):
    def point(self, inputs, start, alpha):
        return between(start, inputs, 0.9 * alpha)


class DetachedPath(LinePath):
    def point(self, inputs, start, alpha):
        return tuple(p.detach() for p in between(start, inputs, alpha))


class UnpicklablePath(LinePath):
    def __getstate__(self):
        raise TypeError("no pickles")


class NamelessPath(LinePath):
    def __repr__(self):
        return "<a path>"


class LatePath(LinePath):
    look_ahead: ClassVar[bool] = False


class GappyTrajectory(Trajectory):
    def __init__(self, inputs, start):
        self.inputs, self.start = inputs, start

    def points(self, grid):
        return tuple(
            torch.stack(p) for p in zip(*(between(self.start, self.inputs, a) for a in grid.nodes), strict=True)
        )

    def increments(self, grid, before, after):
        """All cells as long as the first."""
        share = (before + after) * (grid.upper[0] - grid.lower[0]) / 2
        ways = (x - s for x, s in zip(self.inputs, self.start, strict=True))
        return tuple(torch.stack([share * way] * len(grid)) for way in ways)


class GappyPath(LinePath):
    def trajectory(self, inputs, start, grid, evaluator):
        return GappyTrajectory(inputs, start)


class WastefulPath(SearchedPath):
    """Some examples need a step, others all; each pass has all of them."""

    def search(self, inputs, start, n_steps, evaluator):
        needed = [max(1, int(torch.stack([x[k].abs().max() for x in inputs]).max() * 4)) for k in range(len(inputs[0]))]
        for step in range(min(n_steps, max(needed, default=0))):
            yield between(start, inputs, step / n_steps)
        return inputs


# Quadratures


class Sum(Accumulator):
    """Gradient times move, with hooks for what may be wrong."""

    def __init__(self, term=None, finish=None):
        self.term = term or (lambda gradient, move, segment: gradient * move)
        self.finish = finish or (lambda total, count: total)
        self.total, self.count = None, 0

    def update(self, segment):
        moves = segment.increments(1.0, 1.0)
        new = [self.term(g, m, segment).sum(0) for g, m in zip(segment.gradients, moves, strict=True)]
        self.total = new if self.total is None else [a + b for a, b in zip(self.total, new, strict=True)]
        self.count += len(segment.points[0])

    def result(self):
        return tuple(self.finish(total, self.count) for total in self.total)


@dataclass(frozen=True)
class MiddleSum(Quadrature):
    """The middle rule, as the broken ones would be if they were not broken."""

    method: str = "riemann_middle"
    name = "MiddleSum"
    methods = ("riemann_middle",)

    def grid(self, n_steps):
        return WeightedSum("riemann_middle").grid(n_steps)

    def init(self):
        return Sum()


class NoWidths(MiddleSum):
    """Forgets the cell widths."""

    def init(self):
        return Sum(lambda g, move, segment: g * move / segment.widths.reshape(-1, *(1,) * (g.dim() - 1)))


class Uneven(MiddleSum):
    """Averages each segment, however many points it has."""

    def init(self):
        return Sum(lambda g, move, segment: g * move / len(g))


class Growing(MiddleSum):
    """Has no limit: it grows with the number of points."""

    complete = False

    def init(self):
        return Sum(finish=lambda total, count: total * count**0.5)


class Offset(MiddleSum):
    complete = False

    def init(self):
        return Sum(finish=lambda total, count: total + 1e-6)


class NoNan(MiddleSum):
    def init(self):
        return Sum(lambda g, move, segment: g.nan_to_num() * move)


class Cubed(MiddleSum):
    """Neither linear in F nor in its square."""

    complete = False

    def init(self):
        return Sum(lambda g, move, segment: g**3 * move)


class Overwriting(WeightedSum):
    """Works in place on gradients that other quadratures get too."""

    def __init__(self):
        super().__init__("riemann_trapezoid")

    def init(self):
        return _Overwriting(super().init())


class _Overwriting(Accumulator):
    def __init__(self, inner):
        self.inner = inner

    def update(self, segment):
        self.inner.update(segment)
        for gradient in segment.gradients:
            gradient.mul_(2)

    def result(self):
        return self.inner.result()


class Keeping(MiddleSum):
    """Keeps gradients that the next pass overwrites."""

    def init(self):
        return _Keeping()


class _Keeping(Accumulator):
    def __init__(self):
        self.segments = []

    def update(self, segment):
        self.segments.append((segment.gradients, segment.increments(1.0, 1.0)))

    def result(self):
        parts = [[(g * m).sum(0) for g, m in zip(*kept, strict=True)] for kept in self.segments]
        return tuple(torch.stack(of_one).sum(0) for of_one in zip(*parts, strict=True))


class Careless(WeightedSum):
    """Estimates no errors, so that adaptive steps stop at once."""

    def __init__(self, method="riemann_trapezoid"):
        super().__init__(method)

    def with_method(self, method):
        return Careless(method)

    def relative_error(self, errors):
        return 0.0


class Backwards(MiddleSum):
    """Nodes in the wrong order."""

    def grid(self, n_steps):
        grid = super().grid(n_steps)
        return Grid(grid.nodes[::-1], grid.lower[::-1], grid.upper[::-1])


class Coarse(MiddleSum):
    """As many nodes whatever the number of steps."""

    def grid(self, n_steps):
        return closed_grid(4)


class Boastful(MiddleSum):
    """Lists a rule that it does not have."""

    methods = ("riemann_middle", "riemann_left")

    def grid(self, n_steps):
        if self.method != "riemann_middle":
            raise KeyError(self.method)
        return super().grid(n_steps)


class Lenient(MiddleSum):
    def __post_init__(self):
        """Accepts any rule."""


BROKEN_PATHS = {
    "calls_are_deterministic": [RandomPath()],
    "batches_equal_single_examples": [BatchPath()],
    "inputs_may_be_tuples": [FirstInputPath()],
    "no_examples_give_no_attributions": [WidestPath()],
    "results_are_plain_tensors": [DoublePath()],
    "nothing_of_the_callers_changes": [InPlacePath()],
    "baselines_are_used_or_refused": [DeafPath(), SilentPath()],
    "path_reaches_from_start_to_inputs": [ShortPath()],
    "sums_approach_the_change": [ShortPath()],
    "graphs_are_created_or_refused": [DetachedPath()],
    "parts_can_be_copied_and_shown": [UnpicklablePath(), NamelessPath()],
    "default_rule_can_be_walked": [LatePath()],
    "moves_are_differences_of_points": [GappyPath()],
    "finished_examples_cost_nothing": [WastefulPath()],
}
BROKEN_QUADRATURES = {
    "any_internal_batch_size_gives_the_same": [Uneven()],
    "sums_are_exact_for_linear_functions": [NoWidths()],
    "sums_approach_the_change": [NoWidths()],
    "more_steps_converge": [Growing()],
    "constant_functions_get_nothing": [Offset()],
    "nan_is_reported": [NoNan()],
    "attributions_scale_with_f": [Cubed(), Offset()],
    "walks_can_be_shared": [Overwriting()],
    "segments_of_any_size_give_the_same": [Keeping(), Uneven()],
    "adaptive_steps_work_or_are_refused": [Careless()],
    "grids_are_valid": [Backwards(), Coarse()],
    "every_rule_works": [Boastful(), Lenient()],
}
SOUND = [LinePath(), StraightPath()], [MiddleSum(), ImportantDirection()]
