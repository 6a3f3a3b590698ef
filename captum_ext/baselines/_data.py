"""Baselines from a data set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from captum_ext._utils.devices import widest_dtype
from captum_ext._utils.tensors import float_dtype


def data_mean(data: Tensor | Iterable[Any]) -> Tensor:
    """The mean of a data set, computed in one pass. Memory holds one batch and a sum in float64.

    Args:
        data: All inputs (N, ...), or batches of them, such as a ``DataLoader``: tensors (B, ...), or tuples or lists
            whose first item is such a tensor. For a model with several inputs, call this function once per input:
            ``data_mean(batch[1] for batch in loader)``.

    Returns:
        The mean (1, ...), in the data's dtype if it is floating point.

    Raises:
        TypeError: If a batch has another type.
        ValueError: If there are no examples, shapes differ, or the mean is not finite.

    Example:
        >>> from captum_ext import baselines
        >>> baselines.data_mean([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]])])
        tensor([[3., 4.]])
    """
    if isinstance(data, Dataset):  # its items are examples, not batches
        raise TypeError(
            "data: expected batches, got a Dataset. Write torch.utils.data.DataLoader(data, batch_size=64)."
        )
    total: Tensor | None = None
    count, dtype = 0, torch.float32
    for batch in (data,) if isinstance(data, Tensor) else data:
        inputs = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(inputs, Tensor) or inputs.is_complex() or not inputs.dim():
            got = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
            raise TypeError(
                f"data: expected batches of real tensors (B, ...), or tuples whose first item is one, got {got}."
            )
        part = inputs.detach().sum(0, dtype=widest_dtype(inputs.device))
        if total is None:
            total, dtype = torch.zeros_like(part), float_dtype(inputs)
        if part.shape != total.shape:
            raise ValueError(
                f"data: expected examples of one shape, got {tuple(total.shape)} and {tuple(part.shape)}. Apply the "
                "model's transform first."
            )
        total += part.to(total.device)
        count += len(inputs)
    if total is None or count == 0:
        raise ValueError("data: expected at least one example, got none. (An iterator can be read only once.)")
    if not bool(torch.isfinite(total).all()):
        raise ValueError("data: contains a NaN or infinity.")
    return (total / count).to(dtype).unsqueeze(0)
