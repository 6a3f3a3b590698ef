"""The similarity of two sets of maps: stability under small changes, and sensitivity to the class."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from captum_ext._utils.numbers import check_positive
from captum_ext.metrics._maps import Ranking, check_maps
from captum_ext.vision.picture_files import jpeg_copy, to_pil

Normalization = Literal["signed", "absolute"]


def stability_error(attributions: Tensor, others: Tensor, normalize: Normalization = "signed") -> Tensor:
    """The mean squared difference between the normalized maps of an input and of a slightly changed one.

    The study below changes images with :func:`jpeg_compress`. :func:`rank_correlation` compares the same maps without
    a scale; report both.

    Args:
        attributions: (B, C, ...), whose channels are summed, or (B, F).
        others: The maps of the changed inputs, in the same shape.
        normalize: ``"signed"`` (default, as in the study) divides each map by its sum. Where positive and negative
            attributions nearly cancel, as they often do for Integrated Gradients, the sum is near 0 and the error is
            huge, whether or not the maps differ. ``"absolute"`` divides by the sum of magnitudes.

    Returns:
        The error of each example, (B,). Lower is more stable. The study reports -log10 of the data set's mean.

    Raises:
        TypeError, ValueError: If the maps are not finite or differ in shape, or ``normalize`` is unknown.

    Reference:
        Singhi, Kumari: Strengthening Interpretability: An Investigative Study of Integrated Gradient Methods. 2024,
        Section 4.5.2 and Table 5. https://arxiv.org/abs/2409.09043

    Example:
        >>> from captum_ext.metrics import stability_error
        >>> stability_error(torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 2.0]]))
        tensor([0.0625], dtype=torch.float64)
    """
    if normalize not in get_args(Normalization):
        raise ValueError(f"normalize: expected one of {get_args(Normalization)}, got {normalize!r}.")
    first, second = _flatten_maps(attributions, others)
    scales = [maps.abs().sum(1) if normalize == "absolute" else maps.sum(1) for maps in (first, second)]
    # A map of zeros has no scale and is left unchanged.
    scaled = [
        maps / torch.where(scale == 0, 1, scale).unsqueeze(1)
        for maps, scale in zip((first, second), scales, strict=True)
    ]
    return (scaled[0] - scaled[1]).square().mean(1)


def rank_correlation(attributions: Tensor, others: Tensor, ranking: Ranking = "signed") -> Tensor:
    """Spearman's rank correlation between two sets of maps.

    Args:
        attributions: (B, C, ...), whose channels are summed, or (B, F).
        others: The maps to compare them with, in the same shape: of a slightly changed input to measure stability, of
            another class to measure class sensitivity.
        ranking: ``"signed"`` (default) ranks positions by the sum over channels, ``"absolute"`` by the sum of
            magnitudes, which ignores the sign.

    Returns:
        The correlation of each example, (B,), from -1 to 1; 0 where a map is constant.

    Raises:
        TypeError, ValueError: If the maps are not finite or differ in shape, or ``ranking`` is unknown.

    Example:
        >>> from captum_ext.metrics import rank_correlation
        >>> a = torch.tensor([[1.0, -2.0, 3.0]])
        >>> round(rank_correlation(a, 2 * a).item(), 9), round(rank_correlation(a, -a).item(), 9)
        (1.0, -1.0)
    """
    if ranking not in get_args(Ranking):
        raise ValueError(f"ranking: expected one of {get_args(Ranking)}, got {ranking!r}.")
    first, second = _flatten_maps(attributions, others, ranking == "absolute")
    ranks = [torch.stack([_average_ranks(row) for row in maps]) if len(maps) else maps for maps in (first, second)]
    a, b = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    norms = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(norms > 0, (a * b).sum(1) / torch.where(norms > 0, norms, 1), 0)


def class_sensitivity(attributions: Tensor, others: Tensor, ranking: Ranking = "signed") -> Tensor:
    """The rank correlation between the maps of two classes of the same input. Near 1, a map ignores the class.

    Args:
        attributions: Maps of one class, (B, C, ...), whose channels are summed, or (B, F).
        others: Maps of another class, in the same shape.
        ranking: ``"signed"`` (default) or ``"absolute"``, under which maps that differ only in sign are equal.

    Returns:
        :func:`rank_correlation` of each example, (B,). Noise also has values near 0.

    Raises:
        TypeError, ValueError: If the maps are not finite or differ in shape, or ``ranking`` is unknown.

    Example:
        >>> from captum_ext.metrics import class_sensitivity
        >>> a = torch.tensor([[1.0, -2.0, 3.0]])
        >>> round(class_sensitivity(a, -a).item(), 9), round(class_sensitivity(a, -a, "absolute").item(), 9)
        (-1.0, 1.0)
    """
    return rank_correlation(attributions, others, ranking)


def jpeg_compress(images: Tensor, quality: int = 75) -> Tensor:
    """Compress images as JPEG and decompress them.

    Args:
        images: uint8 (B, 3, H, W) or (B, 1, H, W).
        quality: Pillow's quality, 1 to 100. Default: 75, as in the study of :func:`stability_error`.

    Returns:
        uint8 images in the same shape, on the same device.

    Raises:
        TypeError: If the images are not uint8.
        ValueError: If the shape or the quality is invalid.
        ImportError: If Pillow is not installed.

    Example:
        >>> from captum_ext.metrics import jpeg_compress
        >>> jpeg_compress(torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)).shape
        torch.Size([2, 3, 16, 16])
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images: expected a uint8 tensor of pixels, got {kind}. Compress before the transform.")
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images: expected shape (B, 1 or 3, H, W), got {tuple(images.shape)}.")
    check_positive("quality", quality)
    if quality > 100:
        raise ValueError(f"quality: expected 1 to 100, got {quality}.")
    outputs = torch.empty_like(images, device="cpu")
    for k, image in enumerate(images.cpu()):
        decoded = torch.from_numpy(np.array(jpeg_copy(to_pil(image.permute(1, 2, 0).numpy()), quality)))
        outputs[k] = decoded.permute(2, 0, 1) if len(image) == 3 else decoded
    return outputs.to(images.device)


def _flatten_maps(attributions: Tensor, others: Tensor, magnitude: bool = False) -> tuple[Tensor, Tensor]:
    """Both sets of maps as (B, positions)."""
    first, second = check_maps("attributions", attributions), check_maps("others", others)
    if first.shape != second.shape:
        raise ValueError(f"others: expected the attributions' shape {tuple(first.shape)}, got {tuple(second.shape)}.")
    if magnitude:
        first, second = first.abs(), second.abs()
    if first.dim() > 2:
        first, second = first.sum(1), second.sum(1)
    return first.flatten(1), second.flatten(1).to(first)


def _average_ranks(row: Tensor) -> Tensor:
    """Ranks from 1; ties get the mean of their ranks."""
    _, group, counts = row.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).to(row.dtype)
    ranks: Tensor = (last - (counts.to(row.dtype) - 1) / 2)[group]
    return ranks
