"""Intervals and data set values against scipy, numpy and the metrics' own aggregate."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import trapezoid

from captum_ext.evaluation import Estimate, ScoreSample, band, combine, estimates
from captum_ext.evaluation.estimates import CURVE_STATISTICS, draws, format_number, interval
from captum_ext.evaluation.scores import score_variant, sorted_scores
from captum_ext.metrics import InformationCurves, aggregate


def sample_of(values, curves=None, statistic="mean"):
    return ScoreSample(np.arange(len(values)).astype(str), np.asarray(values, dtype=float), curves, statistic)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_intervals_are_scipys(statistic):
    values = np.random.default_rng(1).lognormal(0, 1, 60)
    found = sample_of(values, statistic=statistic).estimate
    expected = stats.bootstrap(
        (values,), getattr(np, statistic), n_resamples=20_000, method="percentile", random_state=5
    ).confidence_interval
    assert found.value == pytest.approx(getattr(np, statistic)(values), rel=1e-12)
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.06 * width)
    assert found.high == pytest.approx(expected.high, abs=0.06 * width)
    assert found.n == 60


def test_intervals_cover_the_true_mean_about_as_often_as_they_say():
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        found = sample_of(random.exponential(1.0, 50)).estimate
        covered += found.low <= 1 <= found.high
    assert 0.88 <= covered / 300 <= 0.97  # the percentile method is a little narrow for skewed values


def test_draws_are_the_same_however_many_at_a_time(monkeypatch):
    whole = np.concatenate(list(draws(7)))
    assert whole.shape == (1000, 7)
    assert set(np.unique(whole)) == set(range(7))
    monkeypatch.setattr(estimates, "_MAX_INDICES", 50)
    parts = list(draws(7))
    assert len(parts) > 100
    assert np.array_equal(np.concatenate(parts), whole)


def test_one_image_has_a_value_and_no_interval_and_none_has_nothing():
    one = sample_of([0.25]).estimate
    assert (one.value, one.n) == (0.25, 1)
    assert np.isnan([one.low, one.high]).all()
    none = sample_of([]).estimate
    assert none.n == 0
    assert np.isnan([none.value, none.low, none.high]).all()


def test_stability_is_the_logarithm_of_the_mean_and_infinite_for_equal_maps():
    found = sample_of([1e-3, 1e-5], statistic="minus_log10_mean").estimate
    assert found.value == pytest.approx(-np.log10(5.05e-4))
    assert found.low == pytest.approx(3)
    assert found.high == pytest.approx(5)
    assert sample_of([0.0, 0.0], statistic="minus_log10_mean").estimate == Estimate(np.inf, np.inf, np.inf, 2)
    half = sample_of([0.0, 1.0], statistic="minus_log10_mean").estimate  # a quarter of the draws are infinite
    assert (half.low, half.high) == (0, np.inf)


@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_curves_of_draws_are_numpys(n):
    random = np.random.default_rng(n)
    curves, drawn = random.random((n, 9)).astype(np.float32), random.integers(0, n, (6, n))
    before = curves.copy()
    assert CURVE_STATISTICS["median"](curves, drawn) == pytest.approx(
        np.stack([np.median(curves[row], 0) for row in drawn])
    )
    assert CURVE_STATISTICS["mean"](curves, drawn) == pytest.approx(np.stack([curves[row].mean(0) for row in drawn]))
    assert np.array_equal(curves, before)
    areas = sample_of(curves.mean(1), curves, "area_under_median").replicates
    every = [np.arange(n), *np.concatenate(list(draws(n)))]
    assert areas == pytest.approx([trapezoid(np.median(curves[row], 0), dx=1 / 8) for row in every])
    assert interval(curves).shape == (2, 9)


def test_bands_are_intervals_of_the_transformed_lines():
    curves = np.random.default_rng(4).random((12, 5)) + 1
    low, line, high = band(curves, "median", lambda lines: lines / lines[:, :1])
    medians = np.concatenate([np.median(curves[drawn], axis=1) for drawn in draws(12)])
    assert line == pytest.approx(np.median(curves, 0) / np.median(curves, 0)[0])
    assert np.stack([low, high]) == pytest.approx(np.quantile(medians / medians[:, :1], [0.025, 0.975], axis=0))
    assert np.isnan(band(curves[:1])[[0, 2]]).all()


def test_samples_are_paired_by_their_images_names_in_whatever_order_they_come():
    values = np.random.default_rng(5).random(30)
    names = np.array([f"{k}.png" for k in range(30)])
    order = np.random.default_rng(6).permutation(30)
    one, other = ScoreSample(names, values), ScoreSample(names[order], values[order] + 0.25)
    found = combine([one, other], lambda both: both[1] - both[0])
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))
    fewer = combine([one, ScoreSample(names[order[:20]], values[order[:20]] + 0.25)], lambda both: both[1] - both[0])
    assert (fewer.low, fewer.high, fewer.n) == pytest.approx((0.25, 0.25, 20))
    assert combine([one, None], lambda both: both[0]) is None


def test_samples_that_can_not_be_paired_are_refused():
    with pytest.raises(ValueError, match="each once"):
        ScoreSample(np.array(["a", "a"]), np.zeros(2))
    with pytest.raises(ValueError, match="one name per value"):
        ScoreSample(np.array(["a", "b"]), np.zeros(3))
    with pytest.raises(ValueError, match="area_under_median"):
        _ = sample_of([1.0, 2.0], statistic="area_under_median").estimate


@pytest.mark.parametrize(
    ("low", "high", "n", "bound", "side"),
    [
        (0.1, 0.2, 30, 0, 1),
        (-0.2, -0.1, 30, 0, -1),
        (-0.1, 0.2, 30, 0, 0),
        (0.1, 0.2, 9, 0, 0),
        (0.1, 0.2, 30, 0.3, -1),
    ],
)
def test_the_side_of_an_interval(low, high, n, bound, side):
    assert Estimate(0.0, low, high, n).side(bound) == side


def test_numbers_as_they_are_shown():
    assert [format_number(x) for x in (0.1234, -1.5, 0.0, 2e-5, 12345.0, np.inf, np.nan)] == [
        "0.123", "-1.500", "0.000", "2.0e-05", "1.23e+04", "inf", "-",
    ]  # fmt: skip


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
            of = score_variant(score, variant)
            sample = sample_of(areas[score].numpy(), rows[score], of.statistic)
            assert sample.estimate.value == pytest.approx(getattr(expected, f"{score}_area"), abs=1e-12)
            line = band(rows[score], of.curve)[1]
            assert line == pytest.approx(getattr(expected, score).numpy(), abs=1e-12)


def test_titles_say_what_was_measured_and_which_way_is_better():
    titles = [(m.title, m.direction) for m in sorted_scores(
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
