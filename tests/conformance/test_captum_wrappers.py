"""Captum's own wrappers with our methods in them, and devices."""

import captum.attr
import pytest
import torch

from captum_ext._engine.activations import LayerHooks
from captum_ext.attr import GuidedIG, IntegratedGradients, LayerIDGI, NeuronIntegratedGradients
from tests.conformance.cases import LAYER_METHODS, METHODS, each


def test_layer_integrated_gradients_on_our_walk(net, images):
    theirs = captum.attr.LayerIntegratedGradients(net, net.conv)
    expected = theirs.attribute(images, target=[0, 1, 2], n_steps=9)
    ours = captum.attr.LayerIntegratedGradients(net, net.conv)
    ours.ig = IntegratedGradients(net)
    got = ours.attribute(images, target=[0, 1, 2], n_steps=9, internal_batch_size=4)
    torch.testing.assert_close(got, expected, atol=1e-7, rtol=0)
    assert len(net.conv._forward_hooks) == 0
    ours.ig = GuidedIG(net)
    assert ours.attribute(images, target=1, n_steps=9, method="riemann_left").shape == expected.shape


def test_neuron_gradients_on_our_walk(net, images):
    from captum._utils.gradient import construct_neuron_grad_fn

    expected = captum.attr.NeuronIntegratedGradients(net, net.conv).attribute(images, (1, 2, 3), n_steps=9)
    ours = IntegratedGradients(net)
    ours.gradient_func = construct_neuron_grad_fn(net.conv, (1, 2, 3))
    torch.testing.assert_close(ours.attribute(images, n_steps=9), expected, atol=1e-7, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@each(METHODS)
def test_cuda_gives_what_the_cpu_gives(case, net, images):
    expected = case.make(net).attribute(images, target=[0, 1, 2], n_steps=7)
    got = case.make(net.cuda()).attribute(
        images.cuda(), target=torch.tensor([0, 1, 2]), n_steps=7, internal_batch_size=5
    )
    assert got.device.type == "cuda"
    torch.testing.assert_close(got.cpu(), expected, atol=1e-9, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@each(LAYER_METHODS)
def test_layers_on_cuda(case, net, images):
    expected = case.make(net, net.conv).attribute(images, target=[0, 1, 2], n_steps=7)
    got = case.make(net.cuda(), net.conv).attribute(images.cuda(), target=[0, 1, 2], n_steps=7)
    torch.testing.assert_close(got.cpu(), expected, atol=1e-9, rtol=0)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices on this machine")
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_layers_and_neurons_of_data_parallel_models(net, images, order):
    expected = LayerIDGI(net, net.conv).attribute(images, target=[0, 1, 2], n_steps=7)
    neuron = NeuronIntegratedGradients(net, net.conv).attribute(images, (1, 2, 3), n_steps=7)
    home = f"cuda:{order[0]}"
    parallel = torch.nn.DataParallel(net.to(home), device_ids=order)
    for forward, ids in ((parallel, None), (parallel.forward, order)):
        got = LayerIDGI(forward, net.conv, ids).attribute(images.to(home), target=[0, 1, 2], n_steps=7)
        torch.testing.assert_close(got.cpu(), expected, atol=1e-9, rtol=0)
        got = NeuronIntegratedGradients(forward, net.conv, ids).attribute(images.to(home), (1, 2, 3), n_steps=7)
        torch.testing.assert_close(got.cpu(), neuron, atol=1e-9, rtol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with CUDA, DataParallel wants a device")
def test_data_parallel_models_without_devices(net, images):
    expected = LayerIDGI(net, net.conv).attribute(images, target=[0, 1, 2], n_steps=7)
    got = LayerIDGI(torch.nn.DataParallel(net), net.conv).attribute(images, target=[0, 1, 2], n_steps=7)
    torch.testing.assert_close(got, expected, atol=0, rtol=0)


def test_what_ran_on_several_devices_is_joined_in_the_batchs_order(net):
    """The keys stand for devices that this machine may not have; the tensors are on the CPU."""
    first, second = torch.device("cuda", 0), torch.device("cuda", 1)
    parts = {first: (torch.zeros(2, 3), torch.zeros(2)), second: (torch.ones(1, 3), torch.ones(1))}
    joined = LayerHooks(net, [net.conv], False, [1, 0]).gather(0, parts)
    assert [part.reshape(3, -1)[:, 0].tolist() for part in joined] == [[1, 0, 0], [1, 0, 0]]
    with pytest.raises(ValueError, match="device_ids: expected the order of the devices"):
        LayerHooks(net, [net.conv], False).gather(0, parts)
