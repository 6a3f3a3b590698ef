"""Where along a path the gradient is taken, and which part of the path each gradient answers for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Grid:
    """Nodes in [0, 1], each inside its cell of the path.

    Attributes:
        nodes: Where the gradient is taken, increasing.
        lower: Where the cell of each node starts.
        upper: Where it ends.
        steps: The n of a closed grid 0, 1/n, ..., 1, whose cells reach from neighbour to neighbour; ``None``
            for an open grid, whose cells meet between the nodes.
        rule: The name of the rule that asked for the grid, for error messages.
    """

    nodes: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    steps: int | None = None
    rule: str = field(default="", compare=False)

    def __len__(self) -> int:
        return len(self.nodes)


def closed_grid(steps: int, rule: str, *, first: bool = True, last: bool = True) -> Grid:
    """0, 1/n, ..., 1; without the first or the last node where a rule gives it no weight."""
    ends = [k / steps for k in range(steps + 1)]
    kept = range(0 if first else 1, steps + 1 if last else steps)
    return Grid(
        nodes=tuple(ends[k] for k in kept),
        lower=tuple(ends[max(k - 1, 0)] for k in kept),
        upper=tuple(ends[min(k + 1, steps)] for k in kept),
        steps=steps,
        rule=rule,
    )


def open_grid(nodes: Sequence[float], weights: Sequence[float], rule: str) -> Grid:
    """Nodes in cells that are as long as their weights and follow one another."""
    edges = [0.0]
    for weight in weights:
        edges.append(edges[-1] + weight)
    edges[-1] = 1.0  # the last cell ends at the input itself, whatever the sum's rounding
    lower, upper = zip(*pairwise(edges), strict=True)
    return Grid(tuple(nodes), lower, upper, rule=rule)


def shared_grid(grids: Sequence[Grid]) -> Grid:
    """The one grid on which all the rules can be walked together.

    Raises:
        ValueError: If they have none.
    """
    first = grids[0]
    if all(grid == first for grid in grids):
        return first
    if first.steps is None or any(grid.steps != first.steps for grid in grids):
        rules = ", ".join(f"{grid.rule} ({len(grid)} nodes)" for grid in grids)
        raise ValueError(
            f"These rules take gradients at different points of the path and can't share a walk: {rules}. "
            "Rules on the closed grid 0, 1/n, ..., 1 can: riemann_left, riemann_right, riemann_trapezoid "
            "(WeightedSum and ImportantDirection alike)."
        )
    return closed_grid(
        first.steps,
        first.rule,
        first=any(grid.nodes[0] == 0 for grid in grids),
        last=any(grid.nodes[-1] == 1 for grid in grids),
    )
