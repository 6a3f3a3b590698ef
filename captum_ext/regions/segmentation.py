"""Segments of pictures: overlapping masks, stored as the atoms that they are unions of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from captum_ext._utils.arrays import BoolArray, IntArray
from captum_ext._utils.dilation import dilate
from captum_ext._utils.numbers import check_integer, check_number, check_positive
from captum_ext._utils.optional import optional

Crop = tuple[slice, slice]

SCALES = (50, 100, 150, 250, 500, 1200)
_WORD = 64


def atom_sums(groups: IntArray, values: NDArray[np.float64], n_groups: int) -> NDArray[np.float64]:
    """The sum of the values (N,) of each group, (n_groups,)."""
    sums: Any = np.bincount(groups, values, n_groups)  # NumPy's stubs know counts only
    return np.asarray(sums, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The segments of one picture, which may overlap and need not cover it.

    Pixels that are in the same masks form an *atom*. Masks are unions of atoms, so sums over masks need a sum per atom
    only, and a few thousand atoms replace the masks' pixels.

    Args:
        atoms: The atom of each pixel, (H, W), from 0 to A - 1.
        owners: The masks that contain each atom, one atom after the other.
        offsets: Where the masks of each atom start in ``owners``, (A + 1,).
        n_masks: The number of masks.

    Example:
        >>> from captum_ext.regions import Segmentation
        >>> Segmentation.from_labels(torch.tensor([[4, 4, 7], [4, 7, 7]])).masks.sum((1, 2))
        tensor([3, 3])
    """

    atoms: IntArray
    owners: IntArray
    offsets: IntArray
    n_masks: int

    @classmethod
    def from_masks(cls, masks: Tensor) -> Segmentation:
        """The segmentation with these masks, bool (M, H, W)."""
        height, width = masks.shape[1:]
        whole = slice(0, height), slice(0, width)
        return _from_crops([(whole, mask) for mask in masks.cpu().numpy()], (height, width))

    @classmethod
    def from_labels(cls, labels: Tensor) -> Segmentation:
        """The segmentation with one mask per distinct label, integers (H, W)."""
        names, atoms = np.unique(labels.cpu().numpy(), return_inverse=True)
        return cls(atoms.reshape(labels.shape), np.arange(len(names)), np.arange(len(names) + 1), len(names))

    @property
    def masks(self) -> Tensor:
        """The masks, bool (M, H, W)."""
        members = np.zeros((self.n_masks, len(self.counts)), dtype=bool)
        members[self.owners, self._owned] = True
        return torch.from_numpy(members[:, self.atoms])

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """The number of pixels of each atom, (A,)."""
        return np.bincount(self.atoms.ravel(), minlength=len(self.offsets) - 1).astype(np.float64)

    @cached_property
    def _owned(self) -> IntArray:
        """The atom that each entry of ``owners`` is about."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @cached_property
    def atoms_of_masks(self) -> list[IntArray]:
        """The atoms of each mask."""
        ends = np.cumsum(np.bincount(self.owners, minlength=self.n_masks))
        return np.split(self._owned[np.argsort(self.owners, kind="stable")], ends[:-1])

    @cached_property
    def mask_sizes(self) -> NDArray[np.float64]:
        """The number of pixels of each mask, (M,)."""
        return self.sum_over_masks(self.counts)

    def sum_over_masks(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over each mask, (M,), of one value per atom, (A,)."""
        return atom_sums(self.owners, values[self._owned], self.n_masks)

    def memberships(self, atoms: IntArray) -> tuple[IntArray, IntArray]:
        """The pairs of one of these atoms and a mask that contains it: the atoms, and the masks."""
        lengths = self.offsets[atoms + 1] - self.offsets[atoms]
        ends = lengths.cumsum()
        entries = np.arange(ends[-1]) + (self.offsets[atoms] - ends + lengths).repeat(lengths)
        return atoms.repeat(lengths), self.owners[entries]


def segment(
    images: Tensor,
    scales: Sequence[float] = SCALES,
    sigma: float = 0.8,
    min_size: int = 150,
    dilation: int = 5,
    size: int | tuple[int, int] | None = 224,
) -> list[Segmentation]:
    """Segment pictures at several scales, as PAIR's XRAI does. Needs scikit-image (the extra ``regions``).

    Each picture is scaled to [-1, 1] by its minimum and maximum, resized, and segmented once per scale with
    Felzenszwalb's method. The segments are resized back and dilated, so that they contain their edges. They depend on
    the picture only: compute them once and pass them to :func:`xrai` for the maps of all methods.

    Args:
        images: (B, C, H, W) in any range.
        scales: Felzenszwalb's ``scale``; larger values give larger segments. Default: PAIR's six, from 50 to 1200.
        sigma: The standard deviation of the blur before segmentation, in pixels of the resized picture. Default: 0.8
            (PAIR).
        min_size: The minimum size of a segment, in pixels of the resized picture. Default: 150 (PAIR).
        dilation: The radius of the disk that dilates each segment, in pixels of the picture. Default: 5 (PAIR).
        size: The size at which pictures are segmented: the length of the shorter side, (height, width), or ``None``
            for their own size. Default: 224, which equals PAIR's (224, 224) for square pictures and keeps the aspect
            ratio of others.

    Returns:
        One segmentation per picture. A picture of one color has one segment.

    Raises:
        TypeError, ValueError: If an argument is invalid, or a picture contains a NaN or infinity.
        ImportError: If scikit-image is not installed.

    Reference:
        Felzenszwalb, Huttenlocher: Efficient Graph-Based Image Segmentation. IJCV 2004; settings of Kapishnikov et
        al.: XRAI. ICCV 2019. https://arxiv.org/abs/1906.02825

    Example:
        >>> from captum_ext.regions import segment
        >>> (segmentation,) = segment(torch.rand(1, 3, 32, 32), scales=[100])
        >>> segmentation.masks.shape[1:]
        torch.Size([32, 32])
    """
    pictures = _check_images(images)
    for scale in [sigma, *scales]:
        check_number("scales" if scale is not sigma else "sigma", scale)
    if not scales:
        raise ValueError("scales: expected at least one, got none.")
    check_positive("min_size", min_size)
    check_integer("dilation", dilation)
    if dilation < 0:
        raise ValueError(f"dilation: expected 0 or more pixels, got {dilation}.")
    shape = _resized_shape(size, (images.shape[2], images.shape[3]))
    segmentations = []
    for picture in pictures:
        labels = _felzenszwalb(picture, scales, sigma, min_size, shape)
        crops = [crop for each in labels for crop in _dilated_crops(each, dilation)]
        segmentations.append(_from_crops(crops, picture.shape[:2]))
    return segmentations


def _check_images(images: object) -> NDArray[np.float64]:
    if not isinstance(images, Tensor) or images.is_complex():
        raise TypeError(f"images: expected a real tensor (B, C, H, W), got {type(images).__name__}.")
    if images.dim() != 4 or 0 in images.shape[1:]:
        advice = " Write images.unsqueeze(0) for one picture (C, H, W)." if images.dim() == 3 else ""
        raise ValueError(f"images: expected shape (B, C, H, W), got {tuple(images.shape)}.{advice}")
    finite = torch.isfinite(images).flatten(1).all(1)
    if not bool(finite.all()):
        raise ValueError(f"images: a NaN or infinity in pictures {(~finite).nonzero().flatten().tolist()[:10]}.")
    pictures: NDArray[np.float64] = images.detach().permute(0, 2, 3, 1).cpu().double().numpy()
    return pictures


def _resized_shape(size: int | tuple[int, int] | None, shape: tuple[int, int]) -> tuple[int, int]:
    if size is None:
        return shape
    if isinstance(size, tuple) and len(size) == 2:
        for side in size:
            check_positive("size", side)
        return size
    check_positive("size", size)
    assert isinstance(size, int), "checked"
    height, width = (max(1, round(side * size / min(shape))) for side in shape)
    return height, width


def _felzenszwalb(
    picture: NDArray[np.float64], scales: Sequence[float], sigma: float, min_size: int, shape: tuple[int, int]
) -> list[IntArray]:
    """Label maps of the picture (H, W, C) at each scale."""
    low, high = picture.min(), picture.max()
    if low == high:
        return [np.zeros(picture.shape[:2], dtype=np.int64)]
    resize = optional("skimage.transform", "regions").resize
    felzenszwalb = optional("skimage.segmentation", "regions").felzenszwalb
    # PAIR's order of operations and interpolation, so that the segments are equal.
    scaled = (picture - low) / (high - low) * 2 - 1
    scaled = resize(scaled, shape, order=3, mode="constant", preserve_range=True, anti_aliasing=True)
    labels = [felzenszwalb(scaled, scale=scale, sigma=sigma, min_size=min_size) for scale in scales]
    back: dict[str, Any] = {"order": 0, "mode": "constant", "preserve_range": True, "anti_aliasing": False}
    return [resize(each, picture.shape[:2], **back).astype(np.int64) for each in labels]


def _dilated_crops(labels: IntArray, radius: int) -> list[tuple[Crop, BoolArray]]:
    """The mask of each label, dilated, in the smallest rectangle that contains it."""
    crops = []
    for label, box in enumerate(optional("scipy.ndimage", "regions").find_objects(labels + 1)):
        if box is not None:  # resizing may drop a label
            rows, columns = (slice(max(0, side.start - radius), side.stop + radius) for side in box)
            mask = torch.from_numpy(labels[rows, columns] == label)
            crops.append(((rows, columns), dilate(mask, radius).numpy()))
    return crops


def _from_crops(crops: list[tuple[Crop, BoolArray]], shape: tuple[int, int]) -> Segmentation:
    """The segmentation with these masks, each in its rectangle."""
    # One bit per pixel and mask, in words of 64 bits.
    words = np.zeros((-(-len(crops) // _WORD), *shape), dtype=np.uint64)
    for k, (box, mask) in enumerate(crops):
        words[k // _WORD][box] |= mask.astype(np.uint64) << np.uint64(k % _WORD)
    atoms = np.zeros(shape[0] * shape[1], dtype=np.int64)
    for word in words:
        _, part = np.unique(word.ravel(), return_inverse=True)
        _, atoms = np.unique(atoms * (part.max() + 1) + part, return_inverse=True)
    _, first = np.unique(atoms, return_index=True)
    bits = words.reshape(len(words), -1)[:, first, None] >> np.arange(_WORD, dtype=np.uint64) & np.uint64(1)
    members = bits.transpose(1, 0, 2).reshape(len(first), -1).astype(bool)  # (A, masks)
    offsets = np.concatenate([[0], members.sum(1).cumsum()])
    return Segmentation(atoms.reshape(shape), np.nonzero(members)[1], offsets, len(crops))
