"""The weights of a set of baselines, as :class:`Expected` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from captum_ext.attr._baseline_set import as_functions_take

Weights: TypeAlias = Tensor | Callable[[Any], Tensor]

_SUM_TOLERANCE = 1e-3  # a softmax in half precision is that far from 1


def check_weights(weights: object, n_baselines: int) -> None:
    """Check what can be checked without the inputs.

    Raises:
        TypeError: If these are neither a tensor nor a function.
        ValueError: If a tensor does not hold weights of so many baselines.
    """
    if isinstance(weights, Tensor):
        _check_numbers(weights, n_baselines)
    elif not callable(weights) or isinstance(weights, type):
        raise TypeError(
            "weights: expected a tensor (n_baselines,) or (B, n_baselines), or a function of the inputs that returns "
            f"one, got {type(weights).__name__}. Write torch.tensor([0.25, 0.75])."
        )


def resolve_weights(weights: Weights, inputs: Any, n_baselines: int) -> Tensor:
    """The weights of these inputs, (n_baselines,) or (B, n_baselines).

    Raises:
        TypeError: If a function returns anything but a tensor.
        ValueError: If they do not fit these examples.
    """
    if not isinstance(weights, Tensor):
        weights = weights(as_functions_take(inputs))
        if not isinstance(weights, Tensor):
            raise TypeError(f"weights: expected the function to return a tensor, got {type(weights).__name__}.")
    _check_numbers(weights, n_baselines)  # again, since a tensor may have changed
    examples = len(inputs[0] if isinstance(inputs, tuple) else inputs)
    if weights.dim() == 2 and len(weights) != examples:
        raise ValueError(
            f"weights: expected one row for each of {examples} examples, got shape {tuple(weights.shape)}. Pass a "
            "function of the inputs to a method that is called with other numbers of examples, as by NoiseTunnel."
        )
    return weights.detach()


def _check_numbers(weights: Tensor, n_baselines: int) -> None:
    if weights.dim() not in (1, 2) or weights.shape[-1] != n_baselines:
        raise ValueError(
            f"weights: expected shape ({n_baselines},), or (B, {n_baselines}) for weights per example, because there "
            f"are {n_baselines} baselines; got {tuple(weights.shape)}."
        )
    if weights.is_complex() or not bool(torch.isfinite(weights).all()):
        raise ValueError("weights: expected finite real numbers, got a NaN, an infinity or complex numbers.")
    if bool((weights < 0).any()):
        raise ValueError(f"weights: expected numbers of at least 0, got {weights.min().item():g}.")
    sums = weights.detach().to(torch.promote_types(weights.dtype, torch.float32)).sum(-1)
    if bool(((sums - 1).abs() > _SUM_TOLERANCE).any()):
        farthest = sums.flatten()[(sums - 1).abs().argmax()].item()
        raise ValueError(
            f"weights: expected a sum of 1 per example, got {farthest:g}. Write "
            "weights / weights.sum(-1, keepdim=True)."
        )
