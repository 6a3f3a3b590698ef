"""Passes that do not fit in memory, with models that raise above some number of rows."""

import warnings
from functools import partial

import pytest
import torch

from captum_ext._engine import batching
from captum_ext.attr import GuidedIG, IntegratedGradients, LayerIDGI, NeuronIntegratedGradients
from captum_ext.metrics import deletion, insertion
from tests.conformance.cases import METHODS, each
from tests.helpers import small_images, small_network

OUT_OF_MEMORY = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1024 bytes."),
}


class Small:
    """A model for passes of at most some rows."""

    def __init__(self, most, error="torch", model=None):
        self.model = small_network() if model is None else model
        self.most, self.error = most, error
        self.rows, self.failures = [], 0

    def __call__(self, x):
        if len(x) > self.most:
            self.failures += 1
            raise OUT_OF_MEMORY[self.error]
        self.rows.append(len(x))
        return self.model(x)


def attribute(case, model, **arguments):
    x = small_images().double()
    arguments = {"n_steps": 8, "target": [0, 1, 2, 1], "internal_batch_size": 16, **arguments}
    return case.make(model).attribute(x, return_convergence_delta=True, **arguments)


@pytest.mark.parametrize("most", [1, 5])
@each([case for case in METHODS if case.complete][::2])
def test_maps_do_not_depend_on_how_much_fits(case, most):
    expected = attribute(case, small_network().double())
    model = Small(most, model=small_network().double())
    with pytest.warns(
        RuntimeWarning, match=r"split into passes of at most \d+ rows. Pass internal_batch_size="
    ) as seen:
        got = attribute(case, model) if most < 4 or case.looks_ahead else pytest.skip("its passes have 4 rows")
    assert sum("did not fit" in str(warning.message) for warning in seen) == 1
    assert model.failures <= 4  # the smaller size is kept
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_the_named_size_fits(error):
    case, model = METHODS[0], Small(5, error)
    with pytest.warns(RuntimeWarning, match="Pass internal_batch_size=4 to avoid"):
        case.make(model).attribute(small_images(), target=1, n_steps=8, internal_batch_size=16)
    model.failures = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        case.make(model).attribute(small_images(), target=1, n_steps=8, internal_batch_size=4)
    assert model.failures == 0


def test_adaptive_steps_layers_neurons_and_metrics():
    model = small_network().double()
    most = [100]
    model.register_forward_pre_hook(
        lambda module, args: None if len(args[0]) <= most[0] else (_ for _ in ()).throw(OUT_OF_MEMORY["torch"])
    )
    layer = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    x = small_images().double()
    calls = [
        partial(METHODS[0].make(model).attribute, x, target=[0, 1, 2, 1], n_steps="auto"),
        partial(LayerIDGI(model, layer).attribute, x, target=[0, 1, 2, 1], n_steps=8, internal_batch_size=32),
        partial(NeuronIntegratedGradients(model, layer).attribute, x, (0, 0, 0), n_steps=8, internal_batch_size=32),
        lambda: insertion(model, x, x, [0, 1, 2, 1], n_points=8).scores,
        lambda: deletion(model, x, x, 1, n_points=8).scores,
    ]
    for call in calls:
        most[0] = 100
        expected = call()
        most[0] = 4
        with pytest.warns(RuntimeWarning, match="did not fit in memory"):
            got = call()
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@each(METHODS[:1] + [case for case in METHODS if case.chaotic][:1])
def test_one_row_that_does_not_fit(case):
    with pytest.raises(RuntimeError, match=r"A pass with a single row does not fit in memory.*20.00 MiB"):
        case.make(Small(0)).attribute(small_images(), target=1, n_steps=8)


def test_other_errors_are_the_models():
    def fails(x):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match=r"^shapes$"):
        METHODS[0].make(fails).attribute(small_images(), target=1)


@pytest.mark.parametrize(("gigabytes", "photographs"), [(8, 16), (11.9, 16), (16, 32), (24, 32), (40, 64), (80, 64)])
def test_default_rows_by_the_cards_memory(monkeypatch, gigabytes, photographs):
    class Card:
        total_memory = int(gigabytes * 1e9)

    class Photograph:
        device = torch.device("cuda")

        def __getitem__(self, index):
            return torch.empty(3, 224, 224)

        def __len__(self):
            return 1

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    assert batching.default_rows((Photograph(),)) == photographs
    assert batching.default_rows((Photograph(),), gradients=False) == 4 * photographs
    assert batching.default_rows((torch.empty(1, 3, 224, 224),), gradients=False) == 8


@pytest.mark.parametrize("case", ["guided", "one pass at a time"])
def test_an_argument_that_is_sliced_for_memory_is_named(case):
    """It may belong to the whole call, and its rows would then be another argument."""
    weight = torch.rand(4)

    def f(x, weight):
        if len(x) > 1:
            raise OUT_OF_MEMORY["torch"]
        return (torch.tanh(x) * weight[: len(x), None]).sum(1)

    method = GuidedIG(f) if case == "guided" else IntegratedGradients(f)
    with pytest.warns(RuntimeWarning, match=r"sliced with the examples. Write SharedArgument") as seen:
        method.attribute(torch.rand(4, 3), additional_forward_args=weight, n_steps=4, internal_batch_size=4)
    assert sum("SharedArgument" in str(warning.message) for warning in seen) == 1


@pytest.mark.filterwarnings("ignore:A pass of")
def test_inputs_of_one_dimension_are_halved_too():
    def small(x):
        if len(x) > 2:
            raise OUT_OF_MEMORY["torch"]
        return torch.tanh(x)

    x = torch.rand(6)
    expected = IntegratedGradients(lambda x: torch.tanh(x)).attribute(x, n_steps=4)
    torch.testing.assert_close(IntegratedGradients(small).attribute(x, n_steps=4), expected)


def test_a_trial_that_runs_out_of_memory_decides_nothing():
    """cuDNN's message is a RuntimeError like any other; the argument is not taken for one of the whole call."""
    torch.manual_seed(0)
    layer, weight, passes = torch.nn.Linear(3, 3), torch.rand(8, 1), []

    def f(x, weight):
        passes.append(len(x))
        if len(passes) == 3:  # after the layer's activations at the inputs and the baselines
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        return (torch.tanh(layer(x)) * weight).sum(1)

    with pytest.raises(RuntimeError, match="CUDNN_STATUS_ALLOC_FAILED"):
        LayerIDGI(f, layer).attribute(torch.rand(8, 3), additional_forward_args=weight, n_steps=4)
