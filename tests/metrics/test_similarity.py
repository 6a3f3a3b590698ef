"""Stability, rank correlation and class sensitivity against closed forms, SciPy and a naive replica."""

import numpy as np
import pytest
import scipy.stats
import torch
from skimage import data

from captum_ext.metrics import class_sensitivity, jpeg_compress, rank_correlation, stability_error
from tests.references.naive_metrics import spearman


def maps(seed, shape=(4, 3, 5, 6)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_stability_error_is_the_difference_of_normalized_maps():
    a, b = maps(0), maps(1)
    for normalize in ("signed", "absolute"):
        found = stability_error(a, b, normalize)
        for k in range(4):
            first, second = (m[k].double().sum(0).numpy() for m in (a, b))
            scales = [np.abs(m).sum() if normalize == "absolute" else m.sum() for m in (first, second)]
            expected = np.mean((first / scales[0] - second / scales[1]) ** 2)
            assert found[k].item() == pytest.approx(expected, rel=1e-9)


def test_rank_correlation_is_scipys_also_with_ties():
    a, b = maps(0), maps(1).round()
    found = rank_correlation(a, b)
    for k in range(4):
        first, second = (m[k].double().sum(0).flatten().numpy() for m in (a, b))
        assert found[k].item() == pytest.approx(scipy.stats.spearmanr(first, second).statistic, abs=1e-12)
        assert found[k].item() == pytest.approx(spearman(first, second), abs=1e-12)


def test_equal_maps_are_stable():
    a = maps(0)
    assert (stability_error(a, 3 * a) < 1e-12).all()
    assert (stability_error(a, 3 * a, "absolute") < 1e-15).all()
    flat = maps(0, (4, 9))
    torch.testing.assert_close(rank_correlation(flat, flat.exp()), torch.ones(4, dtype=torch.float64))


def test_constant_maps_are_finite():
    a, zeros = maps(0), torch.zeros(4, 3, 5, 6)
    for setting in ("signed", "absolute"):
        for compare in (stability_error, rank_correlation):
            assert compare(zeros, a, setting).isfinite().all()
            assert (compare(zeros, zeros, setting) == 0).all()


def test_class_sensitivity():
    a = maps(0)
    torch.testing.assert_close(class_sensitivity(a, -a), -torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(class_sensitivity(a, -a, "absolute"), torch.ones(4, dtype=torch.float64))
    assert class_sensitivity(maps(0, (20, 3, 30, 30)), maps(1, (20, 3, 30, 30))).abs().max() < 0.15


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: stability_error(a, a, "rank"), ValueError, r"normalize: expected one of \('signed', 'absolute'\)"),
        (lambda a: rank_correlation(a, a, "abs"), ValueError, "ranking: expected one of"),
        (lambda a: class_sensitivity(a, a, "abs"), ValueError, "ranking: expected one of"),
        (
            lambda a: stability_error(a, a[..., :3]),
            ValueError,
            r"others: expected the attributions' shape \(4, 3, 5, 6\)",
        ),
        (lambda a: rank_correlation(a, a / 0), ValueError, r"others: a NaN or infinity in examples \[0, 1, 2, 3\]"),
        (lambda a: stability_error(a.numpy(), a), TypeError, "attributions: expected a tensor, got ndarray"),
        (lambda a: jpeg_compress(a), TypeError, "expected a uint8 tensor of pixels, got torch.float32"),
        (lambda a: jpeg_compress(a.to(torch.uint8)[:, :2]), ValueError, r"\(B, 1 or 3, H, W\)"),
        (lambda a: jpeg_compress(a.to(torch.uint8), 101), ValueError, "quality: expected 1 to 100"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call(maps(0))


def test_jpeg():
    photograph = torch.from_numpy(data.coffee()[:90, :120]).permute(2, 0, 1).unsqueeze(0)
    errors = [(jpeg_compress(photograph, q).double() - photograph.double()).square().mean() for q in (95, 75, 20)]
    assert 0 < errors[0] < errors[1] < errors[2] < 500
    grey = photograph[:, :1].repeat(2, 1, 1, 1)
    compressed = jpeg_compress(grey)
    assert compressed.shape == grey.shape
    assert torch.equal(compressed[0], compressed[1])
