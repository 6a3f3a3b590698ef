"""Search from the input step by step, in which examples stop one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors, by_example, per_node, squared_norms
from captum_ext.paths.searched import Search, Step


def stepwise_search(
    points: Tensors,
    active: Tensor,
    n_steps: int,
    move: Callable[[Tensors, Tensors, Tensor], tuple[Tensors, Tensor]],
    origin: Tensors | None = None,
) -> Search:
    """A search in which each example stops at its goal, or where it can't move.

    Args:
        points: Where it starts, one tensor (B, ...) per input.
        active: Which examples move at all, (B,), bool.
        n_steps: The most steps.
        move: Takes the points, F's gradients and the indices of the examples that still move; returns their next
            points and which of them go on from there, (examples,), bool.
        origin: Where each move starts, if not at the last point.
    """
    visited, bases = active, points
    for _ in range(n_steps):
        values, gradients = yield Step(points, visited, bases)
        rows = active.nonzero().flatten()
        if not len(rows):
            visited, bases = active, points
            break
        starts = tuple(tensor[rows] for tensor in (points if origin is None else origin))
        moved, goes_on = move(
            tuple(point[rows] for point in points), tuple(gradient[rows] for gradient in gradients), rows
        )
        changed = torch.stack([by_example(new != old).any(1) for new, old in zip(moved, starts, strict=True)]).any(0)
        # An example that stopped moves from where it is to where it is.
        bases = tuple(point.index_copy(0, rows, start) for point, start in zip(points, starts, strict=True))
        points = tuple(point.index_copy(0, rows, new) for point, new in zip(points, moved, strict=True))
        going_on = torch.zeros_like(active).index_copy(0, rows, goes_on & changed)
        # Quadratures that use F need it at the end of the last step too.
        visited, active = going_on if values is None else active, going_on
    yield Step(points, visited, bases)
    return None


def unit_length(gradients: Tensors) -> Tensors:
    """The gradients over the L2 norm of all features of an example; zero where they are zero."""
    largest = torch.stack([by_example(part).abs().amax(1) for part in gradients if part[0].numel()]).amax(0)
    scale = torch.where(largest == 0, 1, largest)  # squares of small numbers would underflow
    scaled = [part / per_node(scale, part) for part in gradients]
    norms = squared_norms(scaled).sqrt()
    norms = torch.where(norms == 0, 1, norms)
    return tuple(part / per_node(norms, part) for part in scaled)
