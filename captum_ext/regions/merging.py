"""XRAI's merging of segments: the masks in the order of their mean attribution."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from captum_ext._utils.arrays import IntArray
from captum_ext.regions.segmentation import Segmentation, atom_sums

Floats = NDArray[np.float64]
# From a segmentation, the sum of each atom, and the minimum number of pixels that a mask must add, to the atoms that
# each mask adds.
Order = Callable[[Segmentation, Floats, int], Iterator[IntArray]]

# A difference that keeps less than this fraction of the magnitude is summed afresh, because of rounding errors.
_CANCELED = 2.0**-10


def merge_segments(
    segmentation: Segmentation, values: Floats, order: Order, area_threshold: float, min_pixel_diff: int
) -> tuple[Floats, IntArray]:
    """Disjoint regions and their means.

    Args:
        segmentation: The masks.
        values: One attribution per pixel, (H, W).
        order: Which mask comes next.
        area_threshold: The regions end when they cover more than this fraction of the picture.
        min_pixel_diff: The minimum number of pixels that a mask must add.

    Returns:
        The mean of each pixel's region (H, W), and the rank of the region by its mean, from 1; pixels in no region form
        the last one.
    """
    atoms, counts = segmentation.atoms, segmentation.counts
    sums = atom_sums(atoms.ravel(), values.ravel(), len(counts))
    region = np.full(len(sums), -1)
    covered, n_regions = 0.0, 0
    for added in order(segmentation, sums, min_pixel_diff):
        region[added] = n_regions
        n_regions += 1
        covered += counts[added].sum()
        if covered / atoms.size > area_threshold:
            break
    rest = region < 0
    region[rest] = n_regions
    total = n_regions + bool(rest.any())
    means = atom_sums(region, sums, total) / atom_sums(region, counts, total)
    ranks = np.empty(total, dtype=np.int64)
    ranks[np.argsort(-means[:n_regions], kind="stable")] = np.arange(1, n_regions + 1)
    ranks[n_regions:] = total
    return means[region][atoms], ranks[region][atoms]


def greedy_order(segmentation: Segmentation, sums: Floats, min_pixel_diff: int) -> Iterator[IntArray]:
    """The mask with the largest mean over the pixels that are not yet taken, again and again (``"full"``).

    The sums over the masks are kept up to date: every atom is subtracted once from each of its masks.
    """
    taken = np.zeros(len(sums), dtype=bool)
    magnitudes = np.abs(sums)
    total, magnitude = segmentation.sum_over_masks(sums), segmentation.sum_over_masks(magnitudes)
    pixels = segmentation.mask_sizes.copy()
    summed = magnitude.copy()  # when the sum was last computed from its terms
    means = np.empty(len(total))
    while (eligible := pixels >= min_pixel_diff).any():
        means.fill(-np.inf)
        np.divide(total, pixels, out=means, where=eligible)
        added = _untaken(segmentation, int(means.argmax()), taken)
        taken[added] = True
        yield added
        atoms, masks = segmentation.memberships(added)
        for left, values in ((total, sums), (pixels, segmentation.counts), (magnitude, magnitudes)):
            left -= atom_sums(masks, values[atoms], len(left))
        canceled = (magnitude < summed * _CANCELED) & (pixels >= min_pixel_diff)
        for mask in canceled.nonzero()[0] if canceled.any() else ():
            atoms = _untaken(segmentation, int(mask), taken)
            total[mask] = sums[atoms].sum()
            magnitude[mask] = summed[mask] = magnitudes[atoms].sum()


def sorted_order(segmentation: Segmentation, sums: Floats, min_pixel_diff: int) -> Iterator[IntArray]:
    """The masks sorted once by their mean over all of their pixels (``"fast"``)."""
    counts = segmentation.counts
    taken = np.zeros(len(sums), dtype=bool)
    total, pixels = segmentation.sum_over_masks(sums), segmentation.mask_sizes
    means = np.full(len(total), -np.inf)
    np.divide(total, pixels, out=means, where=pixels > 0)
    for mask in np.argsort(-means, kind="stable"):
        added = _untaken(segmentation, int(mask), taken)
        if counts[added].sum() >= min_pixel_diff:
            taken[added] = True
            yield added


def _untaken(segmentation: Segmentation, mask: int, taken: NDArray[np.bool_]) -> IntArray:
    atoms = segmentation.atoms_of_masks[mask]
    return atoms[~taken[atoms]]
