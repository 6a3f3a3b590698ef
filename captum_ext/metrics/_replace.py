"""Scores of inputs in which ever more regions are replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_ext._engine.arguments import Arguments
from captum_ext._engine.batching import split
from captum_ext._engine.forward_args import repeated, rows_of
from captum_ext._engine.gradients import select_target
from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.devices import run
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.tensors import float_dtype, sum_dtype


@dataclass(frozen=True)
class PerturbationCurve:
    """How a score changes as ever more of each example is replaced.

    Attributes:
        fractions: The replaced share of the positions or patches, (P,), from 0 on.
        scores: The score of each example at each point, (B, P).
        area: The area under each example's curve by the trapezoid rule, (B,); over fractions, so at most the largest
            fraction times the largest score.
    """

    fractions: Tensor
    scores: Tensor
    area: Tensor


@dataclass(frozen=True)
class Replacement:
    """What is replaced, by what, in which order.

    Attributes:
        before: The examples with nothing replaced, (B, ...).
        after: The examples with all replaced, (B, ...).
        ranks: When each region is replaced, (B, R): those with a rank below the count are.
        regions: The region of each position, in a shape that (B, ...) broadcasts with.
        counts: How many regions are replaced at each point of the curve, (P,).
        total: How many regions there are.
    """

    before: Tensor
    after: Tensor
    ranks: Tensor
    regions: Tensor
    counts: Tensor
    total: int

    def at(self, examples: Tensor, points: Tensor) -> Tensor:
        """The examples with these indices at these points, (rows, ...)."""
        replaced = self.ranks[examples] < self.counts[points].unsqueeze(1)
        mask = replaced[:, self.regions.flatten()].unflatten(1, self.regions.shape)
        return torch.where(mask, self.after[examples], self.before[examples])


def curve(
    forward_func: Callable[..., Any],
    replacement: Replacement,
    given: Arguments,
    internal_batch_size: int | None,
    show_progress: bool,
    description: str,
) -> PerturbationCurve:
    """The score of every example at every point."""
    if internal_batch_size is not None:
        check_positive("internal_batch_size", internal_batch_size)
    points = len(replacement.counts)
    examples, fractions = len(replacement.before), replacement.counts.cpu().double() / replacement.total
    rows = torch.arange(examples * points, device=replacement.before.device)
    every_row = rows.new_empty(1).expand(len(rows), *given.inputs[0].shape[1:])
    chunks = split((every_row,), 1, internal_batch_size, look_ahead=True)[0]
    scores = []
    with torch.no_grad(), preserve_model_state(forward_func):
        for chunk in (progress if show_progress else NullProgress)(chunks, desc=description):
            example, point = rows[chunk] // points, rows[chunk] % points
            x = replacement.at(example, point).to(float_dtype(given.inputs[0]))
            target = _rows(given.target, example)
            arguments = rows_of(given.forward_args, example)
            output = run(forward_func, (x,), repeated(arguments, 1))
            score = select_target(output, target, len(x))
            # Copied: a model with static buffers writes its next pass to the same memory.
            scores.append(score.to(x.device, sum_dtype(given.inputs[0]), copy=True))
    found = torch.cat(scores).reshape(examples, points) if scores else replacement.before.new_zeros(0, points)
    fractions = fractions.to(found)
    return PerturbationCurve(fractions, found, torch.trapezoid(found, fractions))


def _rows(value: Any, examples: Tensor) -> Any:
    if isinstance(value, Tensor) and value.dim():
        return value[examples]
    if isinstance(value, list):
        return [value[k] for k in examples.tolist()]
    return value


def patch_numbers(shape: torch.Size, side: int) -> Tensor:
    """The number of the patch that each position is in, in the spatial shape."""
    number = torch.zeros((), dtype=torch.long, device="cpu")
    for size in shape:
        number = number.unsqueeze(-1) * -(-size // side) + torch.arange(size, device="cpu") // side
    return number


def region_means(x: Tensor, regions: Tensor, total: int) -> Tensor:
    flat, index = x.flatten(2), regions.flatten()
    sums = flat.new_zeros(*flat.shape[:2], total).index_add_(2, index, flat)
    means = sums / index.bincount(minlength=total)
    return means[..., index].reshape(x.shape)
