"""Checks of what only paths define."""

from __future__ import annotations

from typing import Any, cast

import torch

from captum_ext.paths import Path, PathEvaluator, Trajectory
from captum_ext.quadratures import Grid, WeightedSum, open_grid
from captum_ext.testing.check import require, require_close
from captum_ext.testing.subject import N_STEPS, Subject


def default_rule_can_be_walked(subject: Subject) -> None:
    """`default_method` is a rule of WeightedSum that the path can walk.

    Set `default_method = "riemann_left"` on a path that does not look ahead.
    """
    rule = WeightedSum(subject.path.default_method)
    grid = subject.path.adapt_grid(rule.grid(N_STEPS))
    require(len(grid) > 0, f"adapt_grid() returns no nodes for {rule!r}.")


def path_reaches_from_start_to_inputs(subject: Subject) -> None:
    """The points at 0 and 1 are what `start()` returns and the inputs. (Paths that look ahead only.)

    Look at `point(inputs, start, alpha)` for alpha 0.0 and 1.0.
    """
    if not (subject.path.look_ahead and subject.path.ends_at_inputs):
        return
    start, end = subject.ends()
    ends = _trajectory(subject).points(Grid((0.0, 1.0), (0.0, 0.0), (1.0, 1.0)))
    require_close(tuple(part[0] for part in ends), start, "the point at 0 is not what start() returns")
    require_close(tuple(part[1] for part in ends), end, "the point at 1 is not the inputs")


def moves_are_differences_of_points(subject: Subject) -> None:
    """`Trajectory.increments` are `before` times the way to the point plus `after` times the way from it.

    Look at a trajectory of your own; the default one takes differences of points. (Paths that look ahead only.)
    """
    if not subject.path.look_ahead:
        return
    grid = open_grid([0.1, 0.45, 0.8], [0.3, 0.4, 0.3])
    trajectory = _trajectory(subject)
    lower, here, upper = (_points(subject, nodes) for nodes in (grid.lower, grid.nodes, grid.upper))
    for before, after in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
        trajectory.points(grid)
        moves = trajectory.increments(grid, before, after)
        parts = zip(lower, here, upper, strict=True)
        expected = tuple(before * (at - low) + after * (high - at) for low, at, high in parts)
        require_close(moves, expected, f"increments(grid, {before}, {after}) are not differences of points")


def finished_examples_cost_nothing(subject: Subject) -> None:
    """A batch evaluates F on hardly more rows than its examples one by one. (Paths that do not look ahead only.)

    Yield `Step(points, active)` from a search whose examples end at different times; rows that are not active are not
    evaluated. Evaluate other points with `evaluator.rows(...)` of the active examples.
    """
    if subject.path.look_ahead:
        return
    model, rows = subject.counting()
    subject.attribute(model)
    together = sum(rows)
    rows.clear()
    for k in range(len(subject.inputs[0])):
        subject.of_rows(slice(k, k + 1)).attribute(model, target=k)
    slack = len(subject.inputs[0])  # F at the end of each path, which is computed for all examples or for none
    require(together <= sum(rows) + slack, f"a batch took {together} rows; its examples one by one take {sum(rows)}.")


def _trajectory(subject: Subject) -> Trajectory:
    start, end = subject.ends()
    path: Path = subject.path
    grid = WeightedSum("riemann_trapezoid").grid(N_STEPS)
    return path.trajectory(end, start, path.adapt_grid(grid), _no_evaluator())


def _points(subject: Subject, nodes: tuple[float, ...]) -> tuple[torch.Tensor, ...]:
    trajectory = _trajectory(subject)
    parts = [trajectory.points(Grid((node,), (node,), (node,))) for node in nodes]
    return tuple(torch.cat(pieces) for pieces in zip(*parts, strict=True))


class _NoEvaluator:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError("a path that looks ahead used the evaluator. Set look_ahead = False.")


def _no_evaluator() -> PathEvaluator:
    return cast(PathEvaluator, _NoEvaluator())
