"""Bounds of tensors of indices, which are read from the device once per call."""

from __future__ import annotations

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

# Of tensors that this library has made, which nothing writes to.
_bounds = WeakTensorKeyDictionary()


def remember_bounds(indices: Tensor, bounds: tuple[int, int]) -> Tensor:
    """Remember the smallest and the largest index, or bounds of them; return the indices."""
    _bounds[indices] = bounds
    return indices


def index_bounds(indices: Tensor) -> tuple[int, int]:
    """The remembered bounds of the indices, or their minimum and maximum, for which the host waits once."""
    bounds: tuple[int, int] | None = _bounds.get(indices)
    if bounds is None:
        lowest, highest = indices.detach().cpu().aminmax()
        bounds = int(lowest), int(highest)
    return bounds


def derived_indices(indices: Tensor, source: Tensor) -> Tensor:
    """Remember the bounds of indices that were taken from others."""
    bounds = _bounds.get(source)
    return indices if bounds is None else remember_bounds(indices, bounds)
