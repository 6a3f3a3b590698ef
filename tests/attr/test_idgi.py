"""IDGI against the published formula on every path, and what its sum does and doesn't say."""

import numpy as np
import pytest
import torch

from captum_ext.attr import IDGI, PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import ImportantDirection, WeightedSum
from tests.references import naive

PATHS = {"straight": StraightPath(), "blur": BlurPath(max_sigma=3.0), "guided": GuidedPath(0.3, 0.2)}
N = 12


def reference_points(name, gradient, x, n=N):
    if name == "straight":
        return [k / n * x for k in range(n + 1)]
    if name == "blur":
        return [naive.blur_point(x, k / n, 3.0, "linear", "constant") for k in range(n + 1)]
    points, _ = naive.guided_points(gradient, x, np.zeros_like(x), n, 0.3, 0.2)
    return points


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("cap", [None, 2])
def test_equals_the_published_formula(net, images, name, cap):
    value, gradient = naive.numpy_functions(net, 1, net.shape)
    ours = IDGI(net, path=PATHS[name]).attribute(images, target=1, n_steps=N, internal_batch_size=cap)
    for example, our in zip(images.numpy(), ours.numpy(), strict=True):
        points = reference_points(name, gradient, example)
        expected = naive.idgi([gradient(p) for p in points], [value(p) for p in points])
        assert np.abs(our.ravel() - expected.ravel()).max() <= 1e-10


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("rule", ImportantDirection.methods)
def test_sums_to_the_change_of_f_whatever_the_number_of_steps(net, images, name, rule):
    for n_steps in (1, 2, 7):
        _, delta = IDGI(net, path=PATHS[name]).attribute(
            images, target=0, n_steps=n_steps, method=rule, return_convergence_delta=True
        )
        assert delta.abs().max() <= 1e-10


@pytest.mark.parametrize(("rule", "order"), [("riemann_left", 1), ("riemann_trapezoid", 2), ("riemann_middle", 2)])
def test_converges_at_its_order(net, images, rule, order):
    def run(n_steps):
        return IDGI(net).attribute(images, target=0, n_steps=n_steps, method=rule)

    limit = run(2000)
    coarse, fine = ((run(n) - limit).norm() for n in (20, 40))
    assert coarse / fine > 2**order * 0.85


def test_rules_by_hand():
    """Three points on one axis: directions, and the shares of the two steps, written out."""
    gradients = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]], dtype=torch.float64)
    values = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    d0, d1, d2 = torch.tensor([[1, 0], [9 / 25, 16 / 25], [0, 1]], dtype=torch.float64)
    expected = {
        "riemann_left": 1 * d0 + 4 * d1,
        "riemann_right": 1 * d1 + 4 * d2,
        "riemann_trapezoid": (d0 + d1) / 2 + 4 * (d1 + d2) / 2,
        "riemann_middle": 5 * d1,
    }
    from captum_ext.quadratures import idgi

    for rule, attribution in expected.items():
        torch.testing.assert_close(idgi(gradients, values, rule), attribution)


def test_zero_gradient_steps_add_nothing_and_the_delta_reports_them():
    """F = relu(x - 1) + relu(y - 0): flat in both on the first part of the way, except for y."""

    def plateau(z):
        return (1 - torch.relu(1 - z)).sum(1)  # gradient 1 up to x = 1, then 0

    x = torch.tensor([[2.0]], dtype=torch.float64)
    attribution, delta = IDGI(plateau).attribute(x, n_steps=4, return_convergence_delta=True)
    assert attribution.item() == pytest.approx(1.0)
    assert delta.item() == pytest.approx(0.0)

    def cliff(z):  # changes where the gradient is zero
        return (z > 1.3).to(z.dtype).sum(1) + 0 * z.sum(1)

    attribution, delta = IDGI(cliff).attribute(x, n_steps=4, return_convergence_delta=True)
    assert attribution.item() == 0
    assert delta.item() == -1


def test_trapezoid_uses_the_end_that_has_a_gradient():
    gradients = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    from captum_ext.quadratures import idgi

    result = idgi(gradients, torch.tensor([0.0, 25.0]), "riemann_trapezoid")
    torch.testing.assert_close(result, torch.tensor([9.0, 16.0]))


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
def test_squares_do_not_leave_float32(size):
    attribution = IDGI(lambda z: (z * torch.tensor([3.0, 4.0])).sum(1) * size).attribute(torch.ones(1, 2))
    torch.testing.assert_close(attribution / size, torch.tensor([[2.52, 4.48]]), atol=0, rtol=1e-5)


def test_captums_default_rule_raises_and_names_the_rules(net, images):
    with pytest.raises(ValueError, match="riemann_left, riemann_right, riemann_trapezoid, riemann_middle"):
        IDGI(net).attribute(images, target=0, method="gausslegendre")


@pytest.mark.parametrize("name", PATHS)
def test_shared_walk_gives_what_each_method_gives_alone(net, images, name):
    quadratures = [
        WeightedSum("riemann_left"),
        WeightedSum("riemann_right"),
        WeightedSum("riemann_trapezoid"),
        ImportantDirection(),
        ImportantDirection("riemann_trapezoid"),
    ]
    calls = []

    def counting(x):
        calls.append(len(x))
        return net(x)

    together = PathAttribution(counting, PATHS[name]).attribute_each(
        quadratures, images, target=2, n_steps=9, internal_batch_size=7, return_convergence_delta=True
    )
    deltas = 2 * len(images)
    assert sum(calls) == 10 * len(images) + deltas
    for quadrature, (attribution, delta) in zip(quadratures, together, strict=True):
        alone = PathAttribution(net, PATHS[name], quadrature).attribute(
            images, target=2, n_steps=9, return_convergence_delta=True
        )
        torch.testing.assert_close(attribution, alone[0], atol=1e-14, rtol=0)
        torch.testing.assert_close(delta, alone[1], atol=1e-14, rtol=0)


def test_rules_at_different_points_can_not_share_a_walk(net, images):
    for rule in ("gausslegendre", "riemann_middle"):
        with pytest.raises(ValueError, match="can't share a walk"):
            PathAttribution(net).attribute_each([WeightedSum(rule), ImportantDirection()], images, target=0)
    with pytest.raises(ValueError, match="at least one"):
        PathAttribution(net).attribute_each([], images, target=0)


def test_values_come_from_the_forward_of_the_gradient(net, images):
    calls = []

    def counting(x):
        calls.append(len(x))
        return net(x)

    IDGI(counting).attribute(images, target=0, n_steps=10)
    assert sum(calls) == 11 * len(images)


def test_gradient_functions_that_differentiate_something_else_are_refused(net, images):
    from captum._utils.gradient import compute_gradients, construct_neuron_grad_fn

    method = IDGI(net)
    expected = method.attribute(images, target=0)
    method.gradient_func = compute_gradients
    torch.testing.assert_close(method.attribute(images, target=0), expected)

    method = IDGI(lambda x: net(x)[:, 0])  # one output a row: no shape gives the mistake away
    method.gradient_func = construct_neuron_grad_fn(net.conv, (0, 1, 1))
    with pytest.raises(ValueError, match="differentiates something else"):
        method.attribute(images)
    weighted = PathAttribution(net)
    weighted.gradient_func = construct_neuron_grad_fn(net.conv, (0, 1, 1))
    assert weighted.attribute(images).abs().sum() > 0
