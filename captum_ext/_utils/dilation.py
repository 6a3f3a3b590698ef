"""Morphological dilation with a disk."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def dilate(masks: Tensor, radius: int) -> Tensor:
    """Add all pixels whose distance to a mask is at most the radius.

    Args:
        masks: bool (..., H, W).
        radius: In pixels; 0 returns the masks.

    Returns:
        bool (..., H, W).
    """
    height, width = masks.shape[-2:]
    # The number of mask pixels left of each column: a disk is a stack of horizontal runs.
    before = functional.pad(masks.cumsum(-1, dtype=torch.int32), (1, 0))
    columns = torch.arange(width, device=masks.device)
    dilated = torch.zeros_like(masks)
    half, wide = -1, masks
    for row in range(min(radius, height - 1) + 1):
        if half != (half := math.isqrt(radius**2 - row**2)):
            wide = before[..., (columns + half + 1).clamp(max=width)] > before[..., (columns - half).clamp(min=0)]
        dilated[..., row:, :] |= wide[..., : height - row, :]
        dilated[..., : height - row, :] |= wide[..., row:, :]
    return dilated
