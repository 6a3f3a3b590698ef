"""Comparisons of two methods over the same images: intervals, tests, and corrections for many of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from captum_ext._utils.optional import optional
from captum_ext.evaluation.estimates import COVERAGE, ROUNDING_ERROR, Estimate

_MOST_FLIPPED = 1 << 21  # signs in memory at a time


def t_interval(differences: ArrayLike, coverage: float = COVERAGE) -> Estimate:
    """Estimate the mean of one difference per image, with Student's t interval.

    Unlike :func:`bootstrap`, it gives intervals of any coverage, such as those of :func:`holm_coverages`.

    Args:
        differences: One per image, (n,).
        coverage: How often intervals contain the true mean, between 0 and 1. Default: 0.95.

    Returns:
        The mean and its interval, which is NaN for fewer than two images.

    Raises:
        ValueError: If the differences are not a vector of finite numbers, or the coverage is not between 0 and 1.

    Example:
        >>> from captum_ext.evaluation import t_interval
        >>> str(t_interval([0.1, 0.3, 0.2, 0.4, 0.0]))
        '0.200 [0.004, 0.396]'
    """
    values = _vector(differences)
    if not 0 < coverage < 1:
        raise ValueError(f"coverage: expected a number between 0 and 1, such as 0.95; got {coverage}.")
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()) if n else np.nan, np.nan, np.nan, n)
    reach = optional("scipy.stats", "evaluation").t.isf((1 - coverage) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    mean = values.mean()
    return Estimate(float(mean), float(mean - reach), float(mean + reach), n)


def t_test(differences: ArrayLike) -> float:
    """Test whether the mean of one difference per image is 0, by Student's t.

    Args:
        differences: One per image, (n,).

    Returns:
        The two-sided p-value, at which ``t_interval(differences, 1 - p)`` ends at 0. NaN for fewer than two images; 1
        if all differences are 0.

    Raises:
        ValueError: If the differences are not a vector of finite numbers.

    Example:
        >>> from captum_ext.evaluation import t_test
        >>> round(t_test([0.1, 0.3, 0.2, 0.4, 0.0]), 3)
        0.047
    """
    values = _vector(differences)
    if len(values) < 2:
        return float("nan")
    if (np.abs(values) <= ROUNDING_ERROR).all():
        return 1.0
    error = values.std(ddof=1) / np.sqrt(len(values))
    statistic = np.abs(values.mean()) / error if error > 0 else np.inf
    return float(2 * optional("scipy.stats", "evaluation").t.sf(statistic, len(values) - 1))


def sign_flip_test(differences: ArrayLike, n_flips: int = 9999, generator: int | np.random.Generator = 0) -> float:
    """Test whether two methods are exchangeable, by flipping the sign of one difference per image.

    If the methods are exchangeable, each image's difference is as likely to be negative as positive, whatever its size.
    The test assumes no distribution.

    Args:
        differences: One per image, (n,).
        n_flips: How many random sets of signs to draw. Default: 9999, for which the smallest p-value is 1e-4.
        generator: A seed or a generator. Default: 0, so two calls give the same.

    Returns:
        The two-sided p-value, the share of the sets, the observed one among them, whose mean is at least as far from 0.

    Raises:
        ValueError: If the differences are not a vector of finite numbers, or ``n_flips`` is below 1.

    Example:
        >>> from captum_ext.evaluation import sign_flip_test
        >>> sign_flip_test([0.1, 0.3, 0.2, 0.4, 0.2, 0.1, 0.3, 0.2, 0.4, 0.3, 0.5, 0.1]) < 0.01
        True
    """
    values = _vector(differences)
    if n_flips < 1:
        raise ValueError(f"n_flips: expected at least 1; got {n_flips}.")
    random = np.random.default_rng(generator)
    observed, n = abs(values.sum()), len(values)
    slack = ROUNDING_ERROR * np.abs(values).sum()  # the same sum in another order
    chunk, extreme = max(1, _MOST_FLIPPED // max(n, 1)), 0
    for start in range(0, n_flips, chunk):
        signs = random.integers(0, 2, (min(chunk, n_flips - start), n), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ values) >= observed - slack).sum())
    return (1 + extreme) / (1 + n_flips)


def holm_coverages(p_values: Sequence[float], coverage: float = COVERAGE) -> list[float]:
    """Correct the intervals of several comparisons by Holm's method.

    The smallest of m p-values is compared with (1 - coverage) / m, the next one with (1 - coverage) / (m - 1), and so
    on until one is larger; that one and all after it have the interval of that step. An interval with its coverage from
    here excludes 0 if and only if Holm's method rejects its hypothesis, so at most 5% of all families of comparisons
    have a wrong one among them (Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal
    of Statistics 1979).

    Args:
        p_values: One per comparison, (m,), such as from :func:`t_test`. NaN counts as 1.
        coverage: Of all comparisons together, between 0 and 1. Default: 0.95.

    Returns:
        The coverage of each comparison's interval, (m,), for :func:`t_interval`.

    Raises:
        ValueError: If the coverage is not between 0 and 1.

    Example:
        >>> from captum_ext.evaluation import holm_coverages
        >>> [round(coverage, 4) for coverage in holm_coverages([0.2, 0.001, 0.4])]
        [0.975, 0.9833, 0.975]
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage: expected a number between 0 and 1, such as 0.95; got {coverage}.")
    p = np.nan_to_num(np.asarray(p_values, np.float64), nan=1.0)
    coverages, level, is_rejecting = np.empty(len(p)), 0.0, True
    for k, at in enumerate(np.argsort(p, kind="stable")):
        if is_rejecting:
            level = (1 - coverage) / (len(p) - k)
            is_rejecting = p[at] <= level
        coverages[at] = 1 - level
    return [float(one) for one in coverages]


def _vector(differences: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(differences, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        problem = f"shape {values.shape}" if values.ndim != 1 else "NaN or infinity"
        raise ValueError(
            f"differences: expected one finite number per image, (n,); got {problem}. Leave out images without a value."
        )
    return values
