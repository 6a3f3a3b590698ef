"""captum.metrics on every method's attributions."""

import captum.attr
import pytest
import torch
from captum.attr import LayerAttribution
from captum.metrics import infidelity, sensitivity_max

from captum_ext.attr import IntegratedGradients
from tests.conformance.cases import LAYER_METHODS, METHODS, NEURON_METHODS, TAKES_BASELINES, each, pattern_methods
from tests.helpers import close

STEPS = 4
TARGETS = [0, 1, 2]


def moved(inputs, radius=0.02):
    """Every feature one way, the same at each call: sensitivity_max's perturbation without its chance."""
    return inputs + radius


def noise(inputs, baselines=None):
    part = 0.05 * torch.ones_like(inputs)
    return part, inputs - part


def expected_sensitivity(method, inputs, **arguments):
    before = method.attribute(inputs, **arguments)
    after = method.attribute(moved(inputs), **arguments)
    return (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1)


@each(METHODS)
def test_sensitivity(case, net, images):
    method = case.make(net)
    arguments = {"target": TARGETS, "n_steps": STEPS}
    expected = expected_sensitivity(method, images, **arguments)
    for batch in (None, 3, 4):
        got = sensitivity_max(
            method.attribute,
            images,
            perturb_func=moved,
            n_perturb_samples=3,
            max_examples_per_batch=batch,
            **arguments,
        )
        close(got, expected, 1e-6)


@each(TAKES_BASELINES)
def test_sensitivity_with_baselines_and_chance(case, net, images):
    score = sensitivity_max(
        case.make(net).attribute, (images,), baselines=torch.rand_like(images), target=TARGETS, n_steps=STEPS
    )
    assert score.shape == (3,)
    assert (score > 0).all()


@each(METHODS)
def test_infidelity(case, net, images):
    attributions = case.make(net).attribute(images, target=TARGETS, n_steps=STEPS)
    part, perturbed = noise(images)
    change = (net(images) - net(perturbed))[range(3), TARGETS].detach()
    for normalise in (False, True):
        got = infidelity(
            net,
            noise,
            images,
            attributions,
            target=TARGETS,
            n_perturb_samples=4,
            max_examples_per_batch=5,
            normalize=normalise,
        )
        explained = (attributions * part).flatten(1).sum(1)
        scale = change / explained if normalise else 1
        close(got, (scale * explained - change) ** 2)


def test_infidelity_of_captums_and_our_integrated_gradients(net, images):
    scores = []
    for method in (IntegratedGradients(net), captum.attr.IntegratedGradients(net)):
        attributions = method.attribute((images,), target=TARGETS, n_steps=STEPS)
        scores.append(infidelity(net, noise, images, attributions[0], target=TARGETS))
    close(scores[0], scores[1], 1e-8)


def test_neurons(net, images):
    for case in NEURON_METHODS:
        method = case.make(net, net.conv)
        arguments = {"neuron_selector": (1, 2, 3), "n_steps": STEPS}
        got = sensitivity_max(method.attribute, images, perturb_func=moved, **arguments)
        close(got, expected_sensitivity(method, images, **arguments), 1e-6)


def test_patterns(net, images):
    for method in pattern_methods(net, torch.randn(40, 3, 6, 5, dtype=torch.float64)).values():
        if not isinstance(method, LayerAttribution):
            got = sensitivity_max(method.attribute, images, perturb_func=moved, target=TARGETS)
            close(got, expected_sensitivity(method, images, target=TARGETS), 1e-6)


@each(LAYER_METHODS)
def test_sensitivity_of_layers_takes_a_tuple(case, net, images):
    """sensitivity_max gives a tuple and wants one back; a layer's attribution is a tensor, Captum's own too."""
    arguments = {"target": TARGETS, "n_steps": STEPS}
    method = case.make(net, net.conv)
    for refused in (method, captum.attr.LayerIntegratedGradients(net, net.conv)):
        with pytest.raises(RuntimeError, match="must match the size"):
            sensitivity_max(refused.attribute, images, perturb_func=moved, **arguments)
    got = sensitivity_max(lambda *args, **kw: (method.attribute(*args, **kw),), images, perturb_func=moved, **arguments)
    close(got, expected_sensitivity(method, images, **arguments), 1e-6)
