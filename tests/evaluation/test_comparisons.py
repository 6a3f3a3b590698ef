"""Intervals, tests and corrections against scipy, full enumeration and simulation."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from captum_ext.evaluation import holm_coverages, sign_flip_test, t_interval, t_test


@pytest.mark.parametrize("coverage", [0.8, 0.95, 0.9994])
def test_t_is_scipys(coverage):
    values = np.random.default_rng(0).gamma(2, 1, 23) - 1.5
    estimate, expected = t_interval(values, coverage), stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(coverage)
    assert (estimate.value, estimate.n) == (pytest.approx(values.mean()), 23)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))
    p = t_test(values)
    assert p == pytest.approx(expected.pvalue)
    at_p = t_interval(values, 1 - p)
    assert min(abs(at_p.low), abs(at_p.high)) == pytest.approx(0, abs=1e-9)


def test_t_of_few_or_equal_differences():
    assert np.isnan([t_interval([0.3]).low, t_interval([]).value, t_test([0.3]), t_test([])]).all()
    assert t_test([0.0] * 5) == 1
    assert t_test([0.25] * 5) == 0
    assert (t_interval([0.25] * 5).low, t_interval([0.25] * 5).high) == (0.25, 0.25)


def test_sign_flips_are_those_of_full_enumeration():
    values = np.random.default_rng(1).normal(0.4, 1, 12)
    sums = np.array([np.dot(signs, values) for signs in product((-1, 1), repeat=12)])
    exact = (np.abs(sums) >= abs(values.sum()) - 1e-9).mean()
    assert sign_flip_test(values, 20_000) == pytest.approx(exact, abs=0.01)
    assert sign_flip_test(values) == sign_flip_test(values)
    assert sign_flip_test(values, generator=np.random.default_rng(0)) == sign_flip_test(values)
    assert sign_flip_test(-values) == sign_flip_test(values)
    assert sign_flip_test([0.0] * 20) == 1
    assert sign_flip_test([0.1, 0.2, 0.3] * 10) == 1e-4


def test_sign_flip_p_values_are_uniform_if_there_is_no_difference():
    random = np.random.default_rng(2)
    p = [sign_flip_test(random.standard_t(2, 19), 199, generator=k) for k in range(400)]
    assert 0.025 <= np.mean(np.array(p) <= 0.05) <= 0.08
    assert stats.kstest(p, "uniform").pvalue > 0.01


def naive_holm(p, alpha):
    """Which hypotheses are rejected."""
    rejected = set()
    for k, at in enumerate(sorted(range(len(p)), key=lambda at: p[at])):
        if p[at] > alpha / (len(p) - k):
            break
        rejected.add(at)
    return rejected


def test_intervals_exclude_0_where_holm_rejects():
    random = np.random.default_rng(3)
    for _ in range(50):
        samples = [random.normal(shift, 1, 25) for shift in random.choice([0, 0, 0.5, 0.9], 8)]
        p = [t_test(values) for values in samples]
        intervals = [t_interval(v, c) for v, c in zip(samples, holm_coverages(p), strict=True)]
        assert {k for k, of in enumerate(intervals) if of.low > 0 or of.high < 0} == naive_holm(p, 0.05)


def test_holm_of_one_none_and_unknown():
    assert holm_coverages([0.5]) == pytest.approx([0.95])
    assert holm_coverages([]) == []
    assert holm_coverages([float("nan"), 0.01]) == pytest.approx([0.95, 0.975])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: t_interval([0.1, np.nan]), "differences: .* got NaN or infinity"),
        (lambda: t_test([[0.1, 0.2]]), r"differences: .* got shape \(1, 2\)"),
        (lambda: t_interval([0.1, 0.2], 95), "coverage: .* got 95"),
        (lambda: holm_coverages([0.1], 1.0), "coverage: .* got 1.0"),
        (lambda: sign_flip_test([0.1, 0.2], 0), "n_flips: .* got 0"),
    ],
)
def test_mistakes_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
