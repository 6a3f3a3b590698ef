"""The quadrature of Integrated Gradients: gradient times the path's move, summed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from torch import Tensor

from captum_ext._utils.tensors import Tensors, squared_norms
from captum_ext.quadratures.base import Accumulator, IntegrationErrors, Pair, Quadrature
from captum_ext.quadratures.grid import Grid, closed_grid, open_grid
from captum_ext.quadratures.segment import Segment

_BOTH = (1.0, 1.0)

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

    Note:
        ``riemann_trapezoid`` is the true trapezoid rule, whose weights sum to 1. Captum's takes the N points
        0, 1/(N-1), ..., 1 at weights 1/N (ends 1/2N), which sum to (N-1)/N: its attributions are too small by
        that factor. Captum's other rules are these, with weights rounded to float32.

    Raises:
        ValueError: If ``method`` is not one of the five.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.quadratures import WeightedSum
        >>> method = PathAttribution(lambda x: (x**2).sum(1), quadrature=WeightedSum("riemann_trapezoid"))
        >>> method.attribute(torch.tensor([[1.0, 2.0]]), n_steps=4)
        tensor([[1., 4.]])
    """

    method: str = "gausslegendre"

    name: ClassVar[str] = "WeightedSum (Integrated Gradients' quadrature)"
    methods: ClassVar[tuple[str, ...]] = tuple(_SIDES)

    def grid(self, n_steps: int) -> Grid:
        """The nodes with a weight."""
        if self.method == "gausslegendre":
            return _gauss_legendre(n_steps)
        if self.method == "riemann_middle":
            middles = [(k + 0.5) / n_steps for k in range(n_steps)]
            return open_grid(middles, [1 / n_steps] * n_steps, self.method)
        before, after = _SIDES[self.method]
        return closed_grid(n_steps, self.method, first=after > 0, last=before > 0)

    def init(self) -> Accumulator:
        """Create the accumulator of one integration."""
        return _MoveSum(*_SIDES.get(self.method, _BOTH))

    def for_adaptive_steps(self) -> Quadrature:
        """The trapezoid rule, whose points remain when steps are halved."""
        return self.with_method("riemann_trapezoid")

    def interval_errors(self, values: Pair, gradients: tuple[Tensors, Tensors], moves: Tensors) -> Tensor:
        """Half the difference between the left and the right rule."""
        parts = zip(*gradients, moves, strict=True)
        return squared_norms([(after - before) * move for before, after, move in parts]).sqrt() / 2

    def relative_error(self, errors: IntegrationErrors) -> float:
        """The completeness error, or a third of the map's if that is larger: errors cancel in a sum, not in a map."""
        return max(errors.completeness, errors.map / _MAP_TOLERANCE)


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
