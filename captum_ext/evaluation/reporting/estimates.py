"""A data set's value of a score, with a bootstrap interval over images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES, COVERAGE, SEED = 1000, 0.95, 0
NOTHING = 1e-12  # what rounding leaves of 0
_MOST = 1 << 21  # drawn images at a time
Floats = NDArray[np.floating[Any]]
Draws = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """What one method got for one score, image by image; images without a value are not in it.

    Attributes:
        images: The names, sorted, (n,).
        values: (n,).
        curves: (n, P), or ``None`` where the score has none.
    """

    images: NDArray[Any]
    values: Floats
    curves: Floats | None = None

    def only(self, images: NDArray[Any]) -> Sample:
        """Of some of the images."""
        rows = np.isin(self.images, images)
        return Sample(self.images[rows], self.values[rows], None if self.curves is None else self.curves[rows])


@dataclass(frozen=True)
class Estimate:
    """A value and its interval over ``n`` images; the interval is NaN for fewer than two."""

    value: float
    low: float
    high: float
    n: int


def draws(n: int) -> Iterator[Draws]:
    """Images drawn with replacement, (some, n), together ``RESAMPLES``; the same for each n."""
    generator = np.random.default_rng(SEED)
    some = max(1, _MOST // n)
    for start in range(0, RESAMPLES, some):
        yield generator.integers(0, n, (min(some, RESAMPLES - start), n))


def replicates(statistic: Callable[[Draws], Floats], n: int) -> Floats:
    """A statistic of all images and then of each draw, (1 + RESAMPLES,); of none, NaN.

    Args:
        statistic: Takes drawn images (R, n), returns the value over each draw, (R,).
        n: How many images there are.
    """
    if n == 0:
        return np.full(1 + RESAMPLES, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # -log10 of 0
        return np.concatenate([statistic(drawn) for drawn in chain([np.arange(n)[None]], draws(n))])


def estimate(found: Floats, n: int) -> Estimate:
    """By the percentile method, of :func:`replicates`."""
    low, high = interval(found[1:]) if n > 1 else (np.nan, np.nan)
    return Estimate(float(found[0]), float(low), float(high), n)


def interval(found: Floats) -> Floats:
    """The lower and the upper bound over the first axis, (2, ...)."""
    levels = [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]
    # Between two infinities there is nothing to interpolate.
    bounds: Floats = np.quantile(found, levels, axis=0, method="linear" if np.isfinite(found).all() else "nearest")
    return bounds


def mean(sample: Sample, drawn: Draws) -> Floats:
    """The mean over the images."""
    found: Floats = sample.values[drawn].mean(1)
    return found


def median(sample: Sample, drawn: Draws) -> Floats:
    """The median over the images."""
    found: Floats = np.median(sample.values[drawn], axis=1)
    return found


def minus_log_mean(sample: Sample, drawn: Draws) -> Floats:
    """-log10 of the mean over the images."""
    found: Floats = -np.log10(mean(sample, drawn))
    return found


def area_under_median(sample: Sample, drawn: Draws) -> Floats:
    """The area under the curve that is the median of the images' curves, point by point, over 0 to 1."""
    lines = median_curve(sample.curves, drawn)
    found: Floats = (lines.sum(1) - (lines[:, 0] + lines[:, -1]) / 2) / max(lines.shape[1] - 1, 1)
    return found


def mean_curve(curves: Floats | None, drawn: Draws) -> Floats:
    """The mean of the curves over each draw, (R, P)."""
    assert curves is not None, "asked of scores with curves only"
    counts = np.stack([np.bincount(row, minlength=len(curves)) for row in drawn])
    found: Floats = counts @ curves.astype(np.float64) / drawn.shape[1]
    return found


def median_curve(curves: Floats | None, drawn: Draws) -> Floats:
    """The median of the curves over each draw, (R, P)."""
    assert curves is not None, "asked of scores with curves only"
    points = np.ascontiguousarray(curves.T)
    return np.stack([_medians(points.take(row, axis=1)) for row in drawn]).astype(np.float64)


def _medians(rows: Floats) -> Floats:
    """Of each row, which is overwritten: np.median, at a quarter of its time."""
    half, odd = divmod(rows.shape[1], 2)
    rows.partition(half, axis=1)
    upper: Floats = rows[:, half]
    return upper if odd else (upper + rows[:, :half].max(1)) / 2
