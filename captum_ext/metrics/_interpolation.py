"""Pictures of which some pixels are known and the others are interpolated on a triangulation."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captum_ext._utils.arrays import BoolArray, IntArray
from captum_ext._utils.optional import optional
from captum_ext.vision.picture_files import Picture


def random_mask(picture: Picture, fraction: float, seed: int) -> BoolArray:
    """A random fraction of the pixels.

    The picture's content is part of the seed, so it gets the same mask for all methods, in any batch, on any machine.
    """
    size = picture.shape[0] * picture.shape[1]
    digest = hashlib.sha256(str(picture.shape).encode() + picture.tobytes()).digest()
    # RandomState: its streams never change, unlike those of NumPy's newer generators.
    random = np.random.RandomState([seed % 2**32, *np.frombuffer(digest, np.uint32)])
    mask = np.zeros(size, dtype=bool)
    mask[random.choice(size, int(size * fraction), replace=False)] = True
    return mask.reshape(picture.shape[:2])


class TopPixels:
    """Selects the pixels with the highest scores; sorts them once.

    Args:
        scores: (H, W).
        exact: Whether to select exactly the fraction, the first of equal scores; otherwise all pixels that reach the
            quantile, as in PAIR.
    """

    def __init__(self, scores: NDArray[np.float64], exact: bool) -> None:
        self._scores = scores
        self._order = np.argsort(-scores.ravel(), kind="stable") if exact else None

    def ranks(self) -> IntArray:
        """The rank of each pixel, 0 for the highest score, if an exact fraction is selected."""
        assert self._order is not None, "otherwise all pixels that reach a quantile are selected"
        ranks = np.empty_like(self._order)
        ranks[self._order] = np.arange(len(ranks))
        return ranks.reshape(self._scores.shape)

    def __call__(self, fraction: float) -> BoolArray:
        """The fraction of the pixels with the highest scores."""
        if self._order is None:
            above: BoolArray = self._scores >= np.quantile(self._scores, 1 - fraction)
            return above
        mask = np.zeros(self._scores.size, dtype=bool)
        mask[self._order[: round(fraction * self._scores.size)]] = True
        return mask.reshape(self._scores.shape)


def interpolate(picture: Picture, known: BoolArray) -> Picture:
    """The picture from some of its pixels and its corners, linear in each triangle between them.

    One triangulation serves all channels. The triangle of each pixel is found by rasterizing the triangles in integers:
    SciPy's search walks from triangle to triangle, and among the many of zero area on a regular grid it fails and tries
    all of them.
    """
    known = known.copy()
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    if known.all():
        return picture
    points = np.argwhere(known)
    # The same points in the same order as in PAIR: on a grid the triangulation is not unique.
    corners = optional("scipy.spatial", "metrics").Delaunay(points).simplices
    triangles, pixels = _rasterize(points[corners], known)
    values = picture[known].astype(np.int64)  # in the order of the points
    # A pixel outside all triangles, because of rounding in Qhull, gets the mean color, as in PAIR.
    mean = np.round(picture.mean((0, 1)).astype(np.float32)).astype(np.uint8)
    filled = np.where(known[:, :, None], picture, mean)
    weights, area = _barycentric(points[corners[triangles]], pixels)
    blend = sum((weights[:, [k]] * values[corners[triangles, k]] for k in range(3)), np.int64(0))
    # PAIR rounds float32 values, which decides how a half is rounded.
    filled[pixels[:, 0], pixels[:, 1]] = np.round((blend / area[:, None]).astype(np.float32)).astype(np.uint8)
    return filled


def _rasterize(triangles: IntArray, known: BoolArray) -> tuple[IntArray, IntArray]:
    """A triangle that contains each unknown pixel.

    Args:
        triangles: The rows and columns of the corners, (T, 3, 2).
        known: (H, W).

    Returns:
        The triangles' indices (N,), and the pixels' rows and columns (N, 2).
    """
    area = _cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    # A triangle of half a pixel's area contains no pixels besides its corners; most are such where much is known.
    wide = np.flatnonzero(np.abs(area) > 1)
    oriented = np.where(area[wide, None, None] > 0, triangles[wide], triangles[wide][:, ::-1])
    rows = oriented[:, :, 0]
    triangle, row = _spans(rows.min(1), rows.max(1))
    start, end = oriented[triangle], np.roll(oriented, -1, axis=1)[triangle]
    rise, run = np.moveaxis(end - start, 2, 0)
    # A row's columns c satisfy rise * (c - start's column) >= run * (row - start's row) at each edge.
    reach = run * (row[:, None] - start[:, :, 0])
    width = known.shape[1]
    divisor = np.where(rise == 0, 1, rise)
    bound = start[:, :, 1] + np.where(rise > 0, -(-reach // divisor), reach // divisor)
    first = np.where(rise > 0, bound, 0).max(1)
    last = np.where(rise < 0, bound, width - 1).min(1)
    span, column = _spans(first, last)
    flat = row[span] * width + column
    unknown = ~known.ravel()[flat]
    # A pixel on an edge is in several triangles, which agree there.
    unique, first_index = np.unique(flat[unknown], return_index=True)
    return wide[triangle[span[unknown][first_index]]], np.stack([unique // width, unique % width], axis=1)


def _barycentric(triangles: IntArray, pixels: IntArray) -> tuple[IntArray, IntArray]:
    """Barycentric coordinates as fractions: numerators (N, 3) and the denominator (N,)."""
    corners = triangles - pixels[:, None]
    parts = np.stack([_cross(corners[:, (k + 1) % 3], corners[:, (k + 2) % 3]) for k in range(3)], axis=1)
    return parts, parts.sum(1)


def _spans(first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
    """All integers of the intervals [first, last], empty where last < first, each with its interval's index."""
    lengths = np.maximum(last - first + 1, 0)
    index = np.repeat(np.arange(len(first)), lengths)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[index]


def _cross(left: IntArray, right: IntArray) -> Any:
    return left[..., 0] * right[..., 1] - left[..., 1] * right[..., 0]
