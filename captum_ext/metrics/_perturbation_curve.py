"""The model's score as more and more regions of an input are replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from captum_ext._engine.arguments import Arguments
from captum_ext._engine.batching import split
from captum_ext._engine.forward_args import repeated, rows_of
from captum_ext._engine.gradients import select_target
from captum_ext._engine.out_of_memory import RowLimit
from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.devices import run
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.targets import derived_indices
from captum_ext._utils.tensors import float_dtype, sum_dtype


@dataclass(frozen=True)
class PerturbationCurve:
    """The score of each example as more and more of it is replaced.

    Attributes:
        fractions: The share of positions or patches that is replaced at each point, (P,), starting at 0.
        scores: The score of each example at each point, (B, P).
        area: The area under each example's curve (trapezoid rule over the fractions), (B,).
    """

    fractions: Tensor
    scores: Tensor
    area: Tensor


@dataclass(frozen=True)
class PerturbationPlan:
    """The regions to replace, their order and their new values.

    Attributes:
        start: The examples with nothing replaced, (B, ...).
        end: The examples with everything replaced, (B, ...).
        ranks: The order in which regions are replaced, (B, R); regions with a rank below the count are replaced.
        regions: The region of each position, in a shape that broadcasts with (B, ...).
        counts: The number of replaced regions at each point of the curve, (P,).
        total: The number of regions.
    """

    start: Tensor
    end: Tensor
    ranks: Tensor
    regions: Tensor
    counts: Tensor
    total: int

    def perturb(self, examples: Tensor, points: Tensor) -> Tensor:
        """The examples with these indices at these points of the curve, (rows, ...)."""
        replaced = self.ranks[examples] < self.counts[points].unsqueeze(1)
        mask = replaced[:, self.regions.flatten()].unflatten(1, self.regions.shape)
        return torch.where(mask, self.end[examples], self.start[examples])


def perturbation_curve(
    forward_func: Callable[..., Any],
    plan: PerturbationPlan,
    arguments: Arguments,
    internal_batch_size: int | None,
    show_progress: bool,
    description: str,
) -> PerturbationCurve:
    """The score of every example at every point."""
    if internal_batch_size is not None:
        check_positive("internal_batch_size", internal_batch_size)
    (inputs,) = arguments.inputs
    points = len(plan.counts)
    examples, fractions = len(plan.start), plan.counts.cpu().double() / plan.total
    rows = torch.arange(examples * points, device=plan.start.device)
    every_row = rows.new_empty(1).expand(len(rows), *inputs.shape[1:])
    chunks = split((every_row,), 1, internal_batch_size, look_ahead=True, gradients=False)[0]
    memory = RowLimit()

    def scores_of(chunk: Tensor, limit: int | None = None) -> Tensor:
        if limit is not None and len(chunk) > limit:
            return torch.cat([scores_of(part) for part in chunk.split(limit)])
        example, point = chunk // points, chunk % points
        x = plan.perturb(example, point).to(float_dtype(inputs))
        target = _select_rows(arguments.target, example)
        output = run(forward_func, (x,), repeated(rows_of(arguments.forward_args, example), 1))
        # Copied: a model with static buffers writes its next pass to the same memory.
        return select_target(output, target, len(x)).to(x.device, sum_dtype(inputs), copy=True)

    scores = []
    with torch.no_grad(), preserve_model_state(forward_func):
        for chunk in (progress if show_progress else NullProgress)(chunks, desc=description):
            part = rows[chunk]
            scores.append(memory.run(len(part), partial(scores_of, part)))
    curves = torch.cat(scores).reshape(examples, points) if scores else plan.start.new_zeros(0, points)
    fractions = fractions.to(curves)
    return PerturbationCurve(fractions, curves, torch.trapezoid(curves, fractions))


def _select_rows(value: Any, examples: Tensor) -> Any:
    if isinstance(value, Tensor) and value.dim():
        return derived_indices(value[examples], value)
    if isinstance(value, list):
        return [value[k] for k in examples.tolist()]
    return value


def patch_numbers(shape: torch.Size, side: int) -> Tensor:
    """The index of the patch that contains each position, in the spatial shape."""
    number = torch.zeros((), dtype=torch.long, device="cpu")
    for size in shape:
        number = number.unsqueeze(-1) * -(-size // side) + torch.arange(size, device="cpu") // side
    return number


def region_means(x: Tensor, regions: Tensor, total: int) -> Tensor:
    """The inputs with each value replaced by the mean of its channel over its region."""
    flat, index = x.flatten(2), regions.flatten()
    sums = flat.new_zeros(*flat.shape[:2], total).index_add_(2, index, flat)
    means = sums / index.bincount(minlength=total)
    return means[..., index].reshape(x.shape)
