"""Pictures of which only some pixels are known, the rest filled in by interpolation over a triangulation."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captum_ext._utils.optional import optional
from captum_ext.metrics._codecs import Picture

Mask = NDArray[np.bool_]  # (H, W)
Integers = NDArray[np.int64]


def random_mask(picture: Picture, fraction: float, seed: int) -> Mask:
    """A fraction of the pixels, chosen at random.

    The picture's content is part of the seed: it gets the same mask for all methods, in any batch, on any machine.
    """
    size = picture.shape[0] * picture.shape[1]
    digest = hashlib.sha256(str(picture.shape).encode() + picture.tobytes()).digest()
    # RandomState, because its streams, unlike the newer generators', never change.
    random = np.random.RandomState([seed % 2**32, *np.frombuffer(digest, np.uint32)])
    mask = np.zeros(size, dtype=bool)
    mask[random.choice(size, int(size * fraction), replace=False)] = True
    return mask.reshape(picture.shape[:2])


def top_pixels(scores: NDArray[np.float64], fraction: float, exact: bool) -> Mask:
    """The pixels that rank highest.

    Args:
        scores: One a pixel, (H, W).
        fraction: How many.
        exact: Whether exactly so many, of equals the first; otherwise all that reach the quantile, as PAIR.
    """
    if not exact:
        reached: Mask = scores >= np.quantile(scores, 1 - fraction)
        return reached
    mask = np.zeros(scores.size, dtype=bool)
    order = np.argsort(-scores.ravel(), kind="stable")
    mask[order[: round(fraction * scores.size)]] = True
    return mask.reshape(scores.shape)


def interpolated(picture: Picture, known: Mask) -> Picture:
    """The picture from some of its pixels and its corners, linear in each triangle between them.

    The triangulation is made once for all channels. Which triangle a pixel lies in is found by drawing the triangles
    row by row, in integers: SciPy's search walks from triangle to triangle and, among the many of no area that a
    regular grid gives, loses its way and tries them all.
    """
    known = known.copy()
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    if known.all():
        return picture
    points = np.argwhere(known)
    # The same points in the same order as PAIR: on a grid the triangulation isn't unique.
    corners = optional("scipy.spatial", "metrics").Delaunay(points).simplices
    triangles, pixels = _draw(points[corners], known)
    values = picture[known].astype(np.int64)  # in the order of the points
    # No triangle holds a pixel that rounding in Qhull left out: it gets the mean colour, as in PAIR.
    mean = np.round(picture.mean((0, 1)).astype(np.float32)).astype(np.uint8)
    filled = np.where(known[:, :, None], picture, mean)
    weights, area = _weights(points[corners[triangles]], pixels)
    blend = sum((weights[:, [k]] * values[corners[triangles, k]] for k in range(3)), np.int64(0))
    # PAIR stores float32 before it rounds, which decides what becomes of a half.
    filled[pixels[:, 0], pixels[:, 1]] = np.round((blend / area[:, None]).astype(np.float32)).astype(np.uint8)
    return filled


def _draw(triangles: Integers, known: Mask) -> tuple[Integers, Integers]:
    """A triangle that holds it for each pixel that isn't known.

    Args:
        triangles: The corners' row and column, (T, 3, 2).
        known: (H, W).

    Returns:
        The triangles' indices (N,), and the pixels' rows and columns (N, 2).
    """
    area = _cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    # Half a pixel's square holds no pixel but its corners: most triangles where much is known.
    wide = np.flatnonzero(np.abs(area) > 1)
    turned = np.where(area[wide, None, None] > 0, triangles[wide], triangles[wide][:, ::-1])  # all the same way round
    rows = turned[:, :, 0]
    triangle, row = _spans(rows.min(1), rows.max(1))
    start, end = turned[triangle], np.roll(turned, -1, axis=1)[triangle]
    rise, run = np.moveaxis(end - start, 2, 0)
    # The columns c of a row are those with rise * (c - start) >= run * (row - start's row) at each edge.
    reach = run * (row[:, None] - start[:, :, 0])
    width = known.shape[1]
    divisor = np.where(rise == 0, 1, rise)
    bound = start[:, :, 1] + np.where(rise > 0, -(-reach // divisor), reach // divisor)
    first = np.where(rise > 0, bound, 0).max(1)
    last = np.where(rise < 0, bound, width - 1).min(1)
    span, column = _spans(first, last)
    flat = row[span] * width + column
    wanted = ~known.ravel()[flat]
    # A pixel on an edge is in several triangles, which agree there.
    unique, at = np.unique(flat[wanted], return_index=True)
    return wide[triangle[span[wanted][at]]], np.stack([unique // width, unique % width], axis=1)


def _weights(triangles: Integers, pixels: Integers) -> tuple[Integers, Integers]:
    """Barycentric coordinates as fractions: numerators (N, 3) and the denominator (N,)."""
    to = triangles - pixels[:, None]
    parts = np.stack([_cross(to[:, (k + 1) % 3], to[:, (k + 2) % 3]) for k in range(3)], axis=1)
    return parts, parts.sum(1)


def _spans(first: Integers, last: Integers) -> tuple[Integers, Integers]:
    """All integers of the intervals [first, last], empty where last < first, each with its interval's index."""
    lengths = np.maximum(last - first + 1, 0)
    index = np.repeat(np.arange(len(first)), lengths)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[index]


def _cross(left: Integers, right: Integers) -> Any:
    return left[..., 0] * right[..., 1] - left[..., 1] * right[..., 0]
