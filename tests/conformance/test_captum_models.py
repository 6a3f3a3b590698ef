"""Captum's own basic models: every form of target, additional arguments, scripted models, hooks after errors."""

import captum.attr
import pytest
import torch
from captum.testing.helpers.basic_models import (
    BasicEmbeddingModel,
    BasicModel2,
    BasicModel4_MultiArgs,
    BasicModel5_MultiArgs,
    BasicModel6_MultiTensor,
    BasicModel_ConvNet,
    BasicModel_ConvNet_MaxPool1d,
    BasicModel_ConvNet_MaxPool3d,
    BasicModel_MultiLayer,
    BasicModel_MultiLayer_MultiInput,
    BasicModel_MultiLayer_TrueMultiInput,
    BasicModelWithReusedModules,
    Conv1dSeqModel,
)
from captum.testing.helpers.classification_models import SoftmaxModel
from torch import nn

from captum_ext.attr import IDGI, IntegratedGradients, LayerIDGI, LayerIntegratedGradients, NeuronIntegratedGradients
from tests.conformance.cases import CASES, METHODS, each
from tests.helpers import close

STEPS = 5
FLAT = [case for case in METHODS if case.minimum_rank <= 2]  # those that take inputs without spatial dimensions
FLAT_CASES = [case for case in CASES if case.minimum_rank <= 2]


def rows(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def one(argument, k):
    return argument[k : k + 1] if isinstance(argument, torch.Tensor) else argument


# Targets of all forms, as Captum's generated tests have them: (model, inputs, baselines, args, target).
CONFIGURATIONS = {
    "one index": (BasicModel_MultiLayer(), rows(4, 3), None, None, 1),
    "a tensor of one": (BasicModel_MultiLayer(), rows(4, 3), None, None, torch.tensor([0])),
    "a list of indices": (BasicModel_MultiLayer(), rows(4, 3), None, None, [0, 1, 1, 0]),
    "a tensor of indices": (BasicModel_MultiLayer(), rows(4, 3), rows(4, 3), None, torch.tensor([1, 1, 0, 0])),
    "a tuple": (BasicModel_MultiLayer(), rows(4, 3), None, (None, True), (1, 0, 1)),
    "a list of tuples": (
        BasicModel_MultiLayer(),
        rows(4, 3),
        rows(1, 3),
        (None, True),
        [(1, 0, 0), (0, 1, 1), (1, 1, 1), (0, 0, 0)],
    ),
    "an additional tensor": (BasicModel_MultiLayer(), rows(4, 3), 0.5, rows(4, 3), [1, 0, 1, 0]),
    "several inputs": (
        BasicModel_MultiLayer_MultiInput(),
        (10 * rows(6, 3), 5 * rows(6, 3)),
        (0, 1.5),
        (2 * rows(6, 3), 5),
        [0, 1, 1, 0, 0, 1],
    ),
    "no target": (BasicModel4_MultiArgs(), (rows(4, 3), 1 + rows(4, 3) ** 2), (0.0, 1.0), rows(4, 3), None),
    "lists and numbers": (BasicModel5_MultiArgs(), (rows(2, 3), rows(2, 3)), None, ([2, 3], 1), None),
    "tensors of rank 1": (BasicModel2(), (rows(3), rows(3)), None, None, None),
    "numbers out of tensors": (BasicModel6_MultiTensor(), (rows(2, 3), rows(2, 3)), None, None, None),
    "softmax": (SoftmaxModel(40, 20, 10), rows(3, 40), rows(1, 40), None, torch.tensor([5, 5, 2])),
}


def tupled(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@each(FLAT)
def test_each_example_with_its_target_and_arguments(case, configuration):
    model, inputs, baselines, args, target = CONFIGURATIONS[configuration]
    method = case.make(model)
    together, deltas = method.attribute(inputs, baselines, target, args, STEPS, return_convergence_delta=True)
    capped = method.attribute(inputs, baselines, target, args, STEPS, internal_batch_size=3)
    close(capped, together, 1e-5, 1e-5)
    examples = len(tupled(inputs)[0])
    for k in range(examples):
        alone = tuple(one(part, k) for part in tupled(inputs))
        starts = (
            None
            if baselines is None
            else tuple(
                one(part, k) if isinstance(part, torch.Tensor) and len(part) > 1 else part for part in tupled(baselines)
            )
        )
        row_args = None if args is None else tuple(one(arg, k) for arg in tupled(args))
        many = isinstance(target, list | torch.Tensor) and len(target) == examples
        for form in (target[k], target[k : k + 1]) if many else (target,):
            got, delta = method.attribute(alone, starts, form, row_args, STEPS, return_convergence_delta=True)
            close(got, tuple(one(part, k) for part in tupled(together)), 1e-5, 1e-5)
            close(delta, deltas[k : k + 1], 1e-3, 1e-5)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_captums_integrated_gradients(configuration):
    model, inputs, baselines, args, target = CONFIGURATIONS[configuration]
    for rule in ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle"):
        for multiply in (True, False):
            arguments = (inputs, baselines, target, args, 20, rule, None, True)
            expected = captum.attr.IntegratedGradients(model, multiply).attribute(*arguments)
            got = IntegratedGradients(model, multiply).attribute(*arguments)
            close(got[0], expected[0], 1e-4, 1e-5)
            close(got[1], expected[1], 1e-3, 1e-5)


IMAGES = {
    "2 dimensions": (BasicModel_ConvNet(), rows(2, 1, 10, 10)),
    "1 dimension": (BasicModel_ConvNet_MaxPool1d(), rows(2, 1, 10)),
    "3 dimensions": (BasicModel_ConvNet_MaxPool3d(), rows(2, 1, 10, 10, 10)),
}


@pytest.mark.parametrize("dimensions", IMAGES)
@each(METHODS)
def test_convolution_networks_of_all_dimensions(case, dimensions):
    model, x = IMAGES[dimensions]
    method = case.make(model)
    together = method.attribute(x, target=[0, 1], n_steps=STEPS, internal_batch_size=3)
    for k in range(2):
        close(method.attribute(x[k : k + 1], target=k, n_steps=STEPS), together[k : k + 1], 1e-5, 1e-5)


@pytest.mark.parametrize("layer", ["conv1", "relu1", "pool1", "conv2", "pool2", "fc1", "relu3", "fc2", "softmax"])
def test_every_layer_of_a_convolution_network(layer):
    model, x = IMAGES["2 dimensions"]
    module = getattr(model, layer)
    baseline = rows(1, 1, 10, 10) / 5
    for at_input in (False, True):
        arguments = (x, baseline, [0, 3], None, 12, "gausslegendre", None, True, at_input)
        expected, expected_delta = captum.attr.LayerIntegratedGradients(model, module).attribute(*arguments)
        got, delta = LayerIntegratedGradients(model, module).attribute(*arguments)
        close(got, expected, 1e-5, 1e-5)
        close(delta, expected_delta, 1e-4, 1e-5)
        change = (model(x) - model(baseline))[range(2), [0, 3]].detach()
        shared = LayerIDGI(model, module).attribute(x, baseline, [0, 3], attribute_to_layer_input=at_input)
        close(shared.flatten(1).sum(1), change, 1e-4, 1e-5)


def test_embeddings_and_nested_modules():
    model = BasicEmbeddingModel(nested_second_embedding=True)
    inputs = tuple(torch.randint(0, 30, (2, 4)) for _ in range(3))
    for layer in (model.embedding1, model.embedding2, [model.embedding1, model.embedding2], model.linear1):
        expected = captum.attr.LayerIntegratedGradients(model, layer).attribute(inputs, n_steps=9)
        got = LayerIntegratedGradients(model, layer).attribute(inputs, n_steps=9, internal_batch_size=5)
        close(got, expected, 1e-5, 1e-5)
    alone = captum.attr.LayerIntegratedGradients(model, model.embedding1)
    expected = alone.attribute(inputs[0], additional_forward_args=inputs[1:], n_steps=9)
    ours = LayerIntegratedGradients(model, model.embedding1)
    close(ours.attribute(inputs[0], additional_forward_args=inputs[1:], n_steps=9), expected, 1e-5, 1e-5)


def test_layers_of_several_inputs_and_outputs():
    model = BasicModel_MultiLayer_TrueMultiInput()
    inputs = tuple(rows(5, 3) * k for k in range(1, 5))
    for layer in (model.m1, model.m234, [model.m1, model.m234]):
        for at_input in (False, True):
            arguments = {"target": 0, "n_steps": 9, "attribute_to_layer_input": at_input}
            expected = captum.attr.LayerIntegratedGradients(model, layer).attribute(inputs, **arguments)
            close(LayerIntegratedGradients(model, layer).attribute(inputs, **arguments), expected, 1e-5, 1e-5)
    model = BasicModel_MultiLayer(multi_input_module=True, inplace=True)
    x = 10 * rows(4, 3)
    expected = captum.attr.LayerIntegratedGradients(model, model.multi_relu).attribute(x, target=0, n_steps=9)
    close(LayerIntegratedGradients(model, model.multi_relu).attribute(x, target=0, n_steps=9), expected, 1e-5, 1e-5)


def test_a_module_that_is_used_twice():
    model = BasicModelWithReusedModules()
    with pytest.warns(UserWarning, match="ReLU runs 2 times"):
        got = LayerIDGI(model, model.relu).attribute(rows(2, 3), target=1)
    close(got.sum(1), (model(rows(2, 3)) - model(torch.zeros(2, 3)))[:, 1].detach(), 1e-5, 1e-5)
    assert Conv1dSeqModel()(rows(2, 4, 1000)).shape[0] == 2


@pytest.mark.parametrize("neuron", [1, (2,), (slice(0, 3),), lambda h: h[:, 0] * h[:, 1], lambda h: h.sum()])
def test_neurons(neuron):
    model, inputs, baselines, args, _ = CONFIGURATIONS["several inputs"]
    for layer in (model.model.linear1, model.model.relu):
        arguments = (inputs, neuron, baselines, args, 9, "gausslegendre")
        expected = captum.attr.NeuronIntegratedGradients(model, layer).attribute(*arguments)
        close(NeuronIntegratedGradients(model, layer).attribute(*arguments), expected, 1e-3, 1e-5)
        close(NeuronIntegratedGradients(model, layer).attribute(*arguments, 4), expected, 1e-3, 1e-5)


@pytest.mark.parametrize("compiler", ["script", "trace"])
@each(METHODS)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_scripted_and_traced_models(case, compiler):
    for model, inputs in ((BasicModel_MultiLayer(), rows(4, 3)), IMAGES["2 dimensions"]):
        if inputs.dim() < case.minimum_rank:
            continue
        compiled = torch.jit.script(model) if compiler == "script" else torch.jit.trace(model, inputs)
        expected = case.make(model).attribute(inputs, target=1, n_steps=STEPS, return_convergence_delta=True)
        got = case.make(compiled).attribute(inputs, target=1, n_steps=STEPS, return_convergence_delta=True)
        close(got, expected, 1e-4, 1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_layers_next_to_scripted_parts():
    model, x = IMAGES["2 dimensions"]
    mixed = nn.Sequential(model.conv1, torch.jit.script(nn.Sequential(model.relu1, model.pool1, nn.Flatten())))
    plain = nn.Sequential(model.conv1, model.relu1, model.pool1, nn.Flatten())
    close(
        LayerIDGI(mixed, mixed[0]).attribute(x, target=7), LayerIDGI(plain, plain[0]).attribute(x, target=7), 1e-5, 1e-5
    )
    with pytest.raises(TypeError, match="takes hooks, which scripted ones do not"):
        LayerIDGI(mixed, mixed[1])
    with pytest.raises(ValueError, match="did not run in forward_func, or ran where hooks are not called"):
        LayerIDGI(mixed, model.relu1).attribute(x, target=7)


class Broken(nn.Module):
    def forward(self, *args):
        raise RuntimeError("broken layer")


def hooks(model):
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in model.modules()
    )


@each(FLAT_CASES)
def test_no_hooks_are_left_after_errors(case):
    model = BasicModel_MultiLayer()
    x = rows(4, 3)
    arguments = {"target": 1, "n_steps": STEPS}
    if case.at == "inputs":
        method, wrong = case.make(model), {"target": (9999,) * 20}
    elif case.at == "layer":
        method, wrong = case.make(model, model.linear1), {"target": (9999,) * 20}
    else:
        method, wrong = case.make(model, model.linear1), {"neuron_selector": (9999,) * 20}
        arguments = {"neuron_selector": 1, "n_steps": STEPS}
    method.attribute(x, **arguments)
    assert hooks(model) == 0
    with pytest.raises(ValueError, match=next(iter(wrong))):
        method.attribute(x, **{**arguments, **wrong})
    assert hooks(model) == 0
    model.relu = Broken()
    if case.at != "neuron":
        with pytest.raises(RuntimeError, match="broken layer"):
            method.attribute(x, **arguments)
    model.linear1 = Broken()
    with pytest.raises((RuntimeError, ValueError), match=r"broken layer|did not run"):
        method.attribute(x, **arguments)
    assert hooks(model) == 0
    assert hooks(method.forward_func) == 0


def test_captums_errors_are_value_errors_here():
    """A missing target, and one of the wrong dimensions: AssertionError in Captum."""
    for method in (IntegratedGradients, IDGI):
        with pytest.raises(ValueError, match="target: expected one value for each"):
            method(BasicModel_MultiLayer()).attribute(torch.zeros(1, 3))
        with pytest.raises(ValueError, match="target: expected one value for each"):
            method(BasicModel_MultiLayer()).attribute(
                torch.zeros(1, 3), additional_forward_args=(None, True), target=(1, 0)
            )
