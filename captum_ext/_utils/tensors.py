"""Several inputs as a tuple of tensors, and reductions over all their features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Tensors: TypeAlias = tuple[Tensor, ...]


def per_node(weights: Tensor, like: Tensor) -> Tensor:
    """(K,) or (K, B) weights, shaped to multiply (K, B, ...)."""
    return weights.reshape(*weights.shape, *(1,) * (like.dim() - weights.dim()))


def by_example(tensor: Tensor) -> Tensor:
    """(B, ...) as (B, features), for no examples too."""
    return tensor.reshape(len(tensor), math.prod(tensor.shape[1:]))


def by_node(tensor: Tensor) -> Tensor:
    """(K, B, ...) as (K, B, features)."""
    return tensor.reshape(*tensor.shape[:2], math.prod(tensor.shape[2:]))


def squared_norms(parts: Sequence[Tensor]) -> Tensor:
    """The sum of squares over all features of several (B, ...); (B,)."""
    return torch.stack([by_example(part).square().sum(1) for part in parts]).sum(0)


def float_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype in which a model is given points between a baseline and this input."""
    return tensor.dtype if tensor.is_floating_point() else torch.get_default_dtype()


def sum_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype of paths, sums and attributions: float32 at least."""
    return torch.promote_types(float_dtype(tensor), torch.float32)
