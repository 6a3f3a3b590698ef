"""Grids: the positions at which gradients are taken, and the part of the path that each represents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

_NODE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Grid:
    """Nodes in [0, 1], each in its cell of the path.

    Attributes:
        nodes: The positions at which gradients are taken, increasing.
        lower: The start of each node's cell.
        upper: The end of each node's cell.
        steps: The n of a closed grid 0, 1/n, ..., 1, whose cells extend to the neighboring nodes; ``None`` for an open
            grid, whose cells meet between the nodes.
        rule: The name of the grid's rule, for error messages.
    """

    nodes: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    steps: int | None = None
    rule: str = field(default="", compare=False)

    def __len__(self) -> int:
        return len(self.nodes)

    def part(self, nodes: slice) -> Grid:
        """The grid of some of the nodes."""
        return replace(self, nodes=self.nodes[nodes], lower=self.lower[nodes], upper=self.upper[nodes])


def closed_grid(steps: int, rule: str = "", *, first: bool = True, last: bool = True) -> Grid:
    """The nodes 0, 1/n, ..., 1 with cells that extend to the neighboring nodes.

    Args:
        steps: n.
        rule: The name of the rule, for error messages.
        first: Whether to include the node 0. A rule that gives it no weight does not need it.
        last: Whether to include the node 1.

    Returns:
        The grid.

    Example:
        >>> from captum_ext.quadratures import closed_grid
        >>> closed_grid(4, last=False).nodes
        (0.0, 0.25, 0.5, 0.75)
    """
    ends = [k / steps for k in range(steps + 1)]
    kept = range(0 if first else 1, steps + 1 if last else steps)
    return Grid(
        nodes=tuple(ends[k] for k in kept),
        lower=tuple(ends[max(k - 1, 0)] for k in kept),
        upper=tuple(ends[min(k + 1, steps)] for k in kept),
        steps=steps,
        rule=rule,
    )


def open_grid(nodes: Sequence[float], weights: Sequence[float], rule: str = "") -> Grid:
    """Custom nodes. Their cells follow one another and are as long as the weights.

    Args:
        nodes: Positions in [0, 1], increasing.
        weights: One positive number per node; they sum to 1.
        rule: The name of the rule, for error messages.

    Returns:
        The grid.

    Raises:
        ValueError: If the numbers of nodes and weights differ, the nodes do not increase in [0, 1], or the weights
            are not positive or do not sum to 1.

    Example:
        >>> from captum_ext.quadratures import open_grid
        >>> open_grid([0.0, 0.5, 1.0], [1 / 6, 4 / 6, 1 / 6]).upper[0]  # Simpson's rule
        0.16666666666666666
    """
    nodes, weights = tuple(map(float, nodes)), tuple(map(float, weights))
    if len(nodes) != len(weights) or not nodes:
        raise ValueError(f"weights: expected one per node ({len(nodes)}), got {len(weights)}.")
    if not (nodes[0] >= 0 and nodes[-1] <= 1 and all(before < after for before, after in pairwise(nodes))):
        raise ValueError(f"nodes: expected increasing positions in [0, 1], got {nodes[:5]}{' ...' * (len(nodes) > 5)}.")
    if not (min(weights) > 0 and abs(sum(weights) - 1) < 1e-6):
        raise ValueError(f"weights: expected positive numbers that sum to 1, got a sum of {sum(weights):g}.")
    edges = [0.0]
    for weight in weights:
        edges.append(edges[-1] + weight)
    edges[-1] = 1.0  # the last cell ends at the input exactly
    lower, upper = zip(*pairwise(edges), strict=True)
    return Grid(nodes, lower, upper, rule=rule)


def shared_grid(grids: Sequence[Grid]) -> Grid:
    """The grid that contains the nodes of all grids.

    Rules can share gradients if their nodes are equal, except for the ends 0 and 1 of the path.

    Raises:
        ValueError: If other nodes differ.
    """
    longest = max(grids, key=len)
    if all(grid == longest for grid in grids):
        return longest
    inner = [_inner(grid) for grid in grids]
    same = all(len(nodes) == len(inner[0]) and _are_equal(nodes, inner[0]) for nodes in inner)
    if not same:
        rules = ", ".join(f"{grid.rule} ({len(grid)} nodes)" for grid in grids)
        raise ValueError(
            f"These rules take gradients at different points of the path and can't share a walk: {rules}. "
            "Rules on the closed grid 0, 1/n, ..., 1 can: riemann_left, riemann_right, riemann_trapezoid "
            "(WeightedSum and ImportantDirection alike)."
        )
    closed = next((grid for grid in grids if grid.steps is not None), None)
    first, last = any(grid.nodes[0] == 0 for grid in grids), any(grid.nodes[-1] == 1 for grid in grids)
    if closed is not None and closed.steps is not None:
        return closed_grid(closed.steps, closed.rule, first=first, last=last)
    nodes = (*(0.0,) * first, *inner[0], *(1.0,) * last)
    return Grid(nodes, (0.0, *nodes[:-1]), (*nodes[1:], 1.0), rule=longest.rule)


def offset(grid: Grid, shared: Grid) -> int:
    """The index of the grid's first node in the shared grid."""
    return int(shared.nodes[0] == 0 and grid.nodes[0] != 0)


def _inner(grid: Grid) -> tuple[float, ...]:
    return tuple(node for node in grid.nodes if 0 < node < 1)


def _are_equal(nodes: Sequence[float], others: Sequence[float]) -> bool:
    return all(abs(a - b) <= _NODE_TOLERANCE for a, b in zip(nodes, others, strict=True))
