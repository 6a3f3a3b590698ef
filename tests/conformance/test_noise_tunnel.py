"""NoiseTunnel around every method: what it averages is each noisy example's own attribution."""

import captum.attr
import numpy as np
import pytest
import torch
from captum.attr import Attribution, NoiseTunnel

from captum_ext.attr import IntegratedGradients, LayerIntegratedGradients
from tests.conformance.cases import LAYER_METHODS, METHODS, NEURON_METHODS, TAKES_BASELINES, each, pattern_methods
from tests.helpers import close

STEPS = 4
TYPES = ["smoothgrad", "smoothgrad_sq", "vargrad"]
TARGETS = [0, 1, 2]


class OneByOne(Attribution):
    """The method, given one example at a time."""

    def __init__(self, method):
        super().__init__(method.forward_func)
        self.method = method

    @property
    def multiplies_by_inputs(self):
        return self.method.multiplies_by_inputs

    def has_convergence_delta(self):
        return self.method.has_convergence_delta()

    def attribute(self, inputs, target=None, baselines=None, return_convergence_delta=False, **arguments):
        results = []
        alone = isinstance(inputs, torch.Tensor)
        for k in range(len(inputs if alone else inputs[0])):
            if baselines is not None:
                (drawn,) = baselines
                arguments["baselines"] = drawn[k : k + 1]
            if target is not None:
                arguments["target"] = int(target[k])
            if return_convergence_delta:
                arguments["return_convergence_delta"] = True
            results.append(
                self.method.attribute(
                    inputs[k : k + 1] if alone else tuple(part[k : k + 1] for part in inputs), **arguments
                )
            )
        if return_convergence_delta:
            attributions, deltas = zip(*results, strict=True)
            return self._cat(attributions), torch.cat(deltas)
        return self._cat(results)

    def _cat(self, results):
        if isinstance(results[0], torch.Tensor):
            return torch.cat(results)
        return tuple(torch.cat(parts) for parts in zip(*results, strict=True))

    attribute.__wrapped__ = attribute


def both(method, inputs, **arguments):
    results = []
    for one in (method, OneByOne(method)):
        torch.manual_seed(7)
        np.random.seed(7)  # baselines are drawn with NumPy
        results.append(NoiseTunnel(one).attribute(inputs, **arguments))
    return results


@pytest.mark.parametrize("batch", [None, 1, 3])
@pytest.mark.parametrize("nt_type", TYPES)
@each(METHODS)
def test_every_type_and_batch_size(case, net, images, nt_type, batch):
    arguments = {"nt_type": nt_type, "nt_samples": 4, "nt_samples_batch_size": batch, "stdevs": 0.1}
    got, expected = both(case.make(net), images, target=TARGETS, n_steps=STEPS, **arguments)
    assert got.shape == images.shape
    close(got, expected)
    assert (got != 0).any()


@each(METHODS)
def test_deltas_tuples_and_internal_batches(case, pair_net, pairs):
    (got, delta), (expected, expected_delta) = both(
        case.make(pair_net),
        pairs,
        nt_samples=3,
        stdevs=(0.1, 0.2),
        target=TARGETS,
        n_steps=STEPS,
        internal_batch_size=5,
        return_convergence_delta=True,
    )
    close(got, expected)
    assert delta.shape == (9,)
    close(delta, expected_delta)


@each(TAKES_BASELINES)
def test_baselines_drawn_from_a_distribution(case, net, images):
    baselines = torch.rand(7, 3, 6, 5, dtype=torch.float64)
    arguments = {"baselines": baselines, "draw_baseline_from_distrib": True}
    got, expected = both(case.make(net), images, nt_samples=3, target=TARGETS, n_steps=STEPS, **arguments)
    close(got, expected)
    plain = both(case.make(net), images, nt_samples=3, target=TARGETS, n_steps=STEPS)[0]
    assert (got - plain).abs().max() > 1e-4


@pytest.mark.parametrize("nt_type", TYPES)
@each(LAYER_METHODS)
def test_layers(case, net, images, nt_type):
    got, expected = both(
        case.make(net, net.conv),
        images,
        nt_type=nt_type,
        nt_samples=4,
        nt_samples_batch_size=3,
        target=TARGETS,
        n_steps=STEPS,
    )
    assert got.shape == (3, 5, 6, 5)
    close(got, expected)


def test_layers_with_several_tensors_and_lists_of_layers(net, images):
    class Pair(torch.nn.Module):
        def forward(self, x):
            return torch.tanh(x), x**2

    layer = Pair()
    model = lambda x: torch.mul(*layer(x)).sum((1, 2, 3))  # noqa: E731
    got, expected = both(LayerIntegratedGradients(model, layer), images, nt_samples=3, n_steps=STEPS)
    assert isinstance(got, tuple)
    close(got, expected)
    for cls in (LayerIntegratedGradients, captum.attr.LayerIntegratedGradients):
        with pytest.raises(AssertionError, match="tuple"):
            NoiseTunnel(cls(net, [net.conv])).attribute(images, nt_samples=3, target=1, n_steps=STEPS)


@each(NEURON_METHODS)
def test_neurons(case, net, images):
    got, expected = both(case.make(net, net.conv), images, nt_samples=3, neuron_selector=(1, 2, 3), n_steps=STEPS)
    assert got.shape == images.shape
    close(got, expected)


def test_patterns(net, images):
    for name, method in pattern_methods(net, torch.randn(40, 3, 6, 5, dtype=torch.float64)).items():
        steps = {} if "n_steps" not in method.attribute.__wrapped__.__code__.co_varnames else {"n_steps": STEPS}
        got, expected = both(method, images, nt_samples=3, target=TARGETS, **steps)
        close(got, expected)
        assert (got != 0).any(), name


@pytest.mark.parametrize("nt_type", TYPES)
def test_captums_integrated_gradients_under_the_same_noise(net, images, nt_type):
    pairs = (
        (IntegratedGradients(net), captum.attr.IntegratedGradients(net)),
        (LayerIntegratedGradients(net, net.conv), captum.attr.LayerIntegratedGradients(net, net.conv)),
    )
    for methods in pairs:
        results = []
        for method in methods:
            torch.manual_seed(3)
            results.append(
                NoiseTunnel(method).attribute(
                    images, nt_type, 5, 2, 0.2, target=TARGETS, n_steps=9, return_convergence_delta=True
                )
            )
        close(results[0], results[1], 1e-6)


def test_no_noise_changes_nothing(net, images):
    for case in METHODS:
        method = case.make(net)
        plain = method.attribute(images, target=TARGETS, n_steps=STEPS)
        got = NoiseTunnel(method).attribute(images, nt_samples=2, stdevs=0.0, target=TARGETS, n_steps=STEPS)
        torch.testing.assert_close(got, plain, msg=str(case))
