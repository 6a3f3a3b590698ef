"""Shapes and dtypes of inputs, and reductions over their features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Tensors: TypeAlias = tuple[Tensor, ...]


def per_node(weights: Tensor, like: Tensor) -> Tensor:
    """Reshape weights (K,) or (K, B) so that they multiply ``like`` (K, B, ...)."""
    return weights.reshape(*weights.shape, *(1,) * (like.dim() - weights.dim()))


def by_example(tensor: Tensor) -> Tensor:
    """Reshape (B, ...) to (B, features). B can be 0."""
    return tensor.reshape(len(tensor), math.prod(tensor.shape[1:]))


def by_node(tensor: Tensor) -> Tensor:
    """(K, B, ...) as (K, B, features)."""
    return tensor.reshape(*tensor.shape[:2], math.prod(tensor.shape[2:]))


def squared_norms(parts: Sequence[Tensor]) -> Tensor:
    """The sum of squares over all features of several tensors (B, ...), (B,)."""
    return torch.stack([by_example(part).square().sum(1) for part in parts]).sum(0)


def float_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype of the points between a baseline and this input."""
    return tensor.dtype if tensor.is_floating_point() else torch.get_default_dtype()


def sum_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype of paths, sums and attributions: at least float32."""
    return torch.promote_types(float_dtype(tensor), torch.float32)


def numbers_like(numbers: Sequence[float] | Sequence[Sequence[float]], like: Tensor) -> Tensor:
    """Numbers as a tensor in the dtype and on the device of another; the host does not wait for the copy."""
    # Made in float64 on the CPU, because some devices have no float64.
    return torch.tensor(numbers, dtype=torch.float64, device="cpu").to(like.dtype).to(like.device, non_blocking=True)
