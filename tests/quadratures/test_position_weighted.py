"""Weights of the position on the path (PWIG), against closed forms and Integrated Gradients."""

import math

import pytest
import torch

from captum_ext.attr import PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import PositionWeighted, Subsampled, WeightedSum

NAMES = ("sqrt(alpha)", "alpha", "1 - alpha", "beta(2, 2)")
# The integral of w(a) * 3 a^2, for F = x^3 at 1.
CUBE = {
    "sqrt(alpha)": 1.5 * 3 / 3.5,
    "alpha": 6 / 4,
    "1 - alpha": 6 * (1 / 3 - 1 / 4),
    "beta(2, 2)": 18 * (1 / 4 - 1 / 5),
}


@pytest.mark.parametrize("path", [StraightPath(), BlurPath(max_sigma=2.0), GuidedPath(max_dist=0.5)], ids=str)
@pytest.mark.parametrize("rule", WeightedSum.methods)
@pytest.mark.parametrize("weight", [lambda alpha: 1, lambda alpha: 0.1])
def test_constant_weight_is_integrated_gradients_bit_for_bit(net, images, path, rule, weight):
    options = {"target": torch.tensor([0, 3, 1]), "n_steps": 7, "method": rule}
    if isinstance(path, GuidedPath):  # has points on the closed grid only
        options["method"] = rule if rule in ("riemann_left", "riemann_right") else "riemann_trapezoid"
    ours = PathAttribution(net, path, PositionWeighted(weight)).attribute(images, **options)
    ig = PathAttribution(net, path, WeightedSum()).attribute(images, **options)
    tolerance = 0 if weight(0.5) == 1 else 1e-12
    torch.testing.assert_close(ours, ig, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [{"n_steps": 60}, {"n_steps": "auto", "tol": 1e-3}], ids=str)
def test_closed_forms(name, steps):
    x = torch.ones(1, 1, dtype=torch.float64)
    ours = PathAttribution(lambda z: (z**3).sum(1), quadrature=PositionWeighted(name)).attribute(x, **steps)
    assert float(ours) == pytest.approx(CUBE[name], rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_equals_the_name(net, images, name):
    functions = {
        "sqrt(alpha)": math.sqrt,
        "alpha": lambda alpha: alpha,
        "1 - alpha": lambda alpha: torch.tensor(1 - alpha, dtype=torch.float64),
        "beta(2, 2)": lambda alpha: alpha * (1 - alpha),
    }
    named = PathAttribution(net, quadrature=PositionWeighted(name)).attribute(images, target=1)
    written = PathAttribution(net, quadrature=PositionWeighted(functions[name])).attribute(images, target=1)
    torch.testing.assert_close(named, written, rtol=1e-4, atol=0)  # the mean is one of samples


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rule", ["gausslegendre", "riemann_middle", "riemann_trapezoid"])
def test_a_linear_function_gets_igs_attributions(name, rule):
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    method = PathAttribution(lambda z: z @ z.new_tensor([3.0, 4.0]), quadrature=PositionWeighted(name))
    close = {"n_steps": 200, "method": rule}, {"rtol": 3e-4, "atol": 0}
    torch.testing.assert_close(method.attribute(x, **close[0]), x * x.new_tensor([3.0, 4.0]), **close[1])
    local = PathAttribution(method.forward_func, quadrature=PositionWeighted(name), multiply_by_inputs=False)
    torch.testing.assert_close(local.attribute(x, **close[0]), x.new_tensor([[3.0, 4.0]]), **close[1])


@pytest.mark.parametrize("cap", [None, 4])
def test_naive_loop(net, images, cap):
    grid = WeightedSum().grid(6)
    weights = [3 * node**2 for node in grid.nodes]
    widths = [upper - lower for lower, upper in zip(grid.lower, grid.upper, strict=True)]
    expected = torch.zeros_like(images)
    for node, weight, width in zip(grid.nodes, weights, widths, strict=True):
        point = (node * images).requires_grad_()
        expected += torch.autograd.grad(net(point)[:, 1].sum(), point)[0] * images * width * weight
    ours = PathAttribution(net, quadrature=PositionWeighted(lambda alpha: alpha**2)).attribute(
        images, target=1, n_steps=6, internal_batch_size=cap
    )
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-9)  # the mean is one of samples


@pytest.mark.parametrize("tol", [0.05, 0.01])
def test_adaptive_steps_reach_their_tolerance(net, images, tol):
    method = PathAttribution(net, quadrature=PositionWeighted("alpha"))
    exact = method.attribute(images, target=1, n_steps=300)
    ours, diagnostics = method.attribute(images, target=1, n_steps="auto", tol=tol, return_diagnostics=True)
    errors = (ours - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
    assert bool((errors < tol).all())
    assert bool((errors <= diagnostics.estimated_error + 1e-6).all())
    assert bool(diagnostics.completeness_error.isnan().all())


def test_subsample_and_shared_walk(net, images):
    quadrature = PositionWeighted("alpha", method="riemann_trapezoid")
    fine, coarse, ig = PathAttribution(net).attribute_each(
        [quadrature, Subsampled(quadrature, 2), WeightedSum("riemann_trapezoid")], images, target=1, n_steps=8
    )
    alone = PathAttribution(net, quadrature=quadrature)
    torch.testing.assert_close(fine, alone.attribute(images, target=1, n_steps=8))
    torch.testing.assert_close(coarse, alone.attribute(images, target=1, n_steps=4))
    torch.testing.assert_close(
        ig, PathAttribution(net).attribute(images, target=1, n_steps=8, method="riemann_trapezoid")
    )


def test_there_is_no_delta(net, images):
    method = PathAttribution(net, quadrature=PositionWeighted("alpha"))
    assert not method.has_convergence_delta()
    with pytest.raises(ValueError, match="PositionWeighted"):
        method.attribute(images, target=1, return_convergence_delta=True)


@pytest.mark.parametrize(
    ("weight", "error", "match"),
    [
        ("beta", ValueError, "expected one of 'sqrt"),
        (2.0, TypeError, "a name or a function"),
        ([1.0, 2.0], TypeError, "WeightedSum"),
        (lambda alpha: None, TypeError, "returns a number"),
        (lambda alpha: -1.0, ValueError, "at least 0"),
        (lambda alpha: math.nan, ValueError, "at least 0"),
        (lambda alpha: math.inf, ValueError, "at least 0"),
    ],
)
def test_mistakes(weight, error, match):
    with pytest.raises(error, match=match):
        PositionWeighted(weight)


def test_a_weight_that_is_0_everywhere_raises():
    with pytest.raises(ValueError, match="above 0"):
        PositionWeighted(lambda alpha: 0.0)
