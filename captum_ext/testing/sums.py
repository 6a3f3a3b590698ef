"""Checks of what only quadratures define."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors
from captum_ext.quadratures import Grid, Quadrature, Segment
from captum_ext.testing.check import as_tuple, relative_distance, require, require_close
from captum_ext.testing.general import sums_are_exact_for_linear_functions
from captum_ext.testing.subject import N_STEPS, Subject


def every_rule_works(subject: Subject) -> None:
    """Each rule in `methods` makes a quadrature whose sums are exact for linear functions; others raise ValueError.

    Look at `methods` and `grid()`. A `__post_init__` of your own calls that of Quadrature.
    """
    quadrature = subject.quadrature
    if subject.has_fixed_nodes:
        sums_are_exact_for_linear_functions(subject)
        return
    require(quadrature.method in quadrature.methods, f"its method {quadrature.method!r} is not one of its methods.")
    for method in quadrature.methods:
        other = quadrature.with_method(method)
        require(other.method == method, f"with_method({method!r}) returned {other!r}.")
        if subject.can_walk(other):
            sums_are_exact_for_linear_functions(replace(subject, quadrature=other))
    try:
        quadrature.with_method("no such rule")
    except ValueError:
        return
    raise AssertionError("with_method() accepted a rule that is not in methods.")


def grids_are_valid(subject: Subject) -> None:
    """The nodes of `grid(n)` increase within [0, 1]; their cells cover the path and join; more steps have more nodes.

    Use `closed_grid(...)` and `open_grid(nodes, weights)`, which check this.
    """
    counts = []
    for n_steps in (2, 4, 8):
        grid = subject.quadrature.grid(n_steps)
        nodes = grid.nodes
        require(len(grid) == len(grid.lower) == len(grid.upper) > 0, f"grid({n_steps}): a cell per node is missing.")
        ordered = nodes[0] >= 0 and nodes[-1] <= 1 and all(before < after for before, after in pairwise(nodes))
        require(ordered, f"grid({n_steps}): nodes {nodes} do not increase within [0, 1].")
        require(_cells_join(grid), f"grid({n_steps}): cells {grid.lower} to {grid.upper} do not cover the path.")
        counts.append(len(grid))
    increase = counts[0] < counts[1] < counts[2]
    require(increase or subject.has_fixed_nodes, f"2, 4, 8 steps have {counts} nodes.")


def segments_of_any_size_give_the_same(subject: Subject) -> None:
    """An accumulator gives the same for one segment and for many, when the gradients are overwritten after each.

    Look for a kept reference to `segment.gradients`, which the next forward pass may overwrite: clone what you keep.
    """
    expected = _walk(subject.quadrature, len(subject.quadrature.grid(N_STEPS)))
    for size in (1, 2, 3):
        got = _walk(subject.quadrature, size)
        require_close(got, expected, f"segments of {size} nodes give other attributions than one segment")


def attributions_scale_with_f(subject: Subject) -> None:
    """Attributions of 2 F are twice those of F, or four times for a quadrature that is not complete.

    Attributions have the unit of F, or of its square. Look for squares of gradients without a norm, and for constants
    that are added.
    """
    expected = as_tuple(subject.attribute())
    doubled = as_tuple(subject.attribute(lambda *xs: 2 * subject.forward_func(*xs)))
    squared = not subject.complete and relative_distance(doubled, tuple(4 * part for part in expected)) < 1e-6
    factor, words = (4, "four times") if squared else (2, "twice")
    require_close(doubled, tuple(factor * part for part in expected), f"attributions of 2 F are not {words} those of F")


def _cells_join(grid: Grid) -> bool:
    if grid.steps is not None:  # closed: cells reach from neighbor to neighbor
        cells = zip(grid.lower, grid.nodes, grid.upper, strict=True)
        return all(lower <= node <= upper and lower < upper for lower, node, upper in cells)
    joined = all(abs(upper - lower) < 1e-9 for upper, lower in zip(grid.upper[:-1], grid.lower[1:], strict=True))
    return joined and grid.lower[0] == 0 and grid.upper[-1] == 1


def _walk(quadrature: Quadrature, size: int) -> Tensors:
    """The quadrature on the straight path of F(x) = sum(x^3), in segments of so many nodes."""
    grid = quadrature.grid(N_STEPS)
    end = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0]], dtype=torch.float64)
    accumulator = quadrature.init()
    for start in range(0, len(grid), size):
        part = grid.part(slice(start, start + size))
        points = _column(part.nodes) * end
        gradients = 3 * points**2
        values = (points**3).sum(2)
        accumulator.update(Segment((points,), values, (gradients,), partial(_increments, part, end), part))
        gradients.fill_(torch.nan)
    return accumulator.result()


def _increments(grid: Grid, way: Tensor, before: float, after: float) -> Tensors:
    lower, nodes, upper = map(_column, (grid.lower, grid.nodes, grid.upper))
    return ((before * (nodes - lower) + after * (upper - nodes)) * way,)


def _column(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64).reshape(-1, 1, 1)
