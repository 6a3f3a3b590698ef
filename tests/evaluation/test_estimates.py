"""Intervals and data set values against scipy, numpy and the metrics' own aggregate."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import trapezoid

from captum_ext.evaluation.reporting import estimates
from captum_ext.evaluation.reporting.estimates import (
    Sample,
    area_under_median,
    draws,
    estimate,
    interval,
    mean,
    mean_curve,
    median,
    median_curve,
    minus_log_mean,
    replicates,
)
from captum_ext.evaluation.reporting.measures import measure, ordered
from captum_ext.metrics import InformationCurves, aggregate


def sample_of(values, curves=None):
    return Sample(np.arange(len(values)).astype(str), np.asarray(values, dtype=float), curves)


def estimated(sample, summary):
    return estimate(replicates(lambda drawn: summary(sample, drawn), len(sample.values)), len(sample.values))


@pytest.mark.parametrize("summary", [mean, median])
def test_intervals_are_scipys(summary):
    values = np.random.default_rng(1).lognormal(0, 1, 60)
    found = estimated(sample_of(values), summary)
    expected = stats.bootstrap(
        (values,), getattr(np, summary.__name__), n_resamples=20_000, method="percentile", random_state=5
    ).confidence_interval
    assert found.value == pytest.approx(getattr(np, summary.__name__)(values), rel=1e-12)
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.06 * width)
    assert found.high == pytest.approx(expected.high, abs=0.06 * width)
    assert found.n == 60


def test_intervals_cover_the_true_mean_about_as_often_as_they_say():
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        found = estimated(sample_of(random.exponential(1.0, 50)), mean)
        covered += found.low <= 1 <= found.high
    assert 0.88 <= covered / 300 <= 0.97  # the percentile method is a little narrow for skewed values


def test_draws_are_the_same_however_many_at_a_time(monkeypatch):
    whole = np.concatenate(list(draws(7)))
    assert whole.shape == (1000, 7)
    assert set(np.unique(whole)) == set(range(7))
    monkeypatch.setattr(estimates, "_MOST", 50)
    parts = list(draws(7))
    assert len(parts) > 100
    assert np.array_equal(np.concatenate(parts), whole)


def test_one_image_has_a_value_and_no_interval_and_none_has_nothing():
    one = estimated(sample_of([0.25]), mean)
    assert (one.value, one.n) == (0.25, 1)
    assert np.isnan([one.low, one.high]).all()
    none = estimated(sample_of([]), mean)
    assert none.n == 0
    assert np.isnan([none.value, none.low, none.high]).all()


def test_stability_is_the_logarithm_of_the_mean_and_infinite_for_equal_maps():
    found = estimated(sample_of([1e-3, 1e-5]), minus_log_mean)
    assert found.value == pytest.approx(-np.log10(5.05e-4))
    assert found.low == pytest.approx(3)
    assert found.high == pytest.approx(5)
    assert estimated(sample_of([0.0, 0.0]), minus_log_mean) == estimates.Estimate(np.inf, np.inf, np.inf, 2)
    half = estimated(sample_of([0.0, 1.0]), minus_log_mean)  # a quarter of the draws are infinite
    assert (half.low, half.high) == (0, np.inf)


@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_curves_of_draws_are_numpys(n):
    random = np.random.default_rng(n)
    curves, drawn = random.random((n, 9)).astype(np.float32), random.integers(0, n, (6, n))
    before = curves.copy()
    assert median_curve(curves, drawn) == pytest.approx(np.stack([np.median(curves[row], 0) for row in drawn]))
    assert mean_curve(curves, drawn) == pytest.approx(np.stack([curves[row].mean(0) for row in drawn]))
    assert np.array_equal(curves, before)
    areas = area_under_median(sample_of(curves.mean(1), curves), drawn)
    assert areas == pytest.approx([trapezoid(np.median(curves[row], 0), dx=1 / 8) for row in drawn])
    assert interval(curves).shape == (2, 9)


@pytest.mark.parametrize("protocol", ["corrected", "pair", "study"])
def test_the_data_sets_sic_and_aic_are_those_of_the_metrics(protocol):
    random = np.random.default_rng(3)
    axis = torch.linspace(0, 1, 101, dtype=torch.float64)
    rows = {score: np.sort(random.random((8, 101)), axis=1) ** 3 for score in ("sic", "aic")}
    curves = {score: torch.from_numpy(of) for score, of in rows.items()}
    areas = {score: torch.trapezoid(of, axis) for score, of in curves.items()}
    expected = aggregate(
        InformationCurves(axis, curves["sic"], curves["aic"], areas["sic"], areas["aic"], {}, {}, protocol)
    )
    for score in ("sic", "aic"):
        for variant in (protocol, f"{protocol}:ms-ssim"):
            of = measure(score, variant)
            sample = sample_of(areas[score].numpy(), rows[score])
            assert estimated(sample, of.summary).value == pytest.approx(getattr(expected, f"{score}_area"), abs=1e-12)
            line = of.line(sample.curves, np.arange(8)[None])[0]
            assert line == pytest.approx(getattr(expected, score).numpy(), abs=1e-12)


def test_titles_say_what_was_measured_and_which_way_is_better():
    titles = [(m.title, m.direction) for m in ordered(
        [("sic", "study"), ("stability", "rank"), ("new", "odd"), ("aic", "pair:ms-ssim"), ("insertion", "absolute"),
         ("insertion", "signed"), ("degradation", "paper"), ("stability", "signed"), ("sic", "study:webp")]
    )]  # fmt: skip
    assert titles == [
        ("Insertion, probability (signed)", "higher is better"),
        ("Insertion, probability (absolute)", "higher is better"),
        ("AIC (pair, MS-SSIM)", "higher is better"),
        ("SIC (study, PNG)", "higher is better"),
        ("SIC (study, WebP)", "higher is better"),
        ("Degradation (paper)", "lower is better"),
        ("Stability, -log10 MSE (signed)", "higher is better"),
        ("Stability, rank correlation", "higher is better"),
        ("new (odd)", ""),
    ]
