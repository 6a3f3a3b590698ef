"""Information curves as PROTOCOLS has them: one picture, one pixel, one point of the axis at a time."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
from PIL import Image, ImageFilter


def file_size(picture, **settings):
    buffer = io.BytesIO()
    Image.fromarray(picture if picture.ndim == 3 and picture.shape[2] == 3 else picture.squeeze()).save(
        buffer, **settings
    )
    return len(buffer.getvalue())


def ranked(scores):
    """(row, column) from the highest score down; of equals the first in reading order."""
    height, width = scores.shape
    places = [(row, column) for row in range(height) for column in range(width)]
    return sorted(places, key=lambda place: (-scores[place], place))


def piecewise(points, x):
    """Linear between points (x, y) sorted by x; the last of those at the same x."""
    for (x0, y0), (x1, y1) in reversed(list(pairwise(points))):
        if x == x1:
            return y1
        if x0 <= x < x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    raise AssertionError(x)


def study_curve(picture, scores, score, size):
    """101 points for a picture (H, W, C): blur behind the top pixels, 25 counts.

    ``score`` takes a picture; ``size`` takes one too and gives bytes, or is ``None``-normalised if it returns a tuple
    ``(similarity,)``.
    """
    total = scores.size
    order = ranked(scores)
    squeezed = picture if picture.shape[2] == 3 else picture[:, :, 0]
    blurred = np.array(Image.fromarray(squeezed).filter(ImageFilter.GaussianBlur(20))).reshape(picture.shape)
    low, high = score(blurred), score(picture)
    least, most, points = size(blurred), size(picture), []
    for count in np.linspace(0, total, 25).round().astype(int):
        shown = blurred.copy()
        for place in order[:count]:
            shown[place] = picture[place]
        measured = size(shown)
        x = measured[0] if isinstance(measured, tuple) else (measured - least) / (most - least)
        y = (score(shown) - low) / (high - low)
        points.append((min(max(x, 0), 1), min(max(y, 0), 1)))
    if isinstance(least, tuple):
        points.insert(0, (0.0, 0.0))
    points.sort(key=lambda point: point[0])
    return np.array([piecewise(points, k / 100) for k in range(101)])


def corrected_curve(picture, scores, mask, score, interpolate, fractions):
    """1001 points: exactly so many top pixels, lossless WebP, a maximum over all pictures of no more information."""
    webp = {"format": "webp", "lossless": True, "quality": 100}
    order = ranked(scores)
    blurred = interpolate(picture, mask)
    least, most = file_size(blurred, **webp), file_size(picture, **webp)
    low, high = score(blurred), score(picture)
    points = [(0.0, 0.0)]
    for fraction in fractions:
        known = mask.copy()
        for place in order[: round(fraction * scores.size)]:
            known[place] = True
        shown = interpolate(picture, known)
        x = (file_size(shown, **webp) - least) / (most - least)
        y = (score(shown) - low) / (high - low)
        points.append((min(max(x, 0), 1), min(max(y, 0), 1)))
    points.sort(key=lambda point: point[0])
    points.append((1.0, 1.0))
    best = [(x, max(y for _, y in points[: k + 1])) for k, (x, _) in enumerate(points)]
    return np.array([piecewise(best, k / 1000) for k in range(1001)])
