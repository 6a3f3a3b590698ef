"""Principal components of images, as a linear encoder and decoder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from captum_ext._utils.devices import float64_device, full_precision
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.tensors import by_example, float_dtype


@dataclass(frozen=True, eq=False, repr=False)
class PCA:
    """The first principal components of a data set: a linear encoder and decoder, made by :func:`fit_pca`.

    Attributes:
        mean: The mean of the data, (...), the shape of one example.
        components: The components (n, ...), orthonormal, the one with the largest variance first.
        explained_variance: The variance of the data along each component, (n,).
        explained_variance_ratio: Its share of the data's whole variance, (n,). The sum says how much of the data the
            coder keeps.
    """

    mean: Tensor
    components: Tensor
    explained_variance: Tensor
    explained_variance_ratio: Tensor

    def __repr__(self) -> str:
        """The number of components and what they explain."""
        share = float(self.explained_variance_ratio.sum())
        return f"PCA({len(self.components)} components of {tuple(self.mean.shape)}, {share:.0%} of the variance)"

    def encode(self, inputs: Tensor) -> Tensor:
        """The coordinates (B, n) of inputs (B, ...)."""
        if inputs.shape[1:] != self.mean.shape:
            raise ValueError(
                f"PCA: expected examples of shape {tuple(self.mean.shape)}, as those it was fitted to, got inputs of "
                f"shape {tuple(inputs.shape)}. Apply the same transform."
            )
        with full_precision(inputs.device):
            return by_example(inputs - self.mean.to(inputs)) @ by_example(self.components.to(inputs)).T

    def decode(self, latents: Tensor) -> Tensor:
        """The inputs (B, ...) at coordinates (B, n)."""
        with full_precision(latents.device):
            flat = latents @ by_example(self.components.to(latents))
        return flat.reshape(len(latents), *self.mean.shape) + self.mean.to(latents)


def fit_pca(images: Tensor | Iterable[Any], n: int) -> PCA:
    """Fit a linear encoder and decoder to images, or to any data of one shape.

    The components are computed exactly, from a singular value decomposition in float64. Memory holds three copies of
    the data in float64: 3.6 MB per photograph of 3 x 224 x 224.

    Args:
        images: All images (N, ...), or batches of them, such as a ``DataLoader``: tensors (B, ...), or tuples or lists
            whose first item is such a tensor. Use images like those that you explain, with the model's transform.
        n: The number of components, at most N - 1 and at most the number of values of an image.

    Returns:
        The :class:`PCA`, whose ``encode`` and ``decode`` fit :class:`LatentPath`, in the images' dtype (float32 for
        half precision) and on their device.

    Raises:
        TypeError: If a batch is not a tensor of real numbers, or ``n`` is not an integer.
        ValueError: If shapes differ, there are too few images for ``n`` components, or they hold a NaN or infinity.

    Example:
        >>> from captum_ext.paths import fit_pca
        >>> pca = fit_pca((torch.rand(8, 3, 4, 4) for _ in range(5)), n=3)
        >>> pca.encode(torch.rand(2, 3, 4, 4)).shape
        torch.Size([2, 3])
        >>> pca.explained_variance_ratio.shape
        torch.Size([3])
    """
    check_positive("n", n)
    data = _joined(images)
    dtype = torch.promote_types(float_dtype(data), torch.float32)
    flat = by_example(data.to(float64_device(data.device), torch.float64))
    most = min(len(flat) - 1, flat.shape[1])
    if n > most:
        raise ValueError(
            f"n: expected at most {most} components of {len(flat)} images of {flat.shape[1]} values, got {n}."
        )
    mean = flat.mean(0)
    flat = flat - mean
    variance = flat.square().sum() / (len(flat) - 1)
    if not bool(torch.isfinite(variance)):
        raise ValueError("images: contain a NaN or infinity.")
    if not bool(variance > 0):
        raise ValueError("images: expected images that differ, got the same image several times.")
    with torch.no_grad():
        _, singular, components = torch.linalg.svd(flat, full_matrices=False)
    components = components[:n]
    # The sign of a component is arbitrary: its largest entry is positive, so that results can be repeated.
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    components = components * torch.where(largest < 0, -1.0, 1.0)
    of_each = singular[:n].square() / (len(flat) - 1)
    shape = data.shape[1:]
    mean, components, of_each, share = (
        tensor.to(data.device, dtype) for tensor in (mean, components, of_each, of_each / variance)
    )
    return PCA(mean.reshape(shape), components.reshape(n, *shape), of_each, share)


def _joined(images: Tensor | Iterable[Any]) -> Tensor:
    """All images (N, ...) of a data set."""
    if isinstance(images, Dataset):  # its items are examples, not batches
        raise TypeError(
            "images: expected batches, got a Dataset. Write torch.utils.data.DataLoader(data, batch_size=64)."
        )
    batches = []
    for batch in (images,) if isinstance(images, Tensor) else images:
        tensor = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(tensor, Tensor) or tensor.is_complex() or not tensor.dim():
            got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(
                f"images: expected batches of real tensors (B, ...), or tuples whose first item is one, got {got}."
            )
        batches.append(tensor.detach())
    if not batches:
        raise ValueError("images: expected at least two, got none. (An iterator can be read only once.)")
    shapes = {tuple(batch.shape[1:]) for batch in batches}
    if len(shapes) > 1:
        raise ValueError(f"images: expected one shape, got {sorted(shapes)}. Apply the model's transform first.")
    return torch.cat(batches)
