"""The quadrature of Integrated Decision Gradients: each point counts in proportion to how fast F changes there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors, by_example, by_node, numbers_like, per_node, squared_norms
from captum_ext.quadratures.base import Accumulator, IntegrationErrors, Pair, Quadrature
from captum_ext.quadratures.segment import Segment
from captum_ext.quadratures.weighted_sum import WeightedSum


@dataclass(frozen=True, repr=False)
class DecisionGradients(WeightedSum):
    r"""IDG's quadrature: :math:`\int g \odot \gamma' \, \frac{dF}{d\alpha} \, d\alpha`.

    Integrated Gradients' integrand, weighted by the slope of F along the path: stretches on which F is saturated add
    little, the stretch on which the model decides adds most. The slope at a point is the sum of the point's own
    contributions over its cell, so it costs nothing.

    Args:
        method: One of the rules of :class:`WeightedSum`. Default: ``"gausslegendre"``.
        nodes: Positions of your own, as for :class:`WeightedSum`.
        weights: Their weights, likewise.
        normalize: Whether to rescale each example's attributions so that they sum to what its gradients add up to,
            which is Integrated Gradients' sum on the same points. Its limit is F(end) - F(start), so there is a
            convergence delta, and it is IG's. Default: False, the paper's definition.

    Note:
        Without ``normalize`` the attributions have the unit of F squared and sum to the integral of (dF/dalpha)^2,
        which is never negative. There is no convergence delta then.

        A stretch on which F falls adds negative contributions times a negative slope: a feature that lowers F there
        gets a positive attribution. ``normalize`` changes the sign of all of an example's attributions if F(end) is
        below F(start), and of none otherwise.

        On a :class:`~captum_ext.paths.SearchedPath` the position is the number of steps taken over ``n_steps``, even if
        the search ends early, so the attributions depend on ``n_steps``. With ``normalize`` they do not.

    Raises:
        TypeError, ValueError: As :class:`WeightedSum`.

    Reference:
        Walker et al.: Integrated Decision Gradients: Compute Your Attributions Where the Model Makes Its Decision.
        AAAI 2024. https://arxiv.org/abs/2305.20052

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.quadratures import DecisionGradients
        >>> method = PathAttribution(lambda x: x @ torch.tensor([3.0, 4.0]), quadrature=DecisionGradients())
        >>> method.attribute(torch.tensor([[1.0, 2.0]]))  # (3, 8) from IG, times F's change of 11
        tensor([[33., 88.]])
    """

    normalize: bool = field(default=False, kw_only=True)

    name: ClassVar[str] = "DecisionGradients (IDG's quadrature)"
    has_input_factor: ClassVar[bool] = False

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """Whether the attributions are rescaled to F's change."""
        return self.normalize

    def init(self) -> Accumulator:
        """An empty accumulator, for one walk."""
        return _DecisionSum(*self.sides, self.normalize)

    def interval_errors(
        self,
        values: Pair,
        gradients: tuple[Tensors, Tensors],
        moves: Tensors,
        positions: Pair,
        velocities: tuple[Tensors, Tensors],
    ) -> Tensor:
        """Half the difference of the left and the right rule, with the path's velocity at either end."""
        lengths = (positions[1] - positions[0]).to(values[0].dtype).to(values[0].device, non_blocking=True)
        left, right = (
            _decisions(tuple(map(torch.mul, parts, velocity)), lengths)
            for parts, velocity in zip(gradients, velocities, strict=True)
        )
        return squared_norms([after - before for before, after in zip(left, right, strict=True)]).sqrt() / 2

    def relative_error(self, errors: IntegrationErrors) -> float:
        """The largest of all errors."""
        return Quadrature.relative_error(self, errors)


def _decisions(parts: Tensors, lengths: Tensor) -> Tensors:
    """Contributions per length (K, ...), times their sum (the slope of F), times the intervals' lengths, (K,)."""
    slopes = torch.stack([by_example(part).sum(1) for part in parts]).sum(0) * lengths
    return tuple(part * per_node(slopes, part) for part in parts)


class _DecisionSum(Accumulator):
    def __init__(self, before: float, after: float, normalize: bool) -> None:
        self._before = before
        self._after = after
        self._normalize = normalize
        self._total: Tensors | None = None  # divided by the peak, so that squares of small slopes do not underflow
        self._change: Tensor | float = 0.0  # what the gradients along the path add up to, (B,)
        self._peak: Tensor | None = None  # the largest slope, (B,)

    def update(self, segment: Segment) -> None:
        moves = segment.increments(self._before, self._after)
        parts = tuple(gradient * move for gradient, move in zip(segment.gradients, moves, strict=True))
        changes = torch.stack([by_node(part).sum(2) for part in parts]).sum(0)
        slopes = changes / self._lengths(segment, changes)
        largest = slopes.detach().abs().amax(0)
        if self._total is None or self._peak is None:
            self._total, self._peak = tuple(torch.zeros_like(part[0]) for part in parts), largest
        peak = torch.maximum(self._peak, largest)
        unit = torch.where(peak == 0, 1, peak)
        self._total = tuple(
            total * per_node(self._peak / unit, total) + (part * per_node(slopes / unit, part)).sum(0)
            for total, part in zip(self._total, parts, strict=True)
        )
        self._peak = peak
        self._change = self._change + changes.sum(0)

    def _lengths(self, segment: Segment, like: Tensor) -> Tensor:
        """The length of the path that each node answers for, (K, 1); infinite for none."""
        cells = zip(segment.grid.lower, segment.grid.nodes, segment.grid.upper, strict=True)
        lengths = [self._before * (node - lower) + self._after * (upper - node) for lower, node, upper in cells]
        return numbers_like([length or torch.inf for length in lengths], like).unsqueeze(1)

    def result(self) -> Tensors:
        assert self._total is not None, "a walk has at least one segment"
        assert self._peak is not None, "set with the total"
        factor = self._peak
        if self._normalize:
            sums = torch.stack([by_example(total).sum(1) for total in self._total]).sum(0)
            factor = self._change / torch.where(sums == 0, 1, sums)
            self.error_scale = (factor / torch.where(self._peak == 0, 1, self._peak)).detach()
        return tuple(total * per_node(factor, total) for total in self._total)
