"""ROAD: removal of pixels that leaves fewer traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from captum_ext._engine.arguments import format_arguments
from captum_ext._utils.devices import widest_dtype
from captum_ext._utils.numbers import check_number
from captum_ext._utils.random import as_generator
from captum_ext._utils.types import TargetType
from captum_ext._utils.warnings import warn
from captum_ext.metrics._maps import Ranking, descending_ranks, position_scores
from captum_ext.metrics._perturbation_curve import PerturbationCurve, PerturbationPlan, perturbation_curve

_FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def road(
    forward_func: Callable[..., Any],
    inputs: Tensor,
    attributions: Tensor,
    target: TargetType = None,
    fractions: Sequence[float] = _FRACTIONS,
    order: Literal["morf", "lerf"] = "morf",
    noise: float = 0.01,
    ranking: Ranking = "signed",
    generator: int | torch.Generator = 0,
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> PerturbationCurve:
    """ROAD: the score as pixels are removed and replaced by noisy linear imputation.

    Each removed pixel becomes the weighted mean of its eight neighbors (1/6 for the four direct ones, 1/12 for the
    diagonal ones), many of which are removed too, so a linear system gives all of them. A constant baseline leaves the
    removed pixels' outline in the picture, which the model can recognize; imputation leaves less of it.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row of scores per example.
        inputs: (B, C, H, W).
        attributions: In the shape of the inputs, with one channel, or (B, H, W). Ties are ranked by position.
        target: The score to measure; see :meth:`captum_ext.attr.PathAttribution.attribute`.
        fractions: The fractions of pixels to remove, ascending, above 0 and below 1. Default: 0.1, 0.2, ..., 0.9 (the
            paper's).
        order: ``"morf"`` (default) removes the most relevant pixels first; lower is better. ``"lerf"`` removes the
            least relevant first; higher is better.
        noise: The standard deviation of the normal noise on imputed values, in the units of the inputs. Default: 0.01
            (the paper's code).
        ranking: ``"signed"`` (default) or ``"absolute"``, as for :func:`captum_ext.metrics.insertion`.
        generator: For the noise: an integer seed or a CPU generator. An example has the same noise at all fractions.
            Default: 0.
        additional_forward_args: Further arguments of ``forward_func``.
        internal_batch_size: Maximum number of rows in a forward pass.
        show_progress: Whether to show a progress bar. Default: False.

    Returns:
        The curves of all examples, from no removed pixel to the last fraction.

    Raises:
        TypeError, ValueError: If an argument is invalid. Attributions must be finite to be ranked.

    Reference:
        Rong et al.: A Consistent and Efficient Evaluation Strategy for Attribution Methods. ICML 2022.
        https://arxiv.org/abs/2202.00449

    Example:
        >>> from captum_ext.metrics import road
        >>> x = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> road(lambda z: z.amax((1, 2, 3)), x, x, fractions=[0.5], noise=0.0).scores
        tensor([[15.,  7.]])
    """
    if not isinstance(inputs, Tensor) or inputs.dim() != 4:
        raise ValueError(f"inputs: expected pictures (B, C, H, W), got {tuple(getattr(inputs, 'shape', ()))}.")
    if order not in ("morf", "lerf"):
        raise ValueError(f"order: expected 'morf' or 'lerf', got {order!r}.")
    check_number("noise", noise)
    if noise < 0:
        raise ValueError(f"noise: expected a standard deviation of 0 or more, got {noise}.")
    arguments = format_arguments(inputs, None, target, additional_forward_args)
    ranks = descending_ranks(position_scores(inputs, attributions, ranking).flatten(1))
    positions = inputs.shape[2] * inputs.shape[3]
    counts = _removed_counts(fractions, positions).to(inputs.device)
    plan = _ImputationPlan(
        start=inputs,
        end=noise * torch.randn(inputs.shape, generator=as_generator(generator)).to(inputs.device),
        ranks=ranks if order == "morf" else positions - 1 - ranks,
        regions=torch.arange(positions, device=inputs.device).reshape(1, *inputs.shape[2:]),
        counts=counts,
        total=positions,
    )
    return perturbation_curve(forward_func, plan, arguments, internal_batch_size, show_progress, "ROAD")


def _removed_counts(fractions: Sequence[float], positions: int) -> Tensor:
    values = list(fractions)
    for fraction in values:
        check_number("fractions", fraction)
    if not values or values != sorted(set(values)) or values[0] <= 0 or values[-1] >= 1:
        raise ValueError(
            f"fractions: expected ascending numbers above 0 and below 1, got {values}. With no pixel left, there is "
            "nothing to impute from."
        )
    counts = [0, *(round(fraction * positions) for fraction in values)]
    if counts[-1] >= positions:
        raise ValueError(f"fractions: {values[-1]} leaves none of {positions} pixels to impute from.")
    return torch.tensor(counts)


@dataclass(frozen=True)
class _ImputationPlan(PerturbationPlan):
    """Replaces regions by imputed values; ``end`` is the noise on them."""

    def perturb(self, examples: Tensor, points: Tensor) -> Tensor:
        removed = (self.ranks[examples] < self.counts[points].unsqueeze(1)).unflatten(1, self.regions.shape)
        images = self.start[examples].to(widest_dtype(self.start.device))
        imputed = _imputed(images, removed) + self.end[examples]
        return torch.where(removed, imputed.to(self.start.dtype), self.start[examples])


def _imputed(images: Tensor, removed: Tensor) -> Tensor:
    """The pictures (R, C, H, W) with each removed pixel (R, 1, H, W) equal to the weighted mean of its neighbors.

    The system is symmetric, and positive definite if a pixel is left: conjugate gradients for all rows and channels at
    once. A row leaves when its channels have converged, since large holes take many more rounds than small ones.
    """
    weight = _neighbor_sum(torch.ones_like(images[:1, :1]))  # less than 1 at the border

    n_known = (~removed).sum((2, 3), keepdim=True)
    known = torch.where(removed, 0, images)
    values = torch.where(removed, known.sum((2, 3), keepdim=True) / n_known, images)
    residual = _residual(values, weight, removed)
    limit = (1e-10 if images.dtype == torch.float64 else 1e-5) * known.abs().amax((2, 3), keepdim=True)
    direction = residual / weight
    energy = (residual * direction).sum((2, 3), keepdim=True)
    imputed, rows = values, torch.arange(len(values), device=values.device)
    for _ in range(removed.shape[2] * removed.shape[3]):
        finished = (residual.abs().amax((2, 3), keepdim=True) <= limit).flatten(1).all(1)
        if bool(finished.any()):
            imputed = imputed.index_copy(0, rows[finished], values[finished])
            if bool(finished.all()):
                return imputed
            rows, values, residual, direction, energy, limit, removed = (
                tensor[~finished] for tensor in (rows, values, residual, direction, energy, limit, removed)
            )
        moved = _residual(direction, weight, removed)
        curvature = -(direction * moved).sum((2, 3), keepdim=True)
        step = energy / torch.where(curvature > 0, curvature, 1)
        values = values + step * direction
        residual = residual + step * moved
        scaled = residual / weight
        new_energy = (residual * scaled).sum((2, 3), keepdim=True)
        direction = scaled + new_energy / torch.where(energy > 0, energy, 1) * direction
        energy = new_energy
    warn("ROAD: the imputation did not converge, so removed pixels are approximate.")
    return imputed.index_copy(0, rows, values)


def _residual(values: Tensor, weight: Tensor, removed: Tensor) -> Tensor:
    """The excess of each removed pixel's neighbors over its own weighted value."""
    return torch.where(removed, _neighbor_sum(values) - weight * values, 0)


def _neighbor_sum(values: Tensor) -> Tensor:
    """The weighted sum of each pixel's eight neighbors: 1/6 for direct, 1/12 for diagonal ones."""
    total = values
    for axis in (2, 3):
        length = total.shape[axis]
        spread = 2 * total
        spread.narrow(axis, 1, length - 1).add_(total.narrow(axis, 0, length - 1))
        spread.narrow(axis, 0, length - 1).add_(total.narrow(axis, 1, length - 1))
        total = spread
    return (total - 4 * values) / 12
