"""Code that takes any method: all arguments by position or by name, copies, pickles, pictures, other wrappers."""

import copy
import inspect
import pickle

import captum.attr
import matplotlib as mpl
import pytest
import torch
from captum.attr import DataLoaderAttribution, LayerAttribution, NoiseTunnel
from captum.attr import visualization as viz

from captum_ext.attr import (
    IDGI,
    IntegratedGradients,
    LayerIntegratedGradients,
    NeuronIntegratedGradients,
    PathAttribution,
    PatternAttribution,
    PatternNet,
)
from captum_ext.paths import StraightPath
from captum_ext.quadratures import WeightedSum
from tests.conformance.cases import CASES, LAYER_METHODS, METHODS, NEURON_METHODS, each, pattern_methods
from tests.conftest import PairNet, SmoothNet
from tests.helpers import close

STEPS = 4


CAP = 4


@each(METHODS)
def test_everything_by_position_or_by_name(case, pair_net, pairs):
    method = case.make(pair_net)
    baselines, factor = case.start(pairs), torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)
    rule = method.quadrature.method
    by_position = method.attribute(pairs, baselines, [0, 1, 2], (factor, 2), STEPS, rule, CAP, True)
    by_name = method.attribute(
        inputs=pairs,
        baselines=baselines,
        target=[0, 1, 2],
        additional_forward_args=(factor, 2),
        n_steps=STEPS,
        method=rule,
        internal_batch_size=CAP,
        return_convergence_delta=True,
    )
    close(by_position, by_name, 0)
    assert (by_name[0][0] != 0).any()
    unlogged = method.attribute.__wrapped__(method, pairs, baselines, [0, 1, 2], (factor, 2), STEPS)
    close(unlogged, by_name[0])


@each(LAYER_METHODS)
def test_layers_by_position_or_by_name(case, net, images):
    method = case.make(net, net.conv)
    baselines, rule = case.start((images,)), method.quadrature.method
    by_position = method.attribute((images,), baselines, [0, 1, 2], None, STEPS, rule, CAP, True, True, None)
    by_name = method.attribute(
        inputs=(images,),
        baselines=baselines,
        target=[0, 1, 2],
        additional_forward_args=None,
        n_steps=STEPS,
        method=rule,
        internal_batch_size=CAP,
        return_convergence_delta=True,
        attribute_to_layer_input=True,
        grad_kwargs=None,
    )
    close(by_position, by_name, 0)
    assert by_name[0].shape == images.shape


@each(NEURON_METHODS)
def test_neurons_by_position_or_by_name(case, net, images):
    method = case.make(net, net.conv)
    baselines, rule = case.start((images,)), method.quadrature.method
    by_position = method.attribute((images,), (0, 1, 2), baselines, None, STEPS, rule, CAP, True)
    by_name = method.attribute(
        inputs=(images,),
        neuron_selector=(0, 1, 2),
        baselines=baselines,
        additional_forward_args=None,
        n_steps=STEPS,
        method=rule,
        internal_batch_size=CAP,
        attribute_to_neuron_input=True,
    )
    close(by_position, by_name, 0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (PathAttribution, captum.attr.IntegratedGradients),
        (LayerIntegratedGradients, captum.attr.LayerIntegratedGradients),
        (NeuronIntegratedGradients, captum.attr.NeuronIntegratedGradients),
    ],
)
def test_the_arguments_are_captums_in_captums_order(ours, theirs):
    def names(cls, function):
        return [
            name
            for name, parameter in inspect.signature(getattr(cls, function)).parameters.items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]

    assert names(ours, "attribute") == names(theirs, "attribute")
    if ours is not PathAttribution:
        assert names(ours, "__init__") == names(theirs, "__init__")


def generic(cls, model, inputs, *layer, **settings):
    """What a benchmark does with any class of captum.attr, by what the class says of itself."""
    method = cls(model, *layer)
    wanted = inspect.signature(method.attribute.__wrapped__).parameters
    if method.has_convergence_delta() and "return_convergence_delta" in wanted:
        attributions, delta = method.attribute(inputs, return_convergence_delta=True, **settings)
        assert delta.shape == (len(inputs),)
    else:
        attributions = method.attribute(inputs, **settings)
    return attributions if method.multiplies_by_inputs or layer else attributions * inputs


def test_a_pipeline_for_any_method(net, images):
    expected = generic(captum.attr.IntegratedGradients, net, images, target=1, n_steps=9)
    assert generic(captum.attr.InputXGradient, net, images, target=1).shape == images.shape
    for case in METHODS:
        attributions = generic(case.make, net, images, target=1, n_steps=9)
        assert attributions.shape == images.shape
        if isinstance(case.path, StraightPath) and case.quadrature == WeightedSum():
            close(attributions, expected, 1e-7)
    for case in LAYER_METHODS:
        assert generic(case.make, net, images, net.conv, target=1, n_steps=9).shape == (3, 5, 6, 5)
    for case in NEURON_METHODS:
        assert generic(case.make, net, images, net.head, neuron_selector=1, n_steps=9).shape == images.shape
    for name, method in pattern_methods(net, torch.randn(40, 3, 6, 5, dtype=torch.float64)).items():
        assert not method.has_convergence_delta() or isinstance(method, PatternAttribution | PatternNet), name
        assert method.attribute(images, target=1).shape[0] == 3


def all_methods(net):
    methods = {}
    for case in CASES:
        output = {"neuron_selector": (1, 2, 3)} if case.at == "neuron" else {"target": 1}
        layer = () if case.at == "inputs" else (net.conv,)
        methods[case.name] = (case.make(net, *layer), {**output, "n_steps": STEPS})
    for name, method in pattern_methods(net, torch.randn(40, 3, 6, 5, dtype=torch.float64)).items():
        methods[name] = (method, {"target": 1})
    return methods


def test_copies_and_pickles(net, images):
    for name, (method, arguments) in all_methods(net).items():
        expected = method.attribute(images, **arguments)
        for copied in (copy.copy(method), copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
            close(copied.attribute(images, **arguments), expected, 1e-12)
            assert type(copied) is type(method), name
        independent = copy.deepcopy(method)
        with torch.no_grad():
            independent.forward_func.conv.weight.mul_(2)
        assert (independent.attribute(images, **arguments) - expected).abs().max() > 1e-4, name
        close(method.attribute(images, **arguments), expected, 1e-12)


def test_wrappers_take_every_method_and_its_name(net, images):
    for name, (method, arguments) in all_methods(net).items():
        assert NoiseTunnel(method).attribute(images, nt_samples=2, **arguments) is not None
        words = method.get_name()
        assert words
        assert words == words.strip()
        assert "I D G" not in words, name
        with pytest.raises(NotImplementedError):
            method.attribute_future()


def test_pictures(net, images):
    mpl.use("Agg")
    for name, (method, arguments) in all_methods(net).items():
        attributions = method.attribute(images, **arguments)
        if isinstance(method, LayerAttribution):
            attributions = LayerAttribution.interpolate(attributions, (6, 5))
            assert attributions.shape[2:] == images.shape[2:]
        picture = attributions[0].permute(1, 2, 0).numpy()
        original = images[0].permute(1, 2, 0).numpy()
        figure, axis = viz.visualize_image_attr(picture, original, method="heat_map", sign="all", use_pyplot=False)
        (drawn,) = axis.images
        shown = drawn.get_array()
        assert shown.shape == (6, 5)
        combined = picture.sum(2)
        assert ((shown > 0) == (combined > 0)).all(), name
        mpl.pyplot.close(figure)


def test_dataloader_attribution_takes_feature_ablation_only(net):
    """It compares exact classes; Captum's Integrated Gradients is refused too."""
    layer = LayerIntegratedGradients(net, net.conv)
    for method in (IntegratedGradients(net), layer, captum.attr.IntegratedGradients(net)):
        with pytest.raises(AssertionError, match="does not support"):
            DataLoaderAttribution(method)


def test_models_that_return_a_future_are_refused():
    def model(x):
        future = torch.futures.Future()
        future.set_result(x.sum(1))
        return future

    for method in (IDGI(model), captum.attr.IntegratedGradients(model)):
        with pytest.raises((TypeError, AttributeError)):
            method.attribute(torch.rand(2, 3), target=None)


def test_another_gradient_function_at_a_layer(net, images):
    method = LayerIntegratedGradients(net, net.conv)
    expected = method.attribute(images, target=1, n_steps=STEPS)
    inner = method.gradient_func
    method.gradient_func = lambda **given: tuple(2 * gradient for gradient in inner(**given))
    close(method.attribute(images, target=1, n_steps=STEPS), 2 * expected)


def test_compute_convergence_delta_takes_all_examples_at_once(net, images):
    sizes = []

    def model(x):
        sizes.append(len(x))
        return net(x)

    method = IntegratedGradients(model)
    attributions, delta = method.attribute(
        images, target=1, n_steps=STEPS, internal_batch_size=2, return_convergence_delta=True
    )
    assert max(sizes) == 2
    close(method.compute_convergence_delta(attributions, torch.zeros_like(images), images, target=1), delta)
    assert max(sizes) == 3


def test_shapes_that_the_tests_assume():
    assert SmoothNet.shape == (3, 6, 5)
    assert PairNet.shapes == ((3, 6, 5), (2, 4, 4))
