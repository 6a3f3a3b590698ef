"""The results of a walk: attributions, deltas, and records of the integration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors, by_example, sum_dtype
from captum_ext._utils.warnings import warn


@dataclass(frozen=True)
class PathRecord:
    """A record of one example's integration.

    Attributes:
        positions: The positions of the gradients on the path, from 0 to 1, (K,); float64.
        values: F at these positions, (K,).
        error: The estimated relative L2 error of the map; NaN if it is not estimated.
        converged: Whether the tolerance was reached.
    """

    positions: Tensor
    values: Tensor
    error: float
    converged: bool


class Result(NamedTuple):
    """One quadrature's result for all examples.

    Attributes:
        attributions: One tensor (B, ...) per input.
        delta: The sum of each example's attributions minus F's change, (B,); ``None`` if not computed.
        records: One per example; empty if not recorded.
    """

    attributions: Tensors
    delta: Tensor | None
    records: list[PathRecord]


def concatenate_chunks(
    parts: list[Tensors], output_deltas: list[Tensor], records: list[PathRecord], like: Tensors, with_delta: bool
) -> Result:
    """Combine the results of chunks of examples.

    Args:
        parts: The chunks' attributions.
        output_deltas: F's change on the chunks' paths, each (B,); empty without ``with_delta``.
        records: One per example, or none.
        like: Tensors with the number and dtypes of the attributions, and with their shapes if there are no examples.
        with_delta: Whether to compute the delta.

    Warns:
        RuntimeWarning: If an attribution is not finite.
    """
    if not parts:  # no examples
        empty = tuple(torch.zeros_like(tensor, dtype=sum_dtype(tensor)) for tensor in like)
        return Result(empty, empty[0].new_zeros(0) if with_delta else None, records)
    attributions = tuple(
        torch.cat(pieces).to(sum_dtype(tensor)).contiguous()
        for pieces, tensor in zip(zip(*parts, strict=True), like, strict=True)
    )
    finite = torch.stack([torch.isfinite(by_example(tensor)).all(1) for tensor in attributions]).all(0)
    if not bool(finite.all()):
        warn(
            f"The attributions of examples {(~finite).nonzero().flatten().tolist()[:10]} are not finite: F or its "
            "gradient is NaN or infinite somewhere on their path, or too large to sum.",
            RuntimeWarning,
        )
    if not with_delta:
        return Result(attributions, None, records)
    return Result(attributions, sums_of(attributions) - torch.cat(output_deltas), records)


def sums_of(attributions: Tensors) -> Tensor:
    """The sum of each example's attributions over all inputs, (B,)."""
    first, *others = (by_example(tensor).sum(1) for tensor in attributions)
    return sum(others, first)
