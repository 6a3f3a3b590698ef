"""Blur IG against scipy, PAIR's code, a naive port and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from captum_ext._utils.gaussian import blur_matrices
from captum_ext.attr import BlurIG, PathAttribution
from captum_ext.paths import BlurPath
from captum_ext.quadratures import WeightedSum
from tests.references import naive


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(1, 40),
    sigma=st.just(0.0) | st.floats(0.01, 60.0),
    padding_mode=st.sampled_from(["constant", "reflect", "replicate"]),
    seed=st.integers(0, 10**6),
)
def test_matrix_is_scipys_filter(size, sigma, padding_mode, seed):
    x = np.random.default_rng(seed).normal(size=size)
    expected = x if sigma == 0 else naive.blur(x, sigma, padding_mode, [0])
    matrix, other = blur_matrices(size, [sigma, sigma + 1], padding_mode, torch.device("cpu")).numpy()
    got = matrix @ x
    assert np.abs(other @ x - naive.blur(x, sigma + 1, padding_mode, [0])).max() <= 1e-12
    assert np.abs(got - expected).max() <= 1e-12


@pytest.mark.parametrize("shape", [(2, 9), (3, 7, 10), (2, 6, 5, 8)])
@pytest.mark.parametrize("padding_mode", ["constant", "reflect", "replicate"])
@pytest.mark.parametrize("schedule", ["linear", "square", "sqrt"])
def test_points_in_1_2_and_3_dimensions(shape, padding_mode, schedule):
    x = np.random.default_rng(0).normal(size=shape)
    path = BlurPath(max_sigma=4.0, schedule=schedule, padding_mode=padding_mode)
    for alpha in (0.0, 0.3, 0.99, 1.0):
        (got,) = path.point((torch.tensor(x).unsqueeze(0),), (), alpha)
        expected = naive.blur_point(x, alpha, 4.0, schedule, padding_mode)
        assert np.abs(got[0].numpy() - expected).max() <= 1e-12


def test_start_is_pairs_blurred_image():
    x = np.random.default_rng(1).normal(size=(20, 24, 3))  # PAIR's images have their channels last
    expected = gaussian_filter(x, sigma=[50, 50, 0], mode="constant")
    (got,) = BlurPath().start((torch.tensor(x.transpose(2, 0, 1)).unsqueeze(0),), None)
    assert np.abs(got[0].numpy().transpose(1, 2, 0) - expected).max() <= 1e-12


@pytest.mark.parametrize("schedule", ["linear", "square", "sqrt"])
@pytest.mark.parametrize("padding_mode", ["constant", "reflect", "replicate"])
@pytest.mark.parametrize("rule", WeightedSum.methods)
def test_equals_the_naive_port(net, images, schedule, padding_mode, rule):
    _, gradient = naive.numpy_functions(net, 3, net.shape)
    x = images[0].numpy()

    def point(alpha):
        return naive.blur_point(x, alpha, 3.0, schedule, padding_mode)

    expected = naive.path_sum(gradient, point, 6, rule)
    method = BlurIG(net, max_sigma=3.0, schedule=schedule, padding_mode=padding_mode)
    ours = method.attribute(images, target=3, n_steps=6, method=rule)[0]
    assert np.abs(ours.numpy() - expected).max() <= 1e-12


@pytest.mark.parametrize("steps", [5, 30])
def test_right_rule_is_pairs_sum_with_its_derivative_taken_over_the_whole_step(net, images, saliency, steps):
    """PAIR multiplies a forward difference by the step; over the whole step both are the path's own move."""

    def call_model(batch, call_model_args=None, expected_keys=None):
        point = torch.tensor(np.asarray(batch).transpose(0, 3, 1, 2)).requires_grad_()
        (gradient,) = torch.autograd.grad(net(point)[:, 2].sum(), point)
        return {saliency.INPUT_OUTPUT_GRADIENTS: gradient.numpy().transpose(0, 2, 3, 1)}

    theirs = saliency.BlurIG().GetMask(
        images[1].numpy().transpose(1, 2, 0), call_model, max_sigma=6.0, steps=steps, grad_step=6.0 / steps
    )
    ours = BlurIG(net, max_sigma=6.0).attribute(images, target=2, n_steps=steps, method="riemann_right")[1]
    assert np.abs(ours.numpy().transpose(1, 2, 0) - theirs).max() <= 1e-10


@pytest.mark.parametrize("rule", WeightedSum.methods)
@pytest.mark.parametrize("steps", [5, 20, 100])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_linear_f_is_exact_for_every_rule(rule, steps, dtype):
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(2, 3, 32, 32, dtype=dtype, generator=generator)
    weight = torch.randn(3, 32, 32, dtype=dtype, generator=generator)

    def linear(z):
        return (z * weight).sum((1, 2, 3))

    attribution = BlurIG(linear).attribute(x, n_steps=steps, method=rule).double()
    (blurred,) = BlurPath().start((x.double(),), None)
    change = ((x.double() - blurred) * weight).sum((1, 2, 3))
    total = attribution.sum((1, 2, 3))
    assert ((total - change).abs() <= 1e-6 * change.abs()).all()


def test_spatial_dims():
    x = torch.rand(2, 10, 4, dtype=torch.float64)  # series whose channels come last
    path = BlurPath(max_sigma=2.0, spatial_dims=(1,))
    (got,) = path.start((x,), None)
    assert np.abs(got[0].numpy() - naive.blur(x[0].numpy(), 2.0, "constant", [0])).max() <= 1e-12
    (negative,) = BlurPath(max_sigma=2.0, spatial_dims=[-2]).start((x,), None)
    assert torch.equal(got, negative)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [((2, 5), None), ((2, 1, 3, 3, 3, 3), None), ((2, 5), (0,)), ((2, 5), (2,)), ((2, 5, 5), (1, -2))],
)
def test_inputs_without_such_dimensions_raise(shape, dims):
    with pytest.raises(ValueError, match="spatial_dims"):
        BlurIG(lambda x: x.flatten(1).sum(1), spatial_dims=dims).attribute(torch.rand(shape))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"max_sigma": 0}, ValueError),
        ({"max_sigma": float("nan")}, ValueError),
        ({"schedule": "cosine"}, ValueError),
        ({"padding_mode": "zeros"}, ValueError),
        ({"spatial_dims": 2}, TypeError),
        ({"spatial_dims": "23"}, TypeError),
    ],
)
def test_settings_that_are_none(settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        BlurIG(lambda x: x, **settings)


def test_baselines_raise_and_say_why(net, images):
    for baselines in (0, images, (images,)):
        with pytest.raises(ValueError, match="starts from the blurred input"):
            BlurIG(net).attribute(images, baselines, target=0)
        with pytest.raises(ValueError, match="starts from the blurred input"):
            PathAttribution(net, path=BlurPath()).attribute(images, baselines, target=0)


def test_tuple_inputs_are_blurred_alike(pair_net, pairs):
    fixed = pairs[1]
    blurred = BlurPath(max_sigma=2.0).point((fixed,), (), 0.5)[0]
    seen = []

    def model(x, y):
        seen.append(y.detach())
        return pair_net(x, y)

    BlurIG(model, max_sigma=2.0).attribute(pairs, target=0, n_steps=1, method="riemann_middle")
    torch.testing.assert_close(seen[0], blurred)


@pytest.mark.parametrize(
    ("rule", "blurs"),
    [("riemann_trapezoid", 11), ("riemann_left", 11), ("riemann_right", 11), ("gausslegendre", 21)],
)
@pytest.mark.parametrize("cap", [3, 12])
def test_no_image_of_the_path_is_blurred_twice(net, images, monkeypatch, rule, blurs, cap):
    """Points and the ends of their cells; the start is made once more, for the delta."""
    seen = []
    points = BlurPath.points
    monkeypatch.setattr(BlurPath, "points", lambda self, x, start, at: seen.extend(at) or points(self, x, start, at))
    BlurIG(net).attribute(images, target=0, n_steps=10, method=rule, internal_batch_size=cap)
    assert len(seen) == 1 + blurs


def test_schedules_share_their_limit_and_completeness(net, images):
    limits = [
        BlurIG(net, max_sigma=3.0, schedule=schedule).attribute(
            images, target=1, n_steps=steps, return_convergence_delta=True
        )
        for schedule, steps in (("linear", 400), ("square", 400), ("square", 40))
    ]
    (expected, _), (ours, delta), (coarse, _) = limits
    assert relative(ours, expected) < 2e-3
    assert relative(coarse, expected) < 2e-2
    assert delta.abs().max() < 1e-3


def relative(ours, expected):
    return (ours - expected).norm() / expected.norm()


def test_inputs_of_two_dtypes_and_one_size():
    x = torch.rand(2, 1, 6, 6)

    def f(a, b):
        return (a.double() * b).flatten(1).sum(1)

    single, double = BlurIG(f, max_sigma=2.0).attribute((x, x.double()), n_steps=4)
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-6)
