"""Weighted sums on nodes and weights of the user's own."""

import math

import numpy as np
import pytest
import torch

from captum_ext.attr import IDGI, PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import (
    DecisionGradients,
    ImportantDirection,
    PositionWeighted,
    WeightedSum,
    closed_grid,
    open_grid,
)

NODES = [0.05, 0.2, 0.5, 0.65, 0.9]


def naive(path, function, x, start, nodes, edges):
    """Each gradient times the path's move on the cell of its node."""
    total = torch.zeros_like(x)
    for node, lower, upper in zip(nodes, edges, edges[1:], strict=False):
        point = path.point((x,), (start,), node)[0].requires_grad_()
        (gradient,) = torch.autograd.grad(function(point).sum(), point)
        total += gradient * (path.point((x,), (start,), upper)[0] - path.point((x,), (start,), lower)[0])
    return total


@pytest.mark.parametrize("path", [StraightPath(), BlurPath(max_sigma=2.0)], ids=str)
@pytest.mark.parametrize("cap", [None, 4])
def test_default_cells_meet_half_way(net, images, path, cap):
    start = path.start((images,), None)[0]
    edges = [0, 0.125, 0.35, 0.575, 0.775, 1]
    expected = naive(path, lambda z: net(z)[:, 1], images, start, NODES, edges)
    method = PathAttribution(net, path, WeightedSum(nodes=NODES))
    torch.testing.assert_close(method.attribute(images, target=1, internal_batch_size=cap), expected)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, lambda n: torch.tensor(n, dtype=torch.float64)])
def test_sequences_and_tensors_serve_as_nodes_and_weights(kind):
    nodes, weights = [0.0, 0.5, 1.0], [0.125, 0.75, 0.125]
    quadrature = WeightedSum(nodes=kind(nodes), weights=kind(weights))
    assert quadrature == WeightedSum(nodes=nodes, weights=weights)
    assert quadrature.grid(50) == open_grid(nodes, weights)
    assert WeightedSum(nodes=quadrature.grid(50)) == quadrature


def test_weights_are_those_of_the_sum(net, images):
    quadrature = WeightedSum(nodes=[0.0, 0.5, 1.0], weights=[1 / 6, 4 / 6, 1 / 6])
    gradients = []
    for alpha in (0.0, 0.5, 1.0):
        point = (alpha * images).requires_grad_()
        gradients.append(torch.autograd.grad(net(point)[:, 2].sum(), point)[0])
    expected = images * (gradients[0] + 4 * gradients[1] + gradients[2]) / 6
    ours, delta = PathAttribution(net, quadrature=quadrature).attribute(images, target=2, return_convergence_delta=True)
    torch.testing.assert_close(ours, expected)
    change = (net(images) - net(torch.zeros_like(images)))[:, 2].detach()
    torch.testing.assert_close(delta, expected.sum((1, 2, 3)) - change)


def test_several_inputs(pair_net):
    pair = (torch.rand(2, 3, 6, 5, dtype=torch.float64), torch.rand(2, 2, 4, 4, dtype=torch.float64))
    own = WeightedSum(nodes=[(k + 0.5) / 6 for k in range(6)])
    ours = PathAttribution(pair_net, quadrature=own).attribute(pair, target=1)
    middle = PathAttribution(pair_net).attribute(pair, target=1, n_steps=6, method="riemann_middle")
    for part, expected in zip(ours, middle, strict=True):
        torch.testing.assert_close(part, expected)


def test_quadratures_with_equal_nodes_share_a_walk(net, images):
    rows = []
    hook = net.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    own = WeightedSum(nodes=[k / 8 for k in range(9)])  # the trapezoid rule
    results = PathAttribution(net).attribute_each(
        [own, WeightedSum("riemann_trapezoid"), ImportantDirection(), DecisionGradients(nodes=own.nodes)],
        images,
        target=1,
        n_steps=8,
    )
    assert sum(rows) == 9 * len(images)
    hook.remove()
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[2], IDGI(net).attribute(images, target=1, n_steps=8))
    alone = PathAttribution(net, quadrature=DecisionGradients("riemann_trapezoid"))
    torch.testing.assert_close(results[3], alone.attribute(images, target=1, n_steps=8))
    with pytest.raises(ValueError, match=r"WeightedSum\(nodes=...\) \(2 nodes\)"):
        PathAttribution(net).attribute_each([own, WeightedSum(nodes=[0.1, 0.2])], images, target=1)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"weights": [1.0]}, ValueError, "expected nodes too"),
        ({"nodes": [0.5], "method": "riemann_left"}, ValueError, "take the place of a rule"),
        ({"nodes": []}, ValueError, "at least one"),
        ({"nodes": [0.2, 0.1]}, ValueError, "increasing positions"),
        ({"nodes": [0.2, 0.2]}, ValueError, "increasing positions"),
        ({"nodes": [-0.1, 0.2]}, ValueError, "increasing positions"),
        ({"nodes": [0.5, 1.5]}, ValueError, "increasing positions"),
        ({"nodes": [math.nan, 0.5]}, ValueError, "increasing positions"),
        ({"nodes": [0.1, 0.2], "weights": [1.0]}, ValueError, "one per node"),
        ({"nodes": [0.1, 0.2], "weights": [0.5, 0.4]}, ValueError, "sum to 1"),
        ({"nodes": [0.1, 0.2], "weights": [1.5, -0.5]}, ValueError, "positive"),
        ({"nodes": [0.1, 0.2], "weights": [math.nan, 0.5]}, ValueError, "sum to 1"),
        ({"nodes": 0.5}, TypeError, "a sequence or a tensor"),
        ({"nodes": "0.5"}, TypeError, "a sequence or a tensor"),
        ({"nodes": [True, False]}, TypeError, "a sequence or a tensor"),
        ({"nodes": torch.rand(2, 2)}, TypeError, "a sequence or a tensor"),
        ({"nodes": closed_grid(4)}, ValueError, "an open grid"),
        ({"nodes": open_grid([0.5], [1.0]), "weights": [1.0]}, ValueError, "has its weights"),
    ],
)
@pytest.mark.parametrize("kind", [WeightedSum, DecisionGradients, lambda **given: PositionWeighted("alpha", **given)])
def test_mistakes(kind, arguments, error, match):
    with pytest.raises(error, match=match):
        kind(**arguments)


def test_what_own_nodes_cannot_be_combined_with(net, images):
    method = PathAttribution(net, quadrature=WeightedSum(nodes=NODES))
    with pytest.raises(ValueError, match="was given nodes, got 'riemann_left'"):
        method.attribute(images, target=1, method="riemann_left")
    with pytest.raises(ValueError, match="'auto' chooses the nodes"):
        method.attribute(images, target=1, n_steps="auto")
    with pytest.raises(ValueError, match="between the points of GuidedPath"):
        PathAttribution(net, GuidedPath(), WeightedSum(nodes=NODES)).attribute(images, target=1)


def test_repr_shows_what_is_set():
    assert repr(WeightedSum()) == "WeightedSum(method='gausslegendre')"
    assert repr(WeightedSum(nodes=NODES)) == "WeightedSum(nodes=<5 from 0.05 to 0.9>)"
    assert repr(DecisionGradients(normalize=True)) == "DecisionGradients(method='gausslegendre', normalize=True)"
    assert repr(PositionWeighted("alpha")) == "PositionWeighted(method='gausslegendre', weight='alpha')"
    text = repr(PathAttribution(torch.sum, quadrature=WeightedSum(nodes=NODES)))
    assert text.endswith("quadrature=WeightedSum(nodes=<5 from 0.05 to 0.9>))")
