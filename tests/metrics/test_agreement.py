"""Stability, class sensitivity and model randomisation against closed forms, SciPy and a naive replica."""

import numpy as np
import pytest
import scipy.stats
import torch
from skimage import data
from torch import nn

from captum_ext.attr import IntegratedGradients
from captum_ext.metrics import class_sensitivity, jpeg_compress, model_randomization, stability
from tests.references.naive_metrics import spearman


def maps(seed, shape=(4, 3, 5, 6)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_stability_by_sums():
    a, b = maps(0), maps(1)
    for normalize in ("signed", "absolute"):
        found = stability(a, b, normalize)
        for k in range(4):
            first, second = (m[k].double().sum(0).numpy() for m in (a, b))
            scales = [np.abs(m).sum() if normalize == "absolute" else m.sum() for m in (first, second)]
            expected = np.mean((first / scales[0] - second / scales[1]) ** 2)
            assert found[k].item() == pytest.approx(expected, rel=1e-9)


def test_ranks_are_scipys_also_with_equals():
    a, b = maps(0), maps(1).round()
    found = stability(a, b, "rank")
    for k in range(4):
        first, second = (m[k].double().sum(0).flatten().numpy() for m in (a, b))
        assert found[k].item() == pytest.approx(scipy.stats.spearmanr(first, second).statistic, abs=1e-12)
        assert found[k].item() == pytest.approx(spearman(first, second), abs=1e-12)


def test_what_does_not_change_is_stable():
    a = maps(0)
    assert (stability(a, 3 * a) < 1e-12).all()
    assert (stability(a, 3 * a, "absolute") < 1e-15).all()
    flat = maps(0, (4, 9))
    torch.testing.assert_close(stability(flat, flat.exp(), "rank"), torch.ones(4, dtype=torch.float64))


def test_constant_maps_are_finite():
    a, zeros = maps(0), torch.zeros(4, 3, 5, 6)
    for normalize in ("signed", "absolute", "rank"):
        assert stability(zeros, a, normalize).isfinite().all()
        assert (stability(zeros, zeros, normalize) == 0).all()


def test_class_sensitivity():
    a = maps(0)
    torch.testing.assert_close(class_sensitivity(a, -a), -torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(class_sensitivity(a, -a, "absolute"), torch.ones(4, dtype=torch.float64))
    assert class_sensitivity(maps(0, (20, 3, 30, 30)), maps(1, (20, 3, 30, 30))).abs().max() < 0.15


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: stability(a, a, "rms"), ValueError, "normalize: expected one of"),
        (lambda a: class_sensitivity(a, a, "abs"), ValueError, "ranking: expected one of"),
        (lambda a: stability(a, a[..., :3]), ValueError, r"others: expected the attributions' shape \(4, 3, 5, 6\)"),
        (lambda a: stability(a, a / 0), ValueError, r"others: a NaN or infinity in examples \[0, 1, 2, 3\]"),
        (lambda a: stability(a.numpy(), a), TypeError, "attributions: expected a tensor, got ndarray"),
        (lambda a: jpeg_compress(a), TypeError, "expected a uint8 tensor of pixels, got torch.float32"),
        (lambda a: jpeg_compress(a.to(torch.uint8)[:, :2]), ValueError, r"\(B, 1 or 3, H, W\)"),
        (lambda a: jpeg_compress(a.to(torch.uint8), 101), ValueError, "quality: expected 1 to 100"),
        (lambda a: model_randomization(lambda m: a, nn.ReLU()), ValueError, "no layer with reset_parameters"),
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


def test_randomisation_cascades_from_the_output_and_leaves_the_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.Softplus(), nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(5, 12)
    seen = []

    def attribute(m):
        torch.rand(3)  # a method with noise of its own
        seen.append([bool((m[k].weight != before[f"{k}.weight"]).any()) for k in (0, 2, 4)])
        return IntegratedGradients(m).attribute(x, target=1)

    found = model_randomization(attribute, model)
    assert found.layers == ("4", "2", "0")
    assert found.similarity.shape == (3, 5)
    assert seen == [[False] * 3, [False, False, True], [False, True, True], [True, True, True]]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert found.similarity.mean() < 0.9
    again = model_randomization(attribute, model)
    assert torch.equal(found.similarity, again.similarity)
    other = model_randomization(attribute, model, generator_seed=1)
    assert not torch.equal(found.similarity, other.similarity)


def test_randomisation_leaves_the_global_generator():
    model = nn.Linear(4, 2)
    x = torch.rand(2, 4)
    state = torch.get_rng_state()
    model_randomization(lambda m: IntegratedGradients(m).attribute(x, target=0), model)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_map_that_ignores_the_model_does_not_change():
    a = maps(0, (2, 9))
    found = model_randomization(lambda m: a, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    torch.testing.assert_close(found.similarity, torch.ones(2, 2, dtype=torch.float64))
