"""Conductance of layers and neurons: against Captum, against the plain sum, and what it must add up to."""

from itertools import pairwise

import captum.attr
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from captum_ext.attr import LayerConductance, NeuronConductance
from captum_ext.paths import AdversarialPath, BlurPath, GuidedPath
from captum_ext.quadratures import DecisionGradients, ImportantDirection, WeightedSum


class Net(nn.Module):
    """Two hidden layers, the first used in place."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(6, 8).double()
        self.second = nn.Linear(8, 5).double()
        self.third = nn.Linear(5, 3).double()

    def forward(self, x, scale=None):
        hidden = self.first(x)
        hidden = nn.functional.softplus(self.second(torch.tanh_(hidden)))
        return self.third(hidden if scale is None else hidden * scale)


NET = Net()
X = torch.rand(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
BASE = torch.full_like(X[:1], 0.25)
LAYERS = [NET.first, NET.second, NET.third]


def plain(layer, target, rule, n_steps=9):
    """The sum as it is written, one point after another."""
    points = []
    for k in range(n_steps + 1):
        x = (BASE + k / n_steps * (X - BASE)).requires_grad_()
        before = NET.first(x)
        after = NET.second(torch.tanh(before))
        output = NET.third(nn.functional.softplus(after))
        activation = {NET.first: before, NET.second: after, NET.third: output}[layer]
        points.append((activation, torch.autograd.grad(output[:, target].sum(), activation)[0]))
    total = 0
    for (h, g), (h_next, g_next) in pairwise(points):
        gradient = {"riemann_left": g, "riemann_right": g_next, "riemann_trapezoid": (g + g_next) / 2}[rule]
        total = total + gradient * (h_next - h)
    return total.detach()


@pytest.mark.parametrize("rule", ["riemann_left", "riemann_right", "riemann_trapezoid"])
@pytest.mark.parametrize("rows", [None, 1, 2, 3, 7])
def test_the_plain_sum(rule, rows):
    ours = LayerConductance(NET, LAYERS).attribute(X, BASE, target=1, n_steps=9, method=rule, internal_batch_size=rows)
    for layer, part in zip(LAYERS, ours, strict=True):
        torch.testing.assert_close(part, plain(layer, 1, rule), rtol=0, atol=1e-12)


@pytest.mark.parametrize("at_input", [False, True])
def test_against_captum_at_the_same_nodes(at_input):
    for layer in LAYERS:
        theirs = captum.attr.LayerConductance(NET, layer).attribute(
            X, BASE.expand_as(X), 2, n_steps=20, method="riemann_trapezoid", attribute_to_layer_input=at_input
        )
        ours = LayerConductance(NET, layer, quadrature=WeightedSum("riemann_left")).attribute(
            X, BASE, 2, n_steps=20, attribute_to_layer_input=at_input
        )
        torch.testing.assert_close(ours, theirs[0] if isinstance(theirs, tuple) else theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("path", [None, GuidedPath(), BlurPath(max_sigma=2.0, spatial_dims=(1,))])
def test_sums_to_the_change_of_the_output(path):
    method = LayerConductance(NET, LAYERS) if path is None else LayerConductance(NET, LAYERS, path=path)
    _, deltas = method.attribute(X, target=0, n_steps=400, return_convergence_delta=True, internal_batch_size=64)
    assert len(deltas) == 3
    assert all(delta.shape == (3,) and delta.abs().max() < 2e-3 for delta in deltas)
    # At the last layer F is linear, so the sum is exact however few steps there are.
    _, coarse = method.attribute(X, target=0, n_steps=2, return_convergence_delta=True)
    assert coarse[2].abs().max() < 1e-12 < coarse[0].abs().max()


def test_idgi_along_the_layers_curve():
    """At a layer that is the output itself, all of F's change goes to the target's unit."""
    ours, delta = LayerConductance(NET, NET.third, quadrature=ImportantDirection()).attribute(
        X, target=1, n_steps=7, return_convergence_delta=True, internal_batch_size=4
    )
    change = NET(X)[:, 1] - NET(torch.zeros_like(X))[:, 1]
    torch.testing.assert_close(ours, torch.stack([0 * change, change, 0 * change], 1), rtol=0, atol=1e-12)
    assert delta.abs().max() < 1e-12


def test_what_goes_round_a_layer_is_the_delta():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, x):
            return self.layer(x).sum(1) + 3 * x[:, 0]

    net = Skip()
    _, delta = LayerConductance(net, net.layer).attribute(X, n_steps=3, return_convergence_delta=True)
    torch.testing.assert_close(delta, -3 * X[:, 0], rtol=0, atol=1e-12)


def test_many_layers_cost_the_passes_of_one():
    def passes(layer):
        count = 0

        def counted(x):
            nonlocal count
            count += 1
            return NET(x)

        LayerConductance(counted, layer).attribute(X, target=0, n_steps=20, internal_batch_size=9)
        return count

    assert passes(LAYERS) == passes(NET.first) == 7


def test_additional_arguments_targets_and_no_examples():
    scale = torch.rand(3, 1, dtype=torch.float64)
    target = torch.tensor([0, 2, 1])
    method = LayerConductance(NET, NET.second)
    together = method.attribute(X, target=target, additional_forward_args=scale, n_steps=5, internal_batch_size=4)
    alone = [
        method.attribute(X[k : k + 1], target=int(target[k]), additional_forward_args=scale[k : k + 1], n_steps=5)
        for k in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)
    empty, deltas = LayerConductance(NET, LAYERS).attribute(X[:0], target=0, return_convergence_delta=True)
    assert [part.shape for part in empty] == [(0, 8), (0, 5), (0, 3)]
    assert [delta.shape for delta in deltas] == [(0,)] * 3


@pytest.mark.parametrize("selector", [3, (3,), lambda h: h[:, 3]])
@pytest.mark.parametrize("factor", [True, False])
def test_a_neuron_against_captum(selector, factor):
    theirs = captum.attr.NeuronConductance(NET, NET.second, multiply_by_inputs=factor).attribute(
        X, selector, BASE.expand_as(X), 1, n_steps=30, method="gausslegendre"
    )
    ours = NeuronConductance(NET, NET.second, multiply_by_inputs=factor).attribute(
        X, selector, BASE, 1, n_steps=30, internal_batch_size=8
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)


def test_neurons_add_up_to_the_layer():
    layer = LayerConductance(NET, NET.second).attribute(X, BASE, 1, n_steps=2000, internal_batch_size=6000)
    method = NeuronConductance(NET, NET.second)
    parts = [method.attribute(X, k, BASE, 1, n_steps=64) for k in range(5)]
    for k, part in enumerate(parts):
        torch.testing.assert_close(part.sum(1), layer[:, k], rtol=0, atol=1e-6)
    pair = method.attribute(X, (slice(1, 3),), BASE, 1, n_steps=64)
    torch.testing.assert_close(pair, parts[1] + parts[2], rtol=0, atol=1e-12)
    assert not method.has_convergence_delta()


def test_mistakes():
    with pytest.raises(ValueError, match="closed grid"):
        LayerConductance(NET, NET.first).attribute(X, target=0, method="gausslegendre")
    with pytest.raises(ValueError, match="Give a number"):
        LayerConductance(NET, NET.first).attribute(X, target=0, n_steps="auto")
    with pytest.raises(ValueError, match="Use WeightedSum"):
        NeuronConductance(NET, NET.first, quadrature=ImportantDirection())
    with pytest.raises(ValueError, match="did not run"):
        LayerConductance(NET, nn.Linear(2, 2)).attribute(X, target=0)
    with pytest.raises(ValueError, match="picks no neuron"):
        NeuronConductance(NET, NET.first).attribute(X, 99, target=0)
    shared = nn.Tanh()
    with pytest.raises(ValueError, match="runs several times"):
        LayerConductance(nn.Sequential(nn.Linear(6, 6).double(), shared, shared), shared).attribute(X, target=0)


def test_layers_under_activation_checkpointing():
    """The backward pass runs the layers again, for what it needs; the activations are those of the forward pass."""

    def checkpointed(x):
        return checkpoint(NET, x, use_reentrant=False)

    plain_net = LayerConductance(NET, LAYERS).attribute(X, target=0, n_steps=5)
    ours = LayerConductance(checkpointed, LAYERS).attribute(X, target=0, n_steps=5)
    torch.testing.assert_close(ours, plain_net, rtol=0, atol=0)


def test_nothing_is_left_behind():
    x = X.clone().requires_grad_()
    LayerConductance(NET, LAYERS).attribute(x, target=0, n_steps=3)
    NeuronConductance(NET, NET.first).attribute(x, 0, target=0, n_steps=3)
    assert x.grad is None
    assert all(parameter.grad is None for parameter in NET.parameters())
    assert not any(layer._forward_hooks for layer in NET.modules())


@pytest.mark.parametrize("quadrature", [None, WeightedSum("riemann_left"), ImportantDirection()])
def test_searches_from_the_inputs_and_examples_that_finish_at_different_times(quadrature):
    """At the output's own layer, F is linear: the sum is F(input) - F(end found), with its sign, for any step."""
    target = NET(X).argmax(1)
    method = LayerConductance(
        NET, [NET.second, NET.third], path=AdversarialPath(None, 0.02, "l2"), quadrature=quadrature
    )
    (_, at_output), (early, late) = method.attribute(X, target=target, n_steps=60, return_convergence_delta=True)
    assert late.abs().max() < 1e-12
    assert early.abs().max() < 2e-2
    assert (at_output.sum(1) > 0).all()  # the search lowers the score of the class
    alone = [
        LayerConductance(NET, NET.third, path=method.path, quadrature=quadrature).attribute(
            X[k : k + 1], target=int(target[k]), n_steps=60
        )
        for k in range(3)
    ]
    torch.testing.assert_close(at_output, torch.cat(alone), rtol=0, atol=1e-12)


def test_moves_that_are_no_path_are_refused():
    with pytest.raises(ValueError, match=r"protocol='code'.*Use another path"):
        LayerConductance(NET, NET.first, path=AdversarialPath(protocol="code")).attribute(X, target=0)


@pytest.mark.filterwarnings("ignore:A pass of")
@pytest.mark.parametrize("most", [1, 2, 4, 7])
def test_passes_that_run_out_of_memory_change_nothing(most):
    def small(x):
        if len(x) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 B")
        return NET(x)

    expected = LayerConductance(NET, LAYERS).attribute(X, target=1, n_steps=9)
    torch.testing.assert_close(LayerConductance(small, LAYERS).attribute(X, target=1, n_steps=9), expected)


def test_a_neuron_that_no_input_reaches():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2).double()

        def forward(self, x):
            return self.layer(torch.ones(len(x), 2, dtype=x.dtype)) + x.sum(1, keepdim=True)

    net = Constant()
    with pytest.raises(ValueError, match=r"has no gradient|does not depend"):
        NeuronConductance(net, net.layer).attribute(X, 0, target=0)


@pytest.mark.parametrize("quadrature", [ImportantDirection(), DecisionGradients("riemann_trapezoid"), None])
def test_layers_of_one_walk_are_those_of_separate_walks(quadrature):
    """IDGI compares the features of one layer, however many layers are explained together."""
    together = LayerConductance(NET, LAYERS, quadrature=quadrature).attribute(X, target=1, n_steps=8)
    for layer, part in zip(LAYERS, together, strict=True):
        alone = LayerConductance(NET, layer, quadrature=quadrature).attribute(X, target=1, n_steps=8)
        torch.testing.assert_close(part, alone, rtol=0, atol=1e-12)
