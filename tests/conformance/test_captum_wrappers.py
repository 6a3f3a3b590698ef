"""Captum's own wrappers with our methods in them, and devices."""

import captum.attr
import pytest
import torch

from captum_ext.attr import GuidedIG, IntegratedGradients
from tests.conformance.methods import METHODS


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
@pytest.mark.parametrize("name", METHODS)
def test_cuda_gives_what_the_cpu_gives(name, net, images):
    expected = METHODS[name](net).attribute(images, target=[0, 1, 2], n_steps=7)
    got = METHODS[name](net.cuda()).attribute(
        images.cuda(), target=torch.tensor([0, 1, 2]), n_steps=7, internal_batch_size=5
    )
    assert got.device.type == "cuda"
    torch.testing.assert_close(got.cpu(), expected, atol=1e-9, rtol=0)
