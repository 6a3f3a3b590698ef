"""Integrated Gradients' quadrature with a weight for each position on the path."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from captum_ext._utils.numbers import is_number
from captum_ext._utils.tensors import Tensors, numbers_like, per_node, squared_norms
from captum_ext.quadratures.base import Accumulator, IntegrationErrors, Pair, Quadrature
from captum_ext.quadratures.segment import Segment
from captum_ext.quadratures.weighted_sum import WeightedSum

_WEIGHTS: dict[str, Callable[[float], float]] = {
    "sqrt(alpha)": math.sqrt,
    "alpha": lambda alpha: alpha,
    "1 - alpha": lambda alpha: 1 - alpha,
    "beta(2, 2)": lambda alpha: 6 * alpha * (1 - alpha),
}
_MEANS = {"sqrt(alpha)": 2 / 3, "alpha": 0.5, "1 - alpha": 0.5, "beta(2, 2)": 1.0}
_SAMPLES = 1024  # for the mean of a user's function


@dataclass(frozen=True, repr=False)
class PositionWeighted(WeightedSum):
    r"""PWIG's quadrature: :math:`\int w(\alpha) \, g \odot \gamma' \, d\alpha` with a weight of the position.

    The weight is divided by its mean on [0, 1], so that a linear F gets Integrated Gradients' attributions on the
    straight path. A constant weight gives Integrated Gradients.

    Args:
        weight: The weight w of a position alpha, from 0 (the first point) to 1 (the last): ``"sqrt(alpha)"``,
            ``"alpha"``, ``"1 - alpha"`` or ``"beta(2, 2)"``, which is 6 alpha (1 - alpha), or a function that takes
            alpha as a ``float`` and returns a number of at least 0. The mean of a function is taken
            over 1024 even samples.
        method: One of the rules of :class:`WeightedSum`. Default: ``"gausslegendre"``.
        nodes: Positions of your own, as for :class:`WeightedSum`.
        weights: The weights of these nodes in the rule, which do not depend on ``weight``; likewise.

    Note:
        The attributions sum to the integral of w dF, which is F(end) - F(start) for a constant w only. There is no
        convergence delta.

        On a :class:`~captum_ext.paths.SearchedPath` the position is the number of steps taken over ``n_steps``, even if
        the search ends early or starts at the inputs, so the attributions depend on ``n_steps``.

    Raises:
        TypeError: If ``weight`` is neither a name nor a function; otherwise as :class:`WeightedSum`.
        ValueError: If its name is unknown, a weight is negative or not finite, or all are 0; otherwise as
            :class:`WeightedSum`.

    Reference:
        Kamalov, Al Falasi, Thabtah: Path-Weighted Integrated Gradients for Interpretable Dementia Classification. 2025.
        https://arxiv.org/abs/2509.17491

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.quadratures import PositionWeighted
        >>> method = PathAttribution(lambda x: (x**2).sum(1), quadrature=PositionWeighted("alpha"))
        >>> method.attribute(torch.tensor([[3.0, 0.0]]))  # the integral of 2 alpha * 18 alpha
        tensor([[12.,  0.]])
    """

    weight: str | Callable[[float], float]
    method: str = field(default="gausslegendre", kw_only=True)

    name: ClassVar[str] = "PositionWeighted (PWIG's quadrature)"
    complete: ClassVar[bool] = False
    _mean: ClassVar[float]  # set per object, and no field: it follows from the weight

    def __post_init__(self) -> None:
        """Check the weight too."""
        super().__post_init__()
        if isinstance(self.weight, str) and self.weight not in _WEIGHTS:
            raise ValueError(
                f"weight: expected one of {', '.join(map(repr, _WEIGHTS))}, or a function of the position, got "
                f"{self.weight!r}."
            )
        if not isinstance(self.weight, str) and not callable(self.weight):
            raise TypeError(
                f"weight: expected a name or a function of the position, got {type(self.weight).__name__}. For a "
                "weight per node write WeightedSum(nodes=..., weights=...)."
            )
        object.__setattr__(self, "_mean", 1.0)
        object.__setattr__(self, "_mean", self._mean_weight())

    def _mean_weight(self) -> float:
        if isinstance(self.weight, str):
            return _MEANS[self.weight]
        mean = sum(self.weight_at((k + 0.5) / _SAMPLES) for k in range(_SAMPLES)) / _SAMPLES
        if not mean > 0:
            raise ValueError("weight: expected a function above 0 somewhere between 0 and 1, got 0 everywhere.")
        return mean

    def weight_at(self, position: float) -> float:
        """The weight of a position, over its mean.

        Args:
            position: From 0 (the start of the path) to 1 (the input).

        Returns:
            The weight.

        Raises:
            TypeError: If the function returns no number.
            ValueError: If the number is negative or not finite.
        """
        function = _WEIGHTS[self.weight] if isinstance(self.weight, str) else self.weight
        weight = function(position)
        if isinstance(weight, Tensor) and weight.numel() == 1:
            weight = weight.item()
        if not is_number(weight):
            raise TypeError(f"weight: expected a function that returns a number, got {weight!r:.80} for {position:g}.")
        if not 0 <= float(weight) < math.inf:
            raise ValueError(f"weight: expected a finite number of at least 0, got {weight} at position {position:g}.")
        return float(weight) / self._mean

    def init(self) -> Accumulator:
        """An empty accumulator, for one walk."""
        return _PositionSum(super().init(), self.weight_at)

    def interval_errors(
        self,
        values: Pair,
        gradients: tuple[Tensors, Tensors],
        moves: Tensors,
        positions: Pair,
        velocities: tuple[Tensors, Tensors],
    ) -> Tensor:
        """Half the difference of the left and the right rule."""
        before, after = (
            numbers_like([self.weight_at(position) for position in at.tolist()], values[0]) for at in positions
        )
        parts = [
            (end * per_node(after, end) - start * per_node(before, start)) * move
            for start, end, move in zip(*gradients, moves, strict=True)
        ]
        return squared_norms(parts).sqrt() / 2

    def relative_error(self, errors: IntegrationErrors) -> float:
        """The largest of all errors."""
        return Quadrature.relative_error(self, errors)


class _PositionSum(Accumulator):
    """Hands segments on with weighted moves."""

    def __init__(self, inner: Accumulator, weight_at: Callable[[float], float]) -> None:
        self._inner = inner
        self._weight_at = weight_at

    def update(self, segment: Segment) -> None:
        weights = [self._weight_at(node) for node in segment.grid.nodes]
        column = torch.tensor(weights, dtype=torch.float64, device="cpu")

        def increments(before: float, after: float) -> Tensors:
            moves = segment.increments(before, after)
            return tuple(move * per_node(column.to(move.dtype).to(move.device), move) for move in moves)

        self._inner.update(segment._replace(increments=increments))

    def result(self) -> Tensors:
        return self._inner.result()
