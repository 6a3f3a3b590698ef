"""Intervals and data set values against scipy, numpy and the metrics' own aggregate."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import trapezoid

from captum_ext.evaluation import Estimate, ScoreSample, band, bootstrap, combine, estimates
from captum_ext.evaluation.estimates import CURVE_STATISTICS, draws, format_number, leave_out
from captum_ext.evaluation.scores import score_variant, sorted_scores
from captum_ext.metrics import InformationCurves, aggregate


def sample_of(values, curves=None, statistic="mean"):
    return ScoreSample(np.arange(len(values)).astype(str), np.asarray(values, dtype=float), curves, statistic)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_intervals_are_scipys(statistic):
    values = np.random.default_rng(1).lognormal(0, 1, 60)
    found = sample_of(values, statistic=statistic).estimate
    # The level is widened for few images: by it, the interval of normal values is Student's t.
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, 59) * np.sqrt(60 / 59)) - 1
    expected = stats.bootstrap(
        (values,), getattr(np, statistic), n_resamples=20_000, method="BCa", random_state=5, confidence_level=level
    ).confidence_interval
    assert found.value == pytest.approx(getattr(np, statistic)(values), rel=1e-12)
    width = expected.high - expected.low
    # A resampled median is one of few values, and its quantiles jump.
    tolerance = 0.06 if statistic == "mean" else 0.11
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=tolerance * width)
    assert found.n == 60


@pytest.mark.parametrize(
    ("draw", "true", "n", "least", "of_percentiles"),
    [
        ("standard_normal", 0.0, 19, 0.93, 0.95),
        ("standard_exponential", 1.0, 19, 0.92, 0.925),
        ("standard_exponential", 1.0, 64, 0.92, 0.95),
    ],
)
def test_intervals_cover_the_true_mean_as_often_as_they_say(draw, true, n, least, of_percentiles):
    random, drawn = np.random.default_rng(2), np.concatenate(list(draws(n)))
    trials, covered, by_percentiles = 600, 0, 0
    for _ in range(trials):
        values = getattr(random, draw)(n)
        found = sample_of(values).estimate
        covered += found.low <= true <= found.high
        low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
        by_percentiles += low <= true <= high
    assert least <= covered / trials <= 0.97
    assert by_percentiles / trials <= of_percentiles
    assert covered > by_percentiles


@pytest.mark.parametrize("statistic", ["median", "minus_log10_mean"])
def test_intervals_of_other_statistics_cover_too(statistic):
    random, covered, trials = np.random.default_rng(3), 0, 400
    true = np.log(2) if statistic == "median" else 0.0
    for _ in range(trials):
        found = sample_of(random.exponential(1.0, 30), statistic=statistic).estimate
        covered += found.low <= true <= found.high
    assert 0.915 <= covered / trials <= 0.98


def test_no_image_or_every_image_matters():
    rows = sample_of(np.full(20, 0.1) + 0.2).estimate
    assert (rows.low, rows.high) == pytest.approx((rows.value, rows.value))
    one = np.zeros(20)
    one[0] = 1.0  # the correction turns over: the bounds are among the resamples' values
    found = sample_of(one).estimate
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("n", [2, 7, 1000, 1001, 2500])
def test_each_image_is_left_out_once(n):
    rows = np.concatenate(list(leave_out(n)))
    size = -(-n // 1000)
    assert rows.shape == (n // size, n - size)
    missing = [np.setdiff1d(np.arange(n), row) for row in rows]
    assert len(np.unique(np.concatenate(missing))) == len(rows) * size
    assert all(len(one) == size for one in missing)


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


def test_bands_are_intervals_of_the_transformed_lines():
    curves = np.random.default_rng(4).random((12, 5)) + 1
    low, line, high = band(curves, "median", lambda lines: lines / lines[:, :1])
    medians = np.concatenate([np.median(curves[drawn], axis=1) for drawn in draws(12)])
    assert line == pytest.approx(np.median(curves, 0) / np.median(curves, 0)[0])
    relative = medians / medians[:, :1]
    assert (low[0], high[0]) == pytest.approx((1, 1))
    for k in range(1, 5):  # as of each point alone
        assert relative[:, k].min() <= low[k] < line[k] < high[k] <= relative[:, k].max()
        of_point = bootstrap(lambda drawn, k=k: np.median(curves[drawn, k], 1) / np.median(curves[drawn, 0], 1), 12)
        assert (low[k], high[k]) == pytest.approx((of_point.low, of_point.high))
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


@pytest.mark.parametrize("sign", [1, -1])
def test_resamples_without_a_value_decide_nothing(sign):
    """Infinity minus infinity has no place in the order, whichever method comes first."""
    names = np.array([f"{k}.png" for k in range(12)])
    pair = [
        ScoreSample(names, np.eye(12)[k] * scale, statistic="minus_log10_mean") for k, scale in ((0, 1e-3), (1, 1e-4))
    ]
    difference = combine(pair, lambda values: sign * (values[0] - values[1]))
    assert np.isfinite(difference.value)
    assert np.isnan([difference.low, difference.high]).all()
