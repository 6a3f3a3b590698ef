"""The quadrature of Integrated Gradients: gradient times the path's move, summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from captum_ext._utils.numbers import is_number
from captum_ext._utils.tensors import Tensors, squared_norms
from captum_ext.quadratures.base import Accumulator, IntegrationErrors, Pair, Quadrature
from captum_ext.quadratures.grid import Grid, closed_grid, open_grid
from captum_ext.quadratures.segment import Segment

if TYPE_CHECKING:
    from typing_extensions import Self

_BOTH = (1.0, 1.0)
_OWN = "nodes"  # the rule's name if the user chose the nodes

# The factors of the move before and after each point, in its cell.
_SIDES = {
    "gausslegendre": (1.0, 1.0),
    "riemann_left": (0.0, 1.0),
    "riemann_right": (1.0, 0.0),
    "riemann_middle": (1.0, 1.0),
    "riemann_trapezoid": (0.5, 0.5),
}

# How many times tol the estimated error of the map may be. Over gradients that jump or wander the estimate is 1.7 times
# the error on average (the square root of 3), so the map's own error is then below 2 tol.
_MAP_TOLERANCE = 3.0

_BASE_FIELDS = ("method", "nodes", "weights")


@dataclass(frozen=True)
class WeightedSum(Quadrature):
    r"""Integrated Gradients' quadrature: :math:`\sum_k g_k \cdot \Delta\gamma_k`.

    Every gradient is multiplied by the move of the path on the cell of its point, so the sum is exact for a
    linear F on any path and for any number of steps.

    Args:
        method: The rule. With ``n_steps=N``:

            - ``"gausslegendre"`` (default): the N Gauss-Legendre nodes;
            - ``"riemann_left"``, ``"riemann_right"``: N of the points 0, 1/N, ..., 1;
            - ``"riemann_middle"``: the N points (k + 1/2)/N;
            - ``"riemann_trapezoid"``: all N + 1 points 0, 1/N, ..., 1, the two ends at half weight.
        nodes: Positions of your own on the path, increasing in [0, 1]: a sequence, a tensor (N,), or an open
            :class:`Grid`, which has cells too, such as what :func:`~captum_ext.attr.fit_nodes` returns. They take the
            place of ``method`` and of ``n_steps``, which has no effect then. Default: ``None``, the nodes of
            ``method``.
        weights: One positive number per node; together they are 1. Node k answers for a cell of this length; the cells
            follow one another along the path. Default: the cells around the nodes, which meet halfway between
            neighbors.

    Note:
        ``riemann_trapezoid`` is the true trapezoid rule, whose weights sum to 1. Captum's takes the N points
        0, 1/(N-1), ..., 1 at weights 1/N (ends 1/2N), which sum to (N-1)/N: its attributions are too small by
        that factor. Captum's other rules are these, with weights rounded to float32.

    Raises:
        TypeError: If nodes or weights are not numbers.
        ValueError: If ``method`` is none of the five or there are ``nodes`` too; if the nodes do not increase within
            [0, 1], or the weights are not as many positive numbers with a sum of 1.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.quadratures import WeightedSum
        >>> method = PathAttribution(lambda x: (x**2).sum(1), quadrature=WeightedSum("riemann_trapezoid"))
        >>> method.attribute(torch.tensor([[1.0, 2.0]]), n_steps=4)
        tensor([[1., 4.]])
        >>> simpson = WeightedSum(nodes=[0, 0.5, 1], weights=[1 / 6, 4 / 6, 1 / 6])
        >>> PathAttribution(lambda x: (x**4).sum(1), quadrature=simpson).attribute(torch.tensor([[1.0, 2.0]]))
        tensor([[ 1., 16.]])
    """

    method: str = "gausslegendre"
    nodes: Sequence[float] | Tensor | Grid | None = field(default=None, kw_only=True, repr=False)
    weights: Sequence[float] | Tensor | None = field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "WeightedSum (Integrated Gradients' quadrature)"
    methods: ClassVar[tuple[str, ...]] = tuple(_SIDES)

    def __post_init__(self) -> None:
        """Check the rule, or the nodes and weights."""
        if self.nodes is None:
            if self.weights is not None:
                raise ValueError("weights: expected nodes too, as in WeightedSum(nodes=..., weights=...).")
            super().__post_init__()
            return
        if self.method not in (_OWN, type(self).method):
            raise ValueError(f"method: nodes of your own take the place of a rule, got {self.method!r}. Leave it out.")
        if isinstance(self.nodes, Grid):
            if self.nodes.steps is not None or self.weights is not None:
                raise ValueError("nodes: expected an open grid, which has its weights; give closed_grid(...).nodes.")
            nodes: tuple[float, ...] = self.nodes.nodes
            weights = [upper - lower for lower, upper in zip(self.nodes.lower, self.nodes.upper, strict=True)]
        else:
            nodes = _numbers("nodes", self.nodes)
            weights = _cell_widths(nodes) if self.weights is None else list(_numbers("weights", self.weights))
        open_grid(nodes, weights)  # checks them
        for name, value in (("method", _OWN), ("nodes", nodes), ("weights", tuple(weights))):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """The rule, or the nodes, and what a subclass adds."""
        rule = f"method={self.method!r}"
        if self.nodes is not None:
            nodes = self.grid(1).nodes
            rule = f"nodes=<{len(nodes)} from {nodes[0]:.3g} to {nodes[-1]:.3g}>"
        added = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.name not in _BASE_FIELDS]
        return f"{type(self).__name__}({', '.join([rule, *added])})"

    def with_method(self, method: str) -> Self:
        """The same quadrature with another rule.

        Args:
            method: The rule's name, one of ``methods``.

        Raises:
            ValueError: If the user chose the nodes.
        """
        if self.nodes is not None and method != self.method:
            raise ValueError(f"method: {self.name} was given nodes, got {method!r}. Leave it out.")
        return super().with_method(method)

    def grid(self, n_steps: int) -> Grid:
        """The nodes with a weight."""
        if self.nodes is not None:
            nodes, weights = _numbers("nodes", self.nodes), _numbers("weights", self.weights)
            return open_grid(nodes, weights, f"{type(self).__name__}(nodes=...)")
        if self.method == "gausslegendre":
            return _gauss_legendre(n_steps)
        if self.method == "riemann_middle":
            middles = [(k + 0.5) / n_steps for k in range(n_steps)]
            return open_grid(middles, [1 / n_steps] * n_steps, self.method)
        before, after = _SIDES[self.method]
        return closed_grid(n_steps, self.method, first=after > 0, last=before > 0)

    @property
    def sides(self) -> tuple[float, float]:
        """The shares of a cell, before its node and after it, that the rule weighs: what ``increments`` takes."""
        return _SIDES.get(self.method, _BOTH)

    def init(self) -> Accumulator:
        """Create the accumulator of one integration."""
        return _MoveSum(*self.sides)

    def for_adaptive_steps(self) -> Quadrature:
        """The trapezoid rule, whose points remain when steps are halved.

        Raises:
            ValueError: If the user chose the nodes.
        """
        if self.nodes is not None:
            raise ValueError("n_steps: 'auto' chooses the nodes, and these are given as nodes=. Omit one of them.")
        return self.with_method("riemann_trapezoid")

    def interval_errors(
        self,
        values: Pair,
        gradients: tuple[Tensors, Tensors],
        moves: Tensors,
        positions: Pair,
        velocities: tuple[Tensors, Tensors],
    ) -> Tensor:
        """Half the difference between the left and the right rule."""
        parts = zip(*gradients, moves, strict=True)
        return squared_norms([(after - before) * move for before, after, move in parts]).sqrt() / 2

    def relative_error(self, errors: IntegrationErrors) -> float:
        """The completeness error, or a third of the map's if that is larger: errors cancel in a sum, not in a map."""
        return max(errors.completeness, errors.map / _MAP_TOLERANCE)


def _numbers(name: str, values: object) -> tuple[float, ...]:
    """The numbers as a tuple.

    Raises:
        TypeError: If they are not a sequence of numbers.
    """
    if isinstance(values, Tensor | np.ndarray):
        values = values.tolist()
    if isinstance(values, str) or not isinstance(values, Sequence) or not all(map(is_number, values)):
        raise TypeError(f"{name}: expected a sequence or a tensor (N,) of numbers, got {values!r:.80}.")
    if not values:
        raise ValueError(f"{name}: expected at least one number, got none.")
    return tuple(map(float, values))


def _cell_widths(nodes: tuple[float, ...]) -> list[float]:
    """The widths of cells that meet halfway between neighbors."""
    edges = [0.0, *((before + after) / 2 for before, after in pairwise(nodes)), 1.0]
    return [upper - lower for lower, upper in pairwise(edges)]


@lru_cache(maxsize=32)
def _gauss_legendre(n_steps: int) -> Grid:
    """The Gauss-Legendre grid; computing its nodes takes as long as 50 gradients of a small network."""
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    return open_grid(((1 + nodes) / 2).tolist(), (weights / 2).tolist(), "gausslegendre")


class _MoveSum(Accumulator):
    def __init__(self, before: float, after: float) -> None:
        self._before = before
        self._after = after
        self._total: Tensors | None = None

    def update(self, segment: Segment) -> None:
        moves = segment.increments(self._before, self._after)
        part = tuple((gradient * move).sum(0) for gradient, move in zip(segment.gradients, moves, strict=True))
        if self._total is None:
            self._total = part
        else:
            self._total = tuple(total + new for total, new in zip(self._total, part, strict=True))

    def result(self) -> Tensors:
        assert self._total is not None, "a walk has at least one segment"
        return self._total
