"""Integrated Decision Gradients against closed forms, a naive loop, and limits."""

import math
import warnings

import pytest
import torch

from captum_ext.attr import IDG, IDGI, IntegratedGradients, LayerPathAttribution, NeuronPathAttribution, PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import DecisionGradients, Subsampled, WeightedSum
from tests.helpers import ones

RULES = WeightedSum.methods
CLOSED = ("riemann_left", "riemann_right", "riemann_trapezoid")


def naive(path, function, x, start, grid, shares=(1.0, 1.0)):
    """s_k = sum_i c_k,i / w_k and A = sum_k c_k s_k, with one point at a time."""
    total = torch.zeros_like(x)
    before, after = shares

    def at(alpha):
        return path.point((x,), (start,), alpha)[0]

    for lower, node, upper in zip(grid.lower, grid.nodes, grid.upper, strict=True):
        point = at(node).requires_grad_()
        (gradient,) = torch.autograd.grad(function(point).sum(), point)
        move = before * (at(node) - at(lower)) + after * (at(upper) - at(node))
        part = (gradient * move).detach()
        length = before * (node - lower) + after * (upper - node)
        total += part * (part.flatten(1).sum(1) / length).reshape(-1, *(1,) * (x.dim() - 1))
    return total


@pytest.mark.parametrize("path", [StraightPath(), BlurPath(max_sigma=2.0)], ids=str)
@pytest.mark.parametrize(("rule", "shares"), [
    ("gausslegendre", (1.0, 1.0)), ("riemann_middle", (1.0, 1.0)), ("riemann_left", (0.0, 1.0)),
    ("riemann_right", (1.0, 0.0)), ("riemann_trapezoid", (0.5, 0.5)),
])  # fmt: skip
@pytest.mark.parametrize("cap", [None, 5, 1])
def test_naive_loop(net, images, path, rule, shares, cap):
    target = torch.tensor([0, 3, 1])
    start = path.start((images,), None)[0]
    expected = naive(
        path, lambda z: net(z).gather(1, target[:, None]), images, start, WeightedSum(rule).grid(7), shares
    )
    ours = IDG(net, path).attribute(images, target=target, n_steps=7, method=rule, internal_batch_size=cap)
    torch.testing.assert_close(ours, expected)


def test_linear_function_gives_ig_times_its_change(images):
    weight = torch.randn(images.shape[1:], dtype=torch.float64)

    def linear(z):
        return (z * weight).sum((1, 2, 3))

    ours = IDG(linear).attribute(images, n_steps=4)
    ig = images * weight
    torch.testing.assert_close(ours, ig * linear(images).reshape(-1, 1, 1, 1))
    # Constant slope: normalized, any rule gives IG itself.
    for rule in RULES:
        normalized = IDG(linear, normalize=True).attribute(images, n_steps=3, method=rule)
        torch.testing.assert_close(normalized, ig)


@pytest.mark.parametrize("steps", [{"n_steps": 60}, {"n_steps": "auto", "tol": 1e-3}], ids=str)
def test_one_feature_gives_the_integral_of_the_squared_slope(steps):
    x = ones(1, 1) * torch.tensor([[2.0]], dtype=torch.float64)
    exp = IDG(lambda z: z.exp().sum(1)).attribute(x, **steps)
    assert float(exp) == pytest.approx(4 * (math.exp(4) - 1) / 4, rel=1e-3)  # (2 exp(2 a))^2 over [0, 1]
    # F rises and falls to where it was: IG's sum is 0, IDG's is not.
    sine = IDG(lambda z: (math.pi * z).sin().sum(1)).attribute(ones(1, 1), n_steps=60)
    assert float(sine) == pytest.approx(math.pi**2 / 2, rel=1e-10)


def test_a_stretch_where_f_falls_adds_negative_times_negative():
    x = ones(1, 2)

    def function(z):  # the first feature lowers F from 0 to -1, and the second one has no influence
        return -z[:, 0]

    assert IntegratedGradients(function).attribute(x).tolist() == [[-1.0, 0.0]]
    torch.testing.assert_close(IDG(function).attribute(x), torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    normalized = IDG(function, normalize=True).attribute(x)
    torch.testing.assert_close(normalized, torch.tensor([[-1.0, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("path", [StraightPath(), BlurPath(max_sigma=2.0)], ids=str)
def test_normalized_attributions_have_igs_sum_and_delta(net, images, path, rule):
    options = {"target": 1, "n_steps": 9, "method": rule, "return_convergence_delta": True}
    ours, delta = IDG(net, path, normalize=True).attribute(images, **options)
    ig, expected = PathAttribution(net, path).attribute(images, **options)
    torch.testing.assert_close(ours.sum((1, 2, 3)), ig.sum((1, 2, 3)))
    torch.testing.assert_close(delta, expected)
    plain = IDG(net, path).attribute(images, target=1, n_steps=9, method=rule)
    ratio = ours / plain
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))


def test_no_delta_unless_normalized(net, images):
    assert not IDG(net).has_convergence_delta()
    assert IDG(net, normalize=True).has_convergence_delta()
    with pytest.raises(ValueError, match="DecisionGradients"):
        IDG(net).attribute(images, target=1, return_convergence_delta=True)
    with pytest.raises(ValueError, match="DecisionGradients"):
        PathAttribution(net).attribute_each(
            [WeightedSum(), DecisionGradients()], images, target=1, return_convergence_delta=True
        )
    _, diagnostics = IDG(net).attribute(images, target=1, return_diagnostics=True)
    assert bool(diagnostics.completeness_error.isnan().all())
    _, diagnostics = IDG(net, normalize=True).attribute(images, target=1, return_diagnostics=True)
    assert bool((diagnostics.completeness_error < 1e-6).all())


def test_the_guided_path_is_walked_without_a_warning_of_sums(net, images):
    """The attributions sum to something else than F's change, which is no reason to warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        large = IDG(lambda z: 1e4 * net(z), GuidedPath()).attribute(images, target=1, n_steps=20)
    small = IDG(net, GuidedPath()).attribute(images, target=1, n_steps=20)
    torch.testing.assert_close(large, small * 1e8)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("tol", [0.05, 0.01])
def test_adaptive_steps_reach_their_tolerance(net, images, normalize, tol):
    method = IDG(net, normalize=normalize)
    target = torch.tensor([0, 3, 1])
    exact = method.attribute(images, target=target, n_steps=300)
    ours, diagnostics = method.attribute(images, target=target, n_steps="auto", tol=tol, return_diagnostics=True)
    errors = (ours - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
    assert bool(diagnostics.converged.all())
    assert bool((errors < tol).all())
    assert bool((errors <= diagnostics.estimated_error + 1e-6).all())


def test_adaptive_steps_place_points_where_f_changes():
    def function(z):
        return torch.sigmoid(100 * (z.mean(1) - 0.7))

    _, diagnostics = IDG(function).attribute(ones(1, 3), n_steps="auto", tol=0.05, return_diagnostics=True)
    positions = diagnostics.positions[0]
    assert float(((positions > 0.6) & (positions < 0.8)).double().mean()) > 0.6


def test_adaptive_steps_do_not_depend_on_the_scale_of_f(net, images):
    counts = [
        IDG(lambda z, s=scale: s * net(z), normalize=True)
        .attribute(images, target=1, n_steps="auto", tol=0.02, return_diagnostics=True)[1]
        .n_gradients.tolist()
        for scale in (1e-6, 1.0, 1e6)
    ]
    assert counts[0] == counts[1] == counts[2]


def test_squares_of_small_slopes_do_not_underflow():
    x = torch.tensor([[1.0, 2.0]])
    ours = IDG(lambda z: 1e-30 * (z**2).sum(1), normalize=True).attribute(x, n_steps=20)
    expected = IDG(lambda z: (z**2).sum(1), normalize=True).attribute(x, n_steps=20)
    torch.testing.assert_close(ours * 1e30, expected)


def test_flat_function_gives_zeros_and_not_nan():
    x = ones(2, 3)
    for normalize in (False, True):
        ours = IDG(lambda z: (0 * z).sum(1), normalize=normalize).attribute(x)
        assert bool((ours == 0).all())


@pytest.mark.parametrize("rule", CLOSED)
@pytest.mark.parametrize("normalize", [False, True])
def test_subsample_of_a_finer_walk_is_the_coarse_run(net, images, rule, normalize):
    quadrature = DecisionGradients(rule, normalize=normalize)
    (ours,) = PathAttribution(net).attribute_each([Subsampled(quadrature, 4)], images, target=1, n_steps=24)
    coarse = PathAttribution(net, quadrature=quadrature).attribute(images, target=1, n_steps=6)
    torch.testing.assert_close(ours, coarse)


def test_factor_of_the_inputs_cannot_be_left_out(net):
    with pytest.raises(ValueError, match="DecisionGradients has none"):
        PathAttribution(net, quadrature=DecisionGradients(), multiply_by_inputs=False)
    with pytest.raises(ValueError, match="DecisionGradients has none"):
        IDG(net, multiply_by_inputs=False)


def test_layers_and_neurons(net, images):
    """The whole model after its first layer is a model, and a neuron is an output."""
    quadrature = DecisionGradients("riemann_trapezoid")
    ours = LayerPathAttribution(net, net.conv, quadrature=quadrature).attribute(images, target=1, n_steps=8)
    hidden, start = (net.conv(x).detach() for x in (images, torch.zeros_like(images)))
    rest = IDG(lambda h: net.head(torch.nn.functional.softplus(h).flatten(1)).softmax(1))
    torch.testing.assert_close(ours, rest.attribute(hidden, start, 1, n_steps=8, method="riemann_trapezoid"))
    neuron = NeuronPathAttribution(net, net.head, quadrature=quadrature).attribute(images, 2, n_steps=8)
    logits = IDG(lambda z: net.head(torch.nn.functional.softplus(net.conv(z)).flatten(1)))
    torch.testing.assert_close(neuron, logits.attribute(images, target=2, n_steps=8, method="riemann_trapezoid"))


def test_differentiable(net, images):
    for normalize in (False, True):
        method = IDG(lambda z: (z**3).sum((1, 2, 3)), normalize=normalize)

        def total(z, method=method):
            return method.attribute(z, n_steps=3, create_graph=True)

        assert torch.autograd.gradcheck(total, images[:1, :1, :2, :2].clone().requires_grad_())


def test_same_nodes_serve_all_quadratures_in_one_walk(net, images):
    each = PathAttribution(net).attribute_each(
        [DecisionGradients("riemann_trapezoid"), WeightedSum("riemann_trapezoid")], images, target=1, n_steps=8
    )
    torch.testing.assert_close(
        each[0], IDG(net).attribute(images, target=1, n_steps=8, method="riemann_trapezoid"), rtol=0, atol=0
    )
    assert not torch.allclose(each[0], each[1])
    assert not torch.allclose(each[0], IDGI(net).attribute(images, target=1, n_steps=8))
