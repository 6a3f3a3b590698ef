"""Attributions that can be differentiated, with respect to the inputs and to the model's parameters."""

import copy

import pytest
import torch

from captum_ext.attr import (
    IDGI,
    PGIG,
    BlurIG,
    ExpectedGradients,
    GuidedIG,
    IntegratedGradients,
    LayerIDGI,
    NeuronIntegratedGradients,
    PathAttribution,
)
from captum_ext.patterns import fit_patterns
from captum_ext.quadratures import ImportantDirection, WeightedSum


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(12, 6), torch.nn.Softplus(), torch.nn.Linear(6, 2), torch.nn.Softmax(1)
    ).double()


METHODS = {
    "straight": IntegratedGradients,
    "blur": lambda f: BlurIG(f, max_sigma=1.0),
    "IDGI": IDGI,
    "IDGI on blur": lambda f: IDGI(f, BlurIG(f, max_sigma=1.0).path),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("cap", [None, 3])
def test_gradients_with_respect_to_inputs(name, cap):
    method = METHODS[name](model())
    x = torch.rand(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)

    def attribute(x):
        return method.attribute(x, target=1, n_steps=4, create_graph=True, internal_batch_size=cap)

    assert torch.autograd.gradcheck(attribute, (x,), atol=1e-6)
    torch.testing.assert_close(attribute(x).detach(), method.attribute(x, target=1, n_steps=4), rtol=0, atol=1e-12)


def test_expected_gradients():
    net = model()
    method = ExpectedGradients(net, torch.rand(5, 1, 3, 4, dtype=torch.float64))
    x = torch.rand(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: method.attribute(x, target=1, n_samples=6, generator=0, create_graph=True), (x,), atol=1e-6
    )


@pytest.mark.parametrize("name", METHODS)
def test_gradients_with_respect_to_parameters(name):
    net = model()
    x = torch.rand(2, 1, 3, 4, dtype=torch.float64)
    weight = net[1].weight

    def loss(values):
        with torch.no_grad():
            weight.copy_(values)
        return METHODS[name](net).attribute(x, target=0, n_steps=4, create_graph=True).square().sum()

    values = weight.detach().clone()
    (ours,) = torch.autograd.grad(loss(values), weight)
    step = torch.zeros_like(values)
    step[2, 3] = 1e-5
    expected = (loss(values + step) - loss(values - step)) / 2e-5
    torch.testing.assert_close(ours[2, 3], expected.detach(), rtol=1e-5, atol=1e-10)


def test_one_walk_and_nothing_by_default():
    net = model()
    x = torch.rand(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    both = PathAttribution(net).attribute_each(
        [WeightedSum("riemann_trapezoid"), ImportantDirection()], x, target=1, n_steps=4, create_graph=True
    )
    assert all(maps.requires_grad for maps in both)
    assert not IntegratedGradients(net).attribute(x, target=1).requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())


def test_where_there_is_no_graph():
    net = model()
    x = torch.rand(2, 1, 3, 4, dtype=torch.float64)
    with pytest.raises(ValueError, match="create_graph: attributions can be differentiated on paths that are known"):
        GuidedIG(net).attribute(x, target=0, create_graph=True)
    plain = torch.nn.Sequential(torch.nn.Linear(4, 2))
    with pytest.raises(ValueError, match="create_graph"):
        PGIG(plain, fit_patterns(plain, [torch.rand(9, 4)])).attribute(torch.rand(2, 4), target=0, create_graph=True)


@pytest.mark.filterwarnings("error")
def test_adaptive_steps():
    """At the points that were found, attributions are smooth in the inputs."""
    net = model()
    x = torch.rand(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)

    def total(x):
        maps = IntegratedGradients(net).attribute(x, target=0, n_steps="auto", tol=1e-3, create_graph=True)
        return maps.square().sum()

    (ours,) = torch.autograd.grad(total(x), x)
    step = torch.zeros_like(x)
    step[0, 0, 1, 2] = 1e-6
    expected = (total(x + step) - total(x - step)) / 2e-6
    torch.testing.assert_close(ours[0, 0, 1, 2], expected.detach(), rtol=1e-4, atol=1e-10)


class Skip(torch.nn.Module):
    """A part of the inputs' effect goes round the layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lower = torch.nn.Linear(12, 6).double()
        self.layer = torch.nn.Softplus()
        self.upper = torch.nn.Linear(18, 2).double()

    def forward(self, x):
        return self.upper(torch.cat([self.layer(self.lower(x)), x.sigmoid()], 1)).softmax(1)


def at_layer(net, x, cap=None):
    return LayerIDGI(net, net.layer).attribute(x, target=1, n_steps=4, create_graph=True, internal_batch_size=cap)


def at_neuron(net, x, cap=None):
    method = NeuronIntegratedGradients(net, net.layer)
    return method.attribute(x, 3, n_steps=4, create_graph=True, internal_batch_size=cap)


@pytest.mark.parametrize("cap", [None, 3])
@pytest.mark.parametrize("attribute", [at_layer, at_neuron])
def test_layers_and_neurons_with_respect_to_inputs(attribute, cap):
    net = Skip()
    x = torch.rand(2, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: attribute(net, x, cap), (x,), atol=1e-6)


@pytest.mark.parametrize("attribute", [at_layer, at_neuron])
def test_layers_and_neurons_with_respect_to_parameters_below(attribute):
    net = Skip()
    x = torch.rand(2, 12, dtype=torch.float64)
    weight = net.lower.weight

    def loss(values):
        with torch.no_grad():
            weight.copy_(values)
        return attribute(net, x).square().sum()

    values = weight.detach().clone()
    (ours,) = torch.autograd.grad(loss(values), weight)
    step = torch.zeros_like(values)
    step[2, 3] = 1e-5
    expected = (loss(values + step) - loss(values - step)) / 2e-5
    torch.testing.assert_close(ours[2, 3], expected.detach(), rtol=1e-5, atol=1e-10)


def test_layers_are_detached_by_default():
    net = Skip()
    x = torch.rand(2, 12, dtype=torch.float64, requires_grad=True)
    assert not LayerIDGI(net, net.layer).attribute(x, target=1).requires_grad
    assert not NeuronIntegratedGradients(net, net.layer).attribute(x, 3).requires_grad


@pytest.mark.parametrize("loss_first", [True, False])
def test_batch_normalization_in_training_mode(loss_first):
    """The buffers are restored, and the graphs of the passes that changed them can still be differentiated."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Softplus(), torch.nn.Linear(8, 2)
    )
    plain = copy.deepcopy(net)
    x = torch.rand(6, 4)

    def middle(x):  # Integrated Gradients with one step: the gradient halfway, in one pass
        half = (x / 2).requires_grad_()
        (gradient,) = torch.autograd.grad(plain(half)[:, 1].sum(), half, create_graph=True)
        return x * gradient

    method = IntegratedGradients(net)
    loss = net(x).square().mean() if loss_first else None
    with pytest.warns(UserWarning, match="training mode"):
        maps = method.attribute(x, target=1, n_steps=1, method="riemann_middle", create_graph=True)
    loss = net(x).square().mean() if loss is None else loss
    (loss + maps.square().sum()).backward()
    (plain(x).square().mean() + middle(x).square().sum()).backward()
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)
    once = torch.nn.BatchNorm1d(8)
    once(plain[0](x))  # the buffers have seen the loss's pass only
    torch.testing.assert_close(net[1].running_mean, once.running_mean)
    assert net[1].num_batches_tracked == 1
