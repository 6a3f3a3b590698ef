"""Coarse runs out of a fine walk, against the coarse runs themselves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captum_ext.attr import PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import ImportantDirection, Subsampled, WeightedSum
from tests.conftest import SmoothNet

RULES = [kind(rule) for kind in (WeightedSum, ImportantDirection) for rule in (
    "riemann_left", "riemann_right", "riemann_trapezoid")]  # fmt: skip
PATHS = [StraightPath(), BlurPath(max_sigma=2.0), BlurPath(max_sigma=2.0, schedule="sqrt")]


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("cap", [None, 5])
def test_equals_the_coarse_run(net, images, path, rule, cap):
    method = PathAttribution(net, path)
    every = [1, 2, 6]
    shared = method.attribute_each(
        [Subsampled(rule, k) for k in every], images, target=1, n_steps=12, internal_batch_size=cap
    )
    for k, ours in zip(every, shared, strict=True):
        (alone,) = method.attribute_each([rule], images, target=1, n_steps=12 // k)
        torch.testing.assert_close(ours, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", RULES[:3], ids=str)
def test_the_local_form_is_kept(net, images, rule):
    method = PathAttribution(net, multiply_by_inputs=False)
    (ours,) = method.attribute_each([Subsampled(rule, 3)], images, target=0, n_steps=12)
    (alone,) = method.attribute_each([rule], images, target=0, n_steps=4)
    torch.testing.assert_close(ours, alone, rtol=0, atol=1e-12)


@given(st.integers(1, 9), st.integers(1, 30), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_short_of_the_input_the_last_cell_reaches_to_it(every, steps, cap):
    """A linear F is exact by the left rule wherever the last point is."""
    if every > steps:
        every, steps = steps, every
    x = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    weights = torch.tensor([2.0, 5.0], dtype=torch.float64)
    rule = Subsampled(WeightedSum("riemann_left"), every)
    (ours,) = PathAttribution(lambda z: z @ weights).attribute_each([rule], x, n_steps=steps, internal_batch_size=cap)
    torch.testing.assert_close(ours, x * weights, rtol=0, atol=1e-12)


def test_a_truncated_idgi_is_the_published_formula_on_the_slice(net, images):
    """As the study sliced it: points[::16] of 128, the last of which is at alpha 112/127."""
    (ours,) = PathAttribution(net).attribute_each([Subsampled(ImportantDirection(), 16)], images, target=2, n_steps=127)
    points = [(images * (k / 127)).requires_grad_() for k in range(0, 128, 16)]
    values = [net(point)[:, 2] for point in points]
    gradients = [torch.autograd.grad(v.sum(), p)[0] for v, p in zip(values, points, strict=True)]
    expected = torch.zeros_like(images)
    for j in range(len(points) - 1):
        square = gradients[j] ** 2
        rise = (values[j + 1] - values[j]).reshape(-1, 1, 1, 1)
        expected += square * rise / square.sum((1, 2, 3), keepdim=True)
    torch.testing.assert_close(ours, expected.detach(), rtol=0, atol=1e-12)


def test_on_the_guided_path_it_takes_that_paths_own_points(images):
    """A linear F: whatever points are taken, the moves between them add up."""
    weights = torch.randn(SmoothNet.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    method = PathAttribution(lambda x: (x * weights).sum((1, 2, 3)), GuidedPath(max_dist=0.3))
    (ours,) = method.attribute_each([Subsampled(WeightedSum("riemann_trapezoid"), 4)], images, n_steps=12)
    torch.testing.assert_close(ours, images * weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "quadrature", [WeightedSum(), WeightedSum("riemann_middle"), ImportantDirection("riemann_middle")]
)
def test_rules_between_the_points_are_refused(quadrature):
    with pytest.raises(ValueError, match="riemann_left"):
        Subsampled(quadrature, 2)


def test_mistakes_are_named(net, images):
    with pytest.raises(ValueError, match="positive integer, got 0"):
        Subsampled(ImportantDirection(), 0)
    with pytest.raises(TypeError, match="positive integer, got float"):
        Subsampled(ImportantDirection(), 2.0)
    with pytest.raises(ValueError, match="at most n_steps=4, got 5"):
        PathAttribution(net).attribute_each([Subsampled(ImportantDirection(), 5)], images, target=0, n_steps=4)
    with pytest.raises(ValueError, match="got 'gausslegendre'"):
        Subsampled(ImportantDirection(), 2).with_method("gausslegendre")


def test_another_rule_keeps_the_subsample():
    assert Subsampled(WeightedSum("riemann_left"), 3).with_method("riemann_right").every == 3
