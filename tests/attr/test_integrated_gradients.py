"""Integrated Gradients against Captum's and a naive port."""

import captum.attr
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captum_ext.attr import IntegratedGradients, PathAttribution
from captum_ext.quadratures import WeightedSum
from tests.references import naive

CAPTUM_RULES = ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle"]


@pytest.mark.parametrize("rule", CAPTUM_RULES)
@pytest.mark.parametrize("multiply_by_inputs", [True, False])
@pytest.mark.parametrize("cap", [None, 1, 4, 1000])
def test_equals_captum(net, images, rule, multiply_by_inputs, cap):
    baseline = images.flip(0) * 0.3
    arguments = {"baselines": baseline, "target": [0, 3, 1], "n_steps": 17, "method": rule}
    theirs, their_delta = captum.attr.IntegratedGradients(net, multiply_by_inputs).attribute(
        images, **arguments, return_convergence_delta=True
    )
    ours, our_delta = IntegratedGradients(net, multiply_by_inputs).attribute(
        images, **arguments, internal_batch_size=cap, return_convergence_delta=True
    )
    assert (ours - theirs).abs().max() <= 1e-7
    assert (our_delta - their_delta).abs().max() <= 1e-7


def test_same_call_as_captum_by_position(net, images):
    arguments = (images, 0.5, 2, None, 9, "riemann_right", 7, True)
    theirs = captum.attr.IntegratedGradients(net).attribute(*arguments)
    ours = IntegratedGradients(net).attribute(*arguments)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-7, rtol=0)


def test_default_rule_and_steps_are_captums(net, images):
    theirs = captum.attr.IntegratedGradients(net).attribute(images, target=1)
    assert (IntegratedGradients(net).attribute(images, target=1) - theirs).abs().max() <= 1e-7


@pytest.mark.parametrize("rule", [*CAPTUM_RULES, "riemann_trapezoid"])
@pytest.mark.parametrize("n_steps", [1, 2, 13])
def test_equals_the_naive_port(net, images, rule, n_steps):
    _, gradient = naive.numpy_functions(net, 2, net.shape)
    expected = naive.integrated_gradients(gradient, images[1].numpy(), np.full(net.shape, 0.2), n_steps, rule)
    ours = IntegratedGradients(net).attribute(images, baselines=0.2, target=2, n_steps=n_steps, method=rule)[1]
    assert np.abs(ours.numpy() - expected).max() <= 1e-12


@settings(max_examples=25, deadline=None)
@given(n_steps=st.integers(1, 40), seed=st.integers(0, 1000))
def test_trapezoid_is_exact_where_captums_is_short_by_its_weights(n_steps, seed):
    """F quadratic: the true trapezoid rule integrates its linear gradient exactly."""
    torch.manual_seed(seed)
    x, baseline = torch.randn(2, 4, 7, dtype=torch.float64)
    ours = PathAttribution(lambda z: (z**2).sum(1), quadrature=WeightedSum("riemann_trapezoid")).attribute(
        x, baseline, n_steps=n_steps
    )
    torch.testing.assert_close(ours, x**2 - baseline**2, atol=1e-12, rtol=1e-12)
    if n_steps > 1:
        theirs = captum.attr.IntegratedGradients(lambda z: (z**2).sum(1)).attribute(
            x, baseline, n_steps=n_steps, method="riemann_trapezoid"
        )
        torch.testing.assert_close(theirs, ours * (n_steps - 1) / n_steps, atol=1e-5, rtol=1e-5)


def test_plateau():
    """1 - relu(1 - x) from 0 to 2: the attribution is the whole change, in the rules' limit."""
    x = torch.tensor([[2.0]], dtype=torch.float64)
    attribution = IntegratedGradients(lambda z: 1 - torch.relu(1 - z).sum(1)).attribute(x, n_steps=1000)
    assert abs(attribution.item() - 1) < 2e-3


@pytest.mark.parametrize("bad", ["gauss", "riemann", "", "left"])
def test_unknown_rule_names_those_there_are(net, images, bad):
    with pytest.raises(ValueError, match="gausslegendre, riemann_left"):
        IntegratedGradients(net).attribute(images, target=0, method=bad)


@pytest.mark.parametrize(
    ("rule", "points"),
    [
        ("gausslegendre", 10),
        ("riemann_left", 10),
        ("riemann_right", 10),
        ("riemann_middle", 10),
        ("riemann_trapezoid", 11),
    ],
)
def test_points_of_weight_zero_cost_nothing(net, images, rule, points):
    rows = []

    def counting(x):
        rows.append(len(x))
        return net(x)

    IntegratedGradients(counting).attribute(images, target=0, n_steps=10, method=rule)
    assert sum(rows) == points * len(images)
