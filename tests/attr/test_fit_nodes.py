"""Nodes that are fitted once and used for all examples."""

import numpy as np
import pytest
import torch

from captum_ext.attr import IDGI, IntegratedGradients, LayerIntegratedGradients, PathAttribution, fit_nodes
from captum_ext.paths import BlurPath, GuidedPath
from captum_ext.quadratures import DecisionGradients, WeightedSum

ONE = torch.ones(1, 1, dtype=torch.float64)


def step(k):
    return lambda z: torch.sigmoid(k * (z.sum(1) - 0.7))


def error(function, quadrature, n):
    true = float(function(ONE) - function(0 * ONE))
    return abs(float(PathAttribution(function, quadrature=quadrature).attribute(ONE, n_steps=n)) - true)


@pytest.mark.parametrize("rule", ["riemann_middle", "riemann_trapezoid", "gausslegendre"])
@pytest.mark.parametrize("k", [30, 50, 100])
def test_a_fifth_of_the_error_of_even_nodes(k, rule):
    nodes = fit_nodes(IntegratedGradients(step(k)), ONE, 8)
    assert error(step(k), WeightedSum(nodes=nodes), 8) < error(step(k), WeightedSum(rule), 8) / 5


def test_cells_have_equal_integrals_of_the_density(net, images):
    grid = fit_nodes(IntegratedGradients(net), images, 12, n_steps=40, target=1)
    middles = [(k + 0.5) / 40 for k in range(40)]
    changes = []
    for x in images:
        points = torch.stack([alpha * x for alpha in middles]).requires_grad_()
        gradients = torch.autograd.grad(net(points)[:, 1].sum(), points)[0] * x
        change = gradients.diff(dim=0).flatten(1).norm(dim=1)
        changes.append(change / change.sum())
    density = torch.stack(changes).square().mean(0).sqrt().sqrt().numpy()
    density = density + 0.2 * density.mean()
    edges = np.r_[0, (np.arange(1, 39) + 0.5) / 40, 1]
    integral = np.r_[0, np.cumsum(density * np.diff(edges))]
    at = np.interp([*grid.lower, 1], edges, integral)
    np.testing.assert_allclose(np.diff(at), integral[-1] / 12, rtol=1e-6)
    np.testing.assert_allclose(grid.nodes, (np.array(grid.lower) + grid.upper) / 2)
    assert grid.lower[0] == 0
    assert grid.upper[-1] == 1


def test_chunks_and_scale_have_no_influence(net, images):
    nodes = fit_nodes(IntegratedGradients(net), images, 6, target=1).nodes
    np.testing.assert_allclose(
        fit_nodes(IntegratedGradients(net), images, 6, target=1, internal_batch_size=2).nodes, nodes
    )
    scaled = fit_nodes(IntegratedGradients(lambda z: 1e-8 * net(z)), images, 6, target=1).nodes
    np.testing.assert_allclose(scaled, nodes, rtol=1e-6)


def test_even_nodes_for_a_linear_function():
    grid = fit_nodes(IntegratedGradients(lambda z: z.sum(1)), ONE, 4)
    np.testing.assert_allclose(grid.nodes, [0.125, 0.375, 0.625, 0.875])


def test_other_quadratures_paths_and_layers(net, images):
    nodes = fit_nodes(IDGI(net, BlurPath(max_sigma=2.0)), images, 5, target=1)
    ours = PathAttribution(net, BlurPath(max_sigma=2.0), DecisionGradients(nodes=nodes)).attribute(images, target=1)
    assert ours.shape == images.shape
    layer = fit_nodes(LayerIntegratedGradients(net, net.conv), images, 5, target=1)
    assert len(layer) == 5
    assert layer != nodes


@pytest.mark.parametrize(
    ("arguments", "exception", "match"),
    [
        ((IntegratedGradients, ONE, 4), TypeError, "expected one such as"),
        ((step(3), ONE, 4), TypeError, "expected one such as"),
        ((IntegratedGradients(step(3)), ONE, 0), ValueError, "n: expected a positive"),
        ((IntegratedGradients(step(3)), ONE, 2.5), TypeError, "n: expected a positive"),
        ((IntegratedGradients(step(3)), ONE[:0], 4), ValueError, "at least one example"),
        ((IntegratedGradients(lambda z: (z - 0.995).sqrt().sum(1)), ONE, 4), ValueError, "not finite"),
        ((PathAttribution(step(3), GuidedPath()), ONE, 4), ValueError, "between the points of GuidedPath"),
    ],
)
@pytest.mark.filterwarnings("ignore:The attributions of examples")
def test_mistakes(arguments, exception, match):
    with pytest.raises(exception, match=match):
        fit_nodes(*arguments)


def test_one_gradient_has_no_change():
    with pytest.raises(ValueError, match="2 gradients at least"):
        fit_nodes(IntegratedGradients(step(3)), ONE, 4, n_steps=1)
