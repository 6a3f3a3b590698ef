"""What a walk hands to a quadrature."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

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
