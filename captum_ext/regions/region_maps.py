"""XRAI: maps of regions from maps of pixels."""

from __future__ import annotations

from typing import Literal, get_args, overload

import numpy as np
import torch
from torch import Tensor

from captum_ext._utils.numbers import check_number, check_positive, count_of_fraction
from captum_ext._utils.tensors import sum_dtype
from captum_ext._utils.warnings import warn
from captum_ext.regions.merging import greedy_order, merge_segments, sorted_order
from captum_ext.regions.segmentation import Segmentation, segment

Algorithm = Literal["full", "fast"]
ChannelReduction = Literal["max", "sum"]
Segments = Tensor | Segmentation | list[Tensor] | list[Segmentation]

_ORDERS = {"full": greedy_order, "fast": sorted_order}


@overload
def xrai(
    attributions: Tensor,
    images: Tensor | None = ...,
    segments: Segments | None = ...,
    algorithm: Algorithm = ...,
    area_threshold: float = ...,
    min_pixel_diff: int = ...,
    channels: ChannelReduction = ...,
    return_regions: Literal[False] = ...,
) -> Tensor: ...
@overload
def xrai(
    attributions: Tensor,
    images: Tensor | None = ...,
    segments: Segments | None = ...,
    algorithm: Algorithm = ...,
    area_threshold: float = ...,
    min_pixel_diff: int = ...,
    channels: ChannelReduction = ...,
    *,
    return_regions: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def xrai(
    attributions: Tensor,
    images: Tensor | None = None,
    segments: Segments | None = None,
    algorithm: Algorithm = "full",
    area_threshold: float = 1.0,
    min_pixel_diff: int = 50,
    channels: ChannelReduction = "max",
    return_regions: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Merge the pixels of attribution maps into regions, and rank these by their mean attribution.

    The picture is segmented at several scales. Of the segments left, XRAI repeatedly takes the one with the largest
    mean over its pixels that are not yet taken; these pixels become a region and get that mean.

    Args:
        attributions: Maps of any method: (B, C, H, W), (B, H, W), or one map (H, W). Three dimensions are always
            (B, H, W).
        images: The pictures to segment, (B, C, H, W), or (1, C, H, W) for several maps of one picture, which is
            segmented once. Not needed with ``segments``.
        segments: Your own segments, or those of :func:`segment`, which can be shared by several calls: masks, bool
            (M, H, W); a label map, integers (H, W); either with a leading dimension B; or a list with one entry per
            map. Masks may overlap and need not cover the picture. Default ``None``: ``segment(images)``.
        algorithm: ``"full"`` (default, PAIR's) is the greedy algorithm above. ``"fast"`` sorts the segments once by the
            mean over all of their pixels; the regions at the top are then less accurate.
        area_threshold: The merging ends when the regions cover more than this fraction of the picture. The rest
            becomes the last region. Default: 1.0 (PAIR's), all of it. PAIR ignores it in ``"fast"``.
        min_pixel_diff: The minimum number of pixels that a segment must add. Default: 50 (PAIR's), for pictures of
            224 x 224 pixels. A warning is raised if no segment has so many.
        channels: How the channels of a pixel are reduced: ``"max"`` (default, PAIR's) or ``"sum"``, which keeps the
            sum of the attributions. The maximum is larger where the attributions are, whatever their sign: with IG,
            regions then follow the picture's brightness more than the model.
        return_regions: Whether to return the ranks of the regions too. Default: False.

    Returns:
        The maps, (B, H, W), or (H, W) for one map (H, W). Each sums to its map after the reduction of channels. With
        ``return_regions=True`` also the rank of each pixel's region, in the same shape: 1 for the region with the
        largest mean. The pixels of no region have the last rank, whatever their mean. See :func:`top_regions`.

    Raises:
        TypeError, ValueError: If an argument is invalid, or a map contains a NaN or infinity.
        ImportError: If pictures are segmented and scikit-image is not installed.

    Reference:
        Kapishnikov, Bolukbasi, Viégas, Terry: XRAI: Better Attributions Through Regions. ICCV 2019.
        https://arxiv.org/abs/1906.02825

    Example:
        >>> from captum_ext.regions import xrai
        >>> attributions = torch.tensor([[[3.0, 1.0, 0.0, 0.0], [1.0, 3.0, 0.0, 4.0]]])
        >>> halves = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])
        >>> xrai(attributions, segments=halves, min_pixel_diff=1)
        tensor([[[2., 2., 1., 1.],
                 [2., 2., 1., 1.]]])
    """
    for name, value, choices in (("algorithm", algorithm, Algorithm), ("channels", channels, ChannelReduction)):
        if value not in get_args(choices):
            raise ValueError(f"{name}: expected one of {get_args(choices)}, got {value!r}.")
    check_number("area_threshold", area_threshold)
    if not 0 <= area_threshold <= 1:
        raise ValueError(f"area_threshold: expected a fraction from 0 to 1, got {area_threshold}.")
    check_positive("min_pixel_diff", min_pixel_diff)
    maps = _reduce_channels(attributions, channels)
    segmentations = _segmentations(segments, images, tuple(maps.shape))
    small = [k for k, each in enumerate(segmentations) if each.mask_sizes.max(initial=0) < min_pixel_diff]
    if small:
        warn(
            f"No segment of maps {small[:10]} has min_pixel_diff={min_pixel_diff} pixels, so these maps are their mean "
            "everywhere. Pass a smaller min_pixel_diff for small pictures."
        )
    merged, ranks = np.empty(maps.shape), np.empty(maps.shape, dtype=np.int64)
    for k, (segmentation, values) in enumerate(zip(segmentations, maps.numpy(), strict=True)):
        merged[k], ranks[k] = merge_segments(segmentation, values, _ORDERS[algorithm], area_threshold, min_pixel_diff)
    shape = attributions.shape if attributions.dim() == 2 else maps.shape
    result = torch.from_numpy(merged).to(sum_dtype(attributions)).to(attributions.device).reshape(shape)
    regions = torch.from_numpy(ranks).to(attributions.device).reshape(shape)
    return (result, regions) if return_regions else result


def top_regions(regions: Tensor, fraction: float) -> Tensor:
    """The regions at the top that together cover a fraction of the picture.

    Args:
        regions: The ranks that :func:`xrai` returns, (B, H, W) or (H, W).
        fraction: The fraction of the picture, above 0 and at most 1. Regions are added as a whole, so they may cover
            more.

    Returns:
        bool masks in the shape of ``regions``.

    Raises:
        TypeError: If the regions are not ranks.
        ValueError: If the fraction is out of range.

    Example:
        >>> from captum_ext.regions import top_regions
        >>> top_regions(torch.tensor([[1, 2, 2], [3, 3, 3]]), 0.3)
        tensor([[ True,  True,  True],
                [False, False, False]])
    """
    if not isinstance(regions, Tensor) or regions.is_floating_point() or regions.dim() not in (2, 3):
        raise TypeError("regions: expected the ranks that xrai(..., return_regions=True) returns, (B, H, W) or (H, W).")
    check_number("fraction", fraction)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction: expected more than 0 and at most 1, got {fraction}.")
    flat = regions.reshape(-1, regions.shape[-2] * regions.shape[-1])
    needed = count_of_fraction(fraction, flat.shape[1])
    last = flat.sort(dim=1).values[:, needed - 1 : needed]
    return (flat <= last).reshape(regions.shape)


def _reduce_channels(attributions: object, channels: str) -> Tensor:
    """The maps as (B, H, W) in float64 on the CPU, where the regions are merged."""
    if not isinstance(attributions, Tensor) or attributions.is_complex():
        raise TypeError(f"attributions: expected a real tensor, got {type(attributions).__name__}.")
    if attributions.dim() not in (2, 3, 4) or 0 in attributions.shape[1:]:
        raise ValueError(
            f"attributions: expected (B, C, H, W), (B, H, W) or (H, W), got shape {tuple(attributions.shape)}."
        )
    maps = attributions.detach().unsqueeze(0) if attributions.dim() == 2 else attributions.detach()
    finite = torch.isfinite(maps).flatten(1).all(1)
    if not bool(finite.all()):
        raise ValueError(
            f"attributions: a NaN or infinity in maps {(~finite).nonzero().flatten().tolist()[:10]}, so that no mean "
            "can be ranked."
        )
    maps = maps.cpu().double()
    if maps.dim() == 4:
        maps = maps.amax(1) if channels == "max" else maps.sum(1)
    return maps


def _segmentations(segments: object, images: Tensor | None, shape: tuple[int, ...]) -> list[Segmentation]:
    """The segmentation of each map; ``shape`` is (B, H, W)."""
    if segments is None:
        if images is None:
            raise ValueError("images: expected the pictures (B, C, H, W) to segment, or segments; got neither.")
        if isinstance(images, Tensor) and images.dim() == 4 and images.shape[2:] != shape[1:]:
            raise ValueError(
                f"images: expected the size of the maps, {shape[1]} x {shape[2]}, got shape {tuple(images.shape)}."
            )
        if isinstance(images, Tensor) and images.dim() == 4 and len(images) not in (1, shape[0]):
            raise ValueError(f"images: expected {shape[0]} pictures, one per map, or 1; got {len(images)}.")
        each = segment(images)
    elif isinstance(segments, list | tuple):
        each = [_as_segmentation(entry, f"segments[{k}]") for k, entry in enumerate(segments)]
    elif isinstance(segments, Tensor) and segments.dim() == (4 if segments.dtype == torch.bool else 3):
        each = [_as_segmentation(entry, "segments") for entry in segments]
    else:
        each = [_as_segmentation(segments, "segments")]
    if len(each) not in (1, shape[0]):
        raise ValueError(f"segments: expected one segmentation per map ({shape[0]}) or one for all, got {len(each)}.")
    for segmentation in each:
        if segmentation.atoms.shape != shape[1:]:
            size = " x ".join(map(str, segmentation.atoms.shape))
            raise ValueError(f"segments: expected the size of the maps, {shape[1]} x {shape[2]}, got {size}.")
    return each * shape[0] if len(each) == 1 else each


def _as_segmentation(segments: object, name: str) -> Segmentation:
    if isinstance(segments, Segmentation):
        return segments
    if not isinstance(segments, Tensor):
        raise TypeError(
            f"{name}: expected masks, a label map or what segment() returns, got {type(segments).__name__}. Write "
            "torch.as_tensor(array) for an array."
        )
    if segments.is_floating_point() or segments.is_complex():
        raise TypeError(
            f"{name}: expected bool masks (M, H, W) or an integer label map (H, W), got {segments.dtype}. Write "
            "segments.bool() for masks, segments.long() for labels."
        )
    if segments.dtype == torch.bool:
        if segments.dim() != 3 or not len(segments):
            advice = " Write torch.stack(masks) for a list of masks." if segments.dim() == 2 else ""
            raise ValueError(f"{name}: expected masks (M, H, W), at least one; got {tuple(segments.shape)}.{advice}")
        return Segmentation.from_masks(segments)
    if segments.dim() != 2:
        raise ValueError(f"{name}: expected a label map (H, W), got shape {tuple(segments.shape)}.")
    return Segmentation.from_labels(segments)
