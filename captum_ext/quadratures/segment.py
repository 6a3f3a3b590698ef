"""What a walk hands to a quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

Tensors: TypeAlias = tuple[Tensor, ...]


class Segment(NamedTuple):
    """K consecutive path points of B examples.

    Attributes:
        points: The points, one tensor (K, B, ...) an input.
        values: F at the points, (K, B); ``None`` unless a quadrature of the walk needs values.
        gradients: The gradient of F at the points, shaped as ``points``. The next forward pass may overwrite it: copy
            what you keep.
        increments: ``increments(before, after)`` is how far the path moves on the cell of each point:
            ``before`` times the way from the start of the cell to the point plus ``after`` times the way from
            the point to the end of the cell, shaped as ``points``.
    """

    points: Tensors
    values: Tensor | None
    gradients: Tensors
    increments: Callable[[float, float], Tensors]


def per_node(weights: Tensor, like: Tensor) -> Tensor:
    """(K,) or (K, B) weights, shaped to multiply (K, B, ...)."""
    return weights.reshape(*weights.shape, *(1,) * (like.dim() - weights.dim()))


def by_example(tensor: Tensor) -> Tensor:
    """(B, ...) as (B, features), for no examples too."""
    return tensor.reshape(len(tensor), math.prod(tensor.shape[1:]))


def squared_norms(parts: Sequence[Tensor]) -> Tensor:
    """The sum of squares over all features of several (B, ...); (B,)."""
    return torch.stack([by_example(part).square().sum(1) for part in parts]).sum(0)
