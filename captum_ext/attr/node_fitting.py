"""Nodes for a weighted sum, fitted once on a few examples and used for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from captum_ext._utils.numbers import check_positive
from captum_ext._utils.tensors import Tensors, by_node, per_node
from captum_ext.quadratures import Accumulator, Grid, Quadrature, Segment, WeightedSum, open_grid

_FLOOR = 0.2  # of the mean density: no part of the path is left without nodes, as other examples may need them
_ROUNDING = 1000  # units of rounding of the largest gradient


def fit_nodes(method: Any, inputs: Any, n: int, *, n_steps: int = 100, **kwargs: Any) -> Grid:
    """Nodes that lie close where the gradient along the path changes fast, for ``WeightedSum(nodes=...)``.

    The gradient is taken at ``n_steps`` even positions for each of the examples. The path is then cut into cells with
    equal integrals of the square root of how much it changes there, which minimizes the bound that the paper gives for
    the error of a sum. The nodes are the middles of the cells. ``n_steps="auto"`` chooses nodes per example instead,
    from the gradients that it uses.

    Args:
        method: A method with ``attribute_each``, such as ``IntegratedGradients(model)``, on a path that is known in
            advance. Its quadrature has no influence.
        inputs: The examples to fit on, as for its ``attribute``; few are enough. All count alike, whatever the size of
            their gradients.
        n: How many nodes.
        n_steps: How many gradients to take per example. Default: 100.
        **kwargs: What else ``attribute_each`` takes, such as ``baselines``, ``target`` and ``internal_batch_size``.

    Returns:
        n positions and their cells, an open :class:`~captum_ext.quadratures.Grid` whose ``nodes`` are the positions.
        They are even if the gradient does not change on any of the paths.

    Raises:
        TypeError: If ``method`` has no ``attribute_each``, or a number is not an integer.
        ValueError: If there are no examples, a number is below 1 (``n_steps``: 2), or a gradient is not finite;
            otherwise as ``attribute_each``.

    Reference:
        Swain, Singhi: Riemann Sum Optimization for Accurate Integrated Gradients Computation. 2024.
        https://arxiv.org/abs/2410.04118

    Example:
        >>> from captum_ext.attr import IntegratedGradients, PathAttribution, fit_nodes
        >>> from captum_ext.quadratures import WeightedSum
        >>> model = lambda x: torch.sigmoid(30 * (x.mean(1) - 0.7))
        >>> nodes = fit_nodes(IntegratedGradients(model), torch.ones(1, 4), n=8)
        >>> method = PathAttribution(model, quadrature=WeightedSum(nodes=nodes))
        >>> round(float(method.attribute(torch.ones(1, 4)).sum()), 2)  # F changes by 1.00; 8 even points give 1.09
        0.99
    """
    attribute_each = getattr(method, "attribute_each", None)
    if isinstance(method, type) or attribute_each is None:
        raise TypeError(f"method: expected one such as IntegratedGradients(model), got {method!r:.80}.")
    check_positive("n", n)
    check_positive("n_steps", n_steps)
    if n_steps < 2:
        raise ValueError(f"n_steps: expected 2 gradients at least, whose difference is taken, got {n_steps}.")
    profile = _GradientProfile()
    attribute_each([profile], inputs, n_steps=n_steps, **kwargs)
    changes = profile.changes()
    if not len(changes):
        raise ValueError("inputs: expected at least one example to fit on, got none.")
    if not bool(torch.isfinite(changes).all()):
        rows = (~torch.isfinite(changes).all(1)).nonzero().flatten().tolist()
        raise ValueError(f"inputs: the gradients of examples {rows[:5]} are not finite on their paths. Leave them out.")
    return _equidistributed(changes, n)


def _equidistributed(changes: Tensor, n: int) -> Grid:
    """The grid of n cells with equal integrals of the density.

    Args:
        changes: How much the gradient changes between neighboring middles of K + 1 even cells of the path, (B, K).
        n: How many nodes.
    """
    sizes = changes.sum(1, keepdim=True)
    shares = changes / torch.where(sizes == 0, 1, sizes)
    density = shares.square().mean(0).sqrt().sqrt().numpy()
    if not density.any():
        density = np.ones_like(density)
    density = density + _FLOOR * density.mean()
    steps = len(density) + 1
    # The first and the last half cell take their neighbor's density.
    edges = np.r_[0, (np.arange(1, steps - 1) + 0.5) / steps, 1]
    integral = np.r_[0, np.cumsum(density * np.diff(edges))]
    cells = np.interp(np.linspace(0, integral[-1], n + 1), integral, edges)
    return open_grid(((cells[1:] + cells[:-1]) / 2).tolist(), np.diff(cells).tolist(), "fit_nodes")


@dataclass(frozen=True)
class _GradientProfile(Quadrature):
    """Records how much the contributions change from node to node, and sums nothing."""

    method: str = "riemann_middle"
    accumulators: list[_ChangeRecorder] = field(default_factory=list)

    name: ClassVar[str] = "fit_nodes"
    methods: ClassVar[tuple[str, ...]] = ("riemann_middle",)
    complete: ClassVar[bool] = False

    def grid(self, n_steps: int) -> Grid:
        """The middles of even cells."""
        return WeightedSum(self.method).grid(n_steps)

    def init(self) -> Accumulator:
        """One per chunk of examples."""
        self.accumulators.append(_ChangeRecorder())
        return self.accumulators[-1]

    def changes(self) -> Tensor:
        """L2 norms of the differences between neighboring nodes, (B, K - 1), float64."""
        return torch.cat([accumulator.changes() for accumulator in self.accumulators] or [torch.zeros(0, 1)])


def _norms(parts: Sequence[Tensor]) -> Tensor:
    """L2 norms over the features of all inputs, (K, B), float64 and on the CPU."""
    return torch.stack([by_node(part.detach()).double().square().sum(2) for part in parts]).sum(0).sqrt().cpu()


class _ChangeRecorder(Accumulator):
    def __init__(self) -> None:
        self._last: Tensors | None = None
        self._changes: list[Tensor] = []
        self._sizes: list[Tensor] = []

    def update(self, segment: Segment) -> None:
        moves, widths = segment.increments(1.0, 1.0), segment.widths
        pairs = zip(segment.gradients, moves, strict=True)
        parts = tuple(gradient * move / per_node(widths, move) for gradient, move in pairs)
        if self._last is not None:
            parts = tuple(torch.cat((last, part)) for last, part in zip(self._last, parts, strict=True))
        self._changes.append(_norms([part.diff(dim=0) for part in parts]))
        self._sizes.append(_norms(parts))
        self._rounding = _ROUNDING * max(torch.finfo(part.dtype).eps for part in parts)
        self._last = tuple(part[-1:] for part in parts)

    def changes(self) -> Tensor:
        """(B, K - 1); 0 where it is no more than rounding, which says nothing of the path."""
        changes, sizes = torch.cat(self._changes), torch.cat(self._sizes)
        return torch.where(changes <= self._rounding * sizes.amax(0), 0, changes).T

    def result(self) -> Tensors:
        assert self._last is not None, "a walk has at least one segment"
        return tuple(torch.zeros_like(part[0]) for part in self._last)
