"""Checks of attribution maps of images, series or tables, and their scores per position."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from captum_ext._utils.devices import widest_dtype

Ranking = Literal["signed", "absolute"]


def position_scores(inputs: Tensor, attributions: object, ranking: str) -> Tensor:
    """One score per position, (B, ...): the attributions, or their magnitudes, summed over channels.

    Args:
        inputs: (B, C, ...), or (B, F), whose features are the positions.
        attributions: In the shape of the inputs, with one channel, or without a channel dimension.
        ranking: ``"signed"`` or ``"absolute"``.

    Raises:
        TypeError: If the attributions are not a real tensor.
        ValueError: If their shape is invalid, a value is NaN or infinite, or ``ranking`` is unknown.
    """
    if ranking not in get_args(Ranking):
        raise ValueError(f"ranking: expected one of {get_args(Ranking)}, got {ranking!r}.")
    maps = check_maps("attributions", attributions)
    has_channels = inputs.dim() > 2
    spatial = (len(inputs), *inputs.shape[2:]) if has_channels else tuple(inputs.shape)
    if has_channels and maps.shape == spatial:
        maps = maps.unsqueeze(1)
    allowed = [tuple(inputs.shape)] + [(len(inputs), 1, *inputs.shape[2:])] * has_channels
    if tuple(maps.shape) not in allowed:
        raise ValueError(
            f"attributions: expected shape {tuple(inputs.shape)}"
            + f", {allowed[-1]} or {spatial}" * has_channels
            + f", got {tuple(maps.shape)}."
        )
    maps = maps.to(inputs.device, widest_dtype(inputs.device))
    maps = maps.abs() if ranking == "absolute" else maps
    return maps.sum(1) if has_channels else maps


def check_maps(name: str, maps: object) -> Tensor:
    """Attributions in float64, or float32 on a device without it.

    Raises:
        TypeError: If they are not a real tensor.
        ValueError: If a value is NaN or infinite.
    """
    if not isinstance(maps, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(maps).__name__}.")
    if maps.is_complex() or maps.dim() < 2:
        raise TypeError(f"{name}: expected real maps (B, ...), got {maps.dtype} of shape {tuple(maps.shape)}.")
    finite = torch.isfinite(maps).flatten(1).all(1)
    if not bool(finite.all()):
        nonfinite = (~finite).nonzero().flatten().tolist()
        raise ValueError(f"{name}: a NaN or infinity in examples {nonfinite[:10]}, which can't be ranked.")
    return maps.detach().to(widest_dtype(maps.device))


def descending_ranks(scores: Tensor) -> Tensor:
    """The rank of each score (B, N) in its example, 0 for the highest; ties are ranked by position."""
    ranks: Tensor = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return ranks
