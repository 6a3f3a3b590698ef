"""Insertion, deletion and degradation against naive replicas, closed forms and Quantus."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from captum_ext import baselines
from captum_ext.metrics import degradation, deletion, insertion
from tests.references.naive_metrics import degradation as naive_degradation
from tests.references.naive_metrics import perturbation_curve

METRICS = [insertion, deletion, degradation]


@pytest.fixture
def x(images):
    return images


@pytest.fixture
def maps():
    return torch.randn(3, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def of_one(net, target):
    return lambda array: net(torch.as_tensor(array).unsqueeze(0))[0, target].item()


@pytest.mark.parametrize("ranking", ["signed", "absolute"])
@pytest.mark.parametrize("points", [2, 5, 21, 40])
@pytest.mark.parametrize("baseline", [0, 0.7, "tensor", baselines.blurred])
def test_insertion_and_deletion_equal_the_naive_replica(net, x, maps, ranking, points, baseline):
    other = torch.linspace(-1, 1, 90, dtype=torch.float64).reshape(1, 3, 6, 5) if baseline == "tensor" else baseline
    full = other(x) if callable(other) else torch.zeros_like(x) + other
    targets = [2, 0, 3]
    curves = {
        metric: metric(net, x, maps, targets, baselines=other, n_points=points, ranking=ranking)
        for metric in (insertion, deletion)
    }
    scores = (maps.abs() if ranking == "absolute" else maps).sum(1).numpy()
    for k, target in enumerate(targets):
        for metric, (before, after) in {insertion: (full, x), deletion: (x, full)}.items():
            fractions, values, area = perturbation_curve(
                of_one(net, target), before[k].numpy(), after[k].numpy(), scores[k], points
            )
            np.testing.assert_allclose(curves[metric].fractions, fractions, atol=1e-15)
            np.testing.assert_allclose(curves[metric].scores[k].detach(), values, atol=1e-12)
            assert curves[metric].area[k].item() == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize("protocol", ["paper", "code"])
@pytest.mark.parametrize(("side", "patches"), [(1, 7), (2, 4), (4, 100), (9, 3)])
def test_degradation_equals_the_naive_replica(net, x, maps, protocol, side, patches):
    curve = degradation(net, x, maps, 1, patch_size=side, n_patches=patches, protocol=protocol)
    for k in range(3):
        expected = naive_degradation(of_one(net, 1), x[k].numpy(), maps[k].numpy(), side, patches, protocol == "code")
        some = degradation(net, x, maps, 1, side, patches, protocol=protocol, patches_per_point=3)
        kept = [*range(0, len(expected) - 1, 3), len(expected) - 1]
        np.testing.assert_allclose(some.scores[k], expected[kept], rtol=1e-6)
        np.testing.assert_allclose(some.fractions, curve.fractions[kept])
        np.testing.assert_allclose(curve.scores[k], expected, atol=1e-12)
    total = -(-6 // side) * -(-5 // side)
    np.testing.assert_allclose(curve.fractions, np.arange(len(expected)) / total)


def test_deletion_is_quantus_pixel_flipping():
    """On one channel, where its features are pixels; it leaves the first point out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import quantus

        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(100, 16), nn.Tanh(), nn.Linear(16, 4)).eval()
        x, maps = torch.rand(3, 1, 10, 10), torch.randn(3, 1, 10, 10)
        metric = quantus.PixelFlipping(
            features_in_step=5, perturb_baseline=0.0, abs=False, normalise=False, disable_warnings=True
        )
        theirs = metric(
            model=model,
            x_batch=x.numpy(),
            y_batch=np.array([0, 1, 2]),
            a_batch=maps.numpy(),
            device="cpu",
            softmax=True,
        )
    ours = deletion(lambda z: model(z).softmax(1), x, maps, [0, 1, 2], n_points=21)
    np.testing.assert_allclose(ours.scores[:, 1:], np.asarray(theirs), atol=1e-6)


def test_normalised_by_the_whole_input(net, x, maps):
    for metric in (insertion, deletion):
        plain, ratio = (metric(net, x, maps, 1, normalize=normalize) for normalize in (False, True))
        whole = net(x)[:, 1:2].detach()
        torch.testing.assert_close(ratio.scores, plain.scores / whole)
        torch.testing.assert_close(ratio.area, plain.area / whole[:, 0])
    assert insertion(net, x, maps, 1, normalize=True).scores[:, -1].allclose(torch.ones(3, dtype=torch.float64))


def test_a_model_of_one_pixel_and_perfect_and_inverted_rankings():
    x = torch.ones(1, 2, 10, 10)

    def pixel(z):
        return z[:, :, 3, 4].sum(1)

    perfect = torch.zeros(1, 10, 10)
    perfect[0, 3, 4] = 1
    first, last = (insertion(pixel, x, sign * perfect, n_points=101) for sign in (1, -1))
    assert first.scores[0].tolist() == [0.0] + [2.0] * 100
    assert last.scores[0].tolist() == [0.0] * 100 + [2.0]
    assert first.area.item() == pytest.approx(1.99)
    assert last.area.item() == pytest.approx(0.01)
    assert deletion(pixel, x, perfect, n_points=101).scores[0].tolist() == [2.0] + [0.0] * 100


def test_a_constant_model(x, maps):
    for metric in METRICS:
        curve = metric(lambda z: torch.full((len(z),), 0.25), x, maps)
        assert (curve.scores == 0.25).all()
        torch.testing.assert_close(curve.area, 0.25 * curve.fractions[-1].expand(3))


def test_equals_are_ranked_by_position(net):
    x = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3)
    curve = insertion(lambda z: z.sum((1, 2, 3)), x, torch.zeros(1, 2, 3), n_points=7)
    assert curve.scores[0].tolist() == [0, 1, 3, 6, 10, 15, 21]


def test_forms_of_attributions(net, x, maps):
    expected = insertion(net, x, maps, 1)
    summed = maps.sum(1)
    for form in (summed, summed.unsqueeze(1), summed.float().double()):
        assert torch.equal(insertion(net, x, form, 1).scores, expected.scores) or form.dtype == torch.float64
    assert torch.equal(insertion(net, x, summed.unsqueeze(1), 1).scores, expected.scores)


def test_tables_and_series_and_volumes():
    for shape in ((2, 7), (2, 3, 11), (2, 1, 4, 5), (2, 2, 3, 4, 2)):
        x = torch.rand(shape)
        curve = insertion(lambda z: z.flatten(1).sum(1), x, x, n_points=6)
        torch.testing.assert_close(curve.scores[:, -1], x.flatten(1).sum(1))
        assert (curve.scores.diff(dim=1) >= 0).all()
        if len(shape) > 2:
            assert degradation(lambda z: z.flatten(1).sum(1), x, x, patch_size=2).scores.isfinite().all()


@settings(max_examples=25, deadline=None)
@given(examples=st.integers(1, 5), cap=st.integers(1, 40), points=st.integers(2, 12))
def test_any_internal_batch_size_gives_the_same_and_caps_every_forward(examples, cap, points):
    rows = []
    torch.manual_seed(0)
    weight = torch.randn(12, 3, dtype=torch.float64)

    def forward(z, factor):
        rows.append(len(z))
        return torch.tanh(z.flatten(1) @ weight) * factor.unsqueeze(1)

    x, maps = torch.randn(2, examples, 1, 3, 4, dtype=torch.float64)
    arguments = {"additional_forward_args": torch.arange(1.0, examples + 1), "target": [k % 3 for k in range(examples)]}
    for metric in METRICS:
        extra = {"patch_size": 2} if metric is degradation else {"n_points": points}
        expected = metric(forward, x, maps, **arguments, **extra)
        rows.clear()
        curve = metric(forward, x, maps, **arguments, **extra, internal_batch_size=cap)
        torch.testing.assert_close(curve.scores, expected.scores, atol=1e-12, rtol=0)
        assert max(rows) <= cap


def test_the_model_and_the_inputs_are_as_before(x, maps):
    model = nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True), nn.Linear(90, 2)).double()
    before = x.clone()
    for metric in METRICS:
        metric(model, x, maps, 0)
    assert torch.equal(x, before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_no_examples(net):
    empty = torch.zeros(0, 3, 6, 5, dtype=torch.float64)
    for metric in METRICS:
        assert len(metric(net, empty, empty, 0).area) == 0


@pytest.mark.parametrize("metric", METRICS)
def test_mistakes(net, x, maps, metric):
    with pytest.raises(ValueError, match=r"attributions: a NaN or infinity in examples \[1\], which can't be ranked"):
        metric(net, x, maps.index_fill(0, torch.tensor([1]), float("nan")), 0)
    with pytest.raises(
        ValueError, match=r"expected shape \(3, 3, 6, 5\), \(3, 1, 6, 5\) or \(3, 6, 5\), got \(3, 3, 6, 4\)"
    ):
        metric(net, x, maps[..., :4], 0)
    with pytest.raises(TypeError, match="attributions: expected a tensor, got list"):
        metric(net, x, maps.tolist(), 0)
    with pytest.raises(TypeError, match="one tensor, whose positions can be ranked"):
        metric(net, (x,), maps, 0)
    with pytest.raises(ValueError, match=r"ranking: expected one of \('signed', 'absolute'\), got 'abs'"):
        metric(net, x, maps, 0, ranking="abs")
    with pytest.raises(ValueError, match="Name the output"):
        metric(net, x, maps)
    if metric is degradation:
        with pytest.raises(ValueError, match="protocol: expected"):
            metric(net, x, maps, 0, protocol="authors")
        with pytest.raises(ValueError, match="baselines: expected"):
            metric(net, x, maps, 0, baselines="median")
        with pytest.raises(ValueError, match="Tables have no patches"):
            metric(lambda z: z, torch.rand(2, 4), torch.rand(2, 4), 0)
    else:
        with pytest.raises(ValueError, match="n_points: expected at least 2"):
            metric(net, x, maps, 0, n_points=1)
        with pytest.raises(ValueError, match="baselines: expected a number, or a tensor of shape"):
            metric(net, x, maps, 0, baselines=lambda z: z[..., :4])
