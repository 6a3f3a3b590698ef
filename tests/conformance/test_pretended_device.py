"""Several devices on a machine with one: outputs elsewhere, no float64, models that are not where the inputs are."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from captum_ext.attr import (
    IDGI,
    ExpectedGradients,
    IntegratedGradients,
    LayerIDGI,
    NeuronIntegratedGradients,
    PatternAttribution,
    PatternNet,
)
from captum_ext.metrics import (
    class_sensitivity,
    completeness,
    degradation,
    deletion,
    insertion,
    rank_correlation,
    stability_error,
)
from captum_ext.metrics.information import information_curve
from captum_ext.patterns import PatternFitter, fit_patterns, signal_quality
from tests.conformance.cases import METHODS, each
from tests.elsewhere import DEVICE, Elsewhere, Move, moved
from tests.helpers import small_images, small_network

pytestmark = pytest.mark.usefixtures("without_float64")

TARGETS = {"none": None, "one": 1, "list": [0, 1, 2, 1], "tensor": torch.tensor([0, 1, 2, 1])}
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def assert_same(got, expected):
    for one, other in zip(got, expected, strict=True):
        assert one.device == other.device
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_the_pretended_device_is_as_strict_as_a_real_one():
    there = Elsewhere(torch.ones(2))
    assert there.device == DEVICE
    assert (there * 2 + 1).cpu().tolist() == [3.0, 3.0]
    assert torch.ones(2).to(DEVICE).sum().item() == 2.0
    with pytest.raises(RuntimeError, match="same device"):
        there + torch.ones(2)
    with pytest.raises(TypeError, match="float64"):
        there.double()
    with pytest.raises(TypeError, match="float64"):
        torch.ones(2, dtype=torch.float64).to(DEVICE)


@every_target
@each(METHODS)
def test_outputs_on_another_device(case, target):
    def attribute(function):
        return case.make(function).attribute(
            small_images(), target=target, n_steps=4, internal_batch_size=6, return_convergence_delta=True
        )

    plain = small_network(target)
    got = attribute(lambda x: Move.apply(plain(x)))
    assert all(part.device.type == "cpu" for part in got)
    assert_same(got, attribute(lambda x: plain(x)))


@every_target
def test_other_results_of_outputs_on_another_device(target):
    plain = small_network(target)
    patterns = fit_patterns(plain, [small_images()])

    def results(function):
        x = small_images()
        for method in (IDGI, IntegratedGradients):
            attributions, diagnostics = method(function).attribute(x, target=target, n_steps=4, return_diagnostics=True)
            yield from (attributions, *diagnostics.values)
        yield from ExpectedGradients(function, x.flip(0)).attribute(
            x, target=target, n_samples=3, return_convergence_delta=True, generator=torch.Generator().manual_seed(0)
        )
        for method in (PatternNet, PatternAttribution):
            yield method(function, patterns, model=plain).attribute(x, target=target)
        yield completeness(function, x, x, target).delta
        yield insertion(function, x, x, target, n_points=3).scores
        yield deletion(function, x, x, target, n_points=3, normalize=True).area
        yield degradation(function, x, x, target, patch_size=2).scores

    assert_same(results(lambda x: Move.apply(plain(x))), results(lambda x: plain(x)))


def test_float64_outputs_of_the_cpu_for_inputs_on_a_device_without():
    there, double = small_network().double(), lambda x: there(Move.apply(x).double())
    expected, delta = IDGI(lambda x: there(x.double())).attribute(
        small_images(), target=1, n_steps=4, return_convergence_delta=True
    )
    got, other = IDGI(double).attribute(Elsewhere(small_images()), target=1, n_steps=4, return_convergence_delta=True)
    assert got.device == other.device == DEVICE
    torch.testing.assert_close(got.cpu(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(other.cpu(), delta.float(), rtol=0, atol=1e-6)


@every_target
@each([case for case in METHODS if not case.chaotic])
def test_all_on_a_device_without_float64(case, target):
    plain = small_network(target)
    there = moved(copy.deepcopy(plain))
    if isinstance(target, torch.Tensor):
        target = target.to(DEVICE)
    starts = (small_images().flip(0),) if case.takes_baselines else ()
    got = case.make(there).attribute(
        Elsewhere(small_images()), *map(Elsewhere, starts), target=target, n_steps=4, return_convergence_delta=True
    )
    assert all(part.device == DEVICE for part in got)
    target = target.cpu() if isinstance(target, torch.Tensor) else target
    expected = case.make(plain).attribute(
        small_images(), *starts, target=target, n_steps=4, return_convergence_delta=True
    )
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("maps_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("where", ["there", "cpu"])
def test_metrics_on_a_device_without_float64(maps_dtype, where):
    plain, x = small_network(), small_images()
    there, maps = moved(copy.deepcopy(plain)), small_images().flip(0).to(maps_dtype)

    def results(model, x, maps):
        yield insertion(model, x, maps, 1, n_points=4).scores
        yield deletion(model, x, maps, [0, 1, 2, 1], n_points=4, ranking="absolute", normalize=True).area
        yield degradation(model, x, maps, 1, patch_size=2).scores
        yield degradation(model, x, maps, 1, patch_size=2, baselines=0, protocol="code").area
        yield completeness(model, x, maps, 1).delta
        yield completeness(model, x, maps, 1).change

    elsewhere = Elsewhere(maps.float()) if where == "there" else maps
    for one, other in zip(results(there, Elsewhere(x), elsewhere), results(plain, x, maps), strict=True):
        assert one.device == DEVICE
        torch.testing.assert_close(one.cpu(), other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", [1, -1])
def test_maps_of_two_devices_are_compared(order):
    maps, others = small_images(), small_images().flip(0)
    mixed = [Elsewhere(maps), others.double()][::order]
    plain = [maps, others][::order]
    for compare in (stability_error, rank_correlation, class_sensitivity):
        torch.testing.assert_close(compare(*mixed).cpu().double(), compare(*plain), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("estimator", ["auto", "linear", "positive"])
def test_patterns_on_a_device_without_float64(estimator):
    """Their sums are in float64 all the same, on the CPU."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 40), nn.ReLU(), nn.Linear(40, 3)]
    plain = nn.Sequential(*layers).eval()
    there = moved(copy.deepcopy(plain))
    batches = [small_images(30), small_images(8).flip(0)]
    fitters = PatternFitter(plain, estimator), PatternFitter(there, estimator)
    for batch in batches:
        fitters[0].update(batch)
        fitters[1].update(Elsewhere(batch))
    second = PatternFitter(there, estimator)
    second.update(Elsewhere(batches[0]))
    fitters[1].merge(second)
    fitters[0].update(batches[0])
    patterns, got = (fitter.patterns() for fitter in fitters)
    for name, pattern in patterns.items():
        assert got[name].device == DEVICE
        assert got[name].dtype == torch.float32
        torch.testing.assert_close(got[name].cpu(), pattern, rtol=1e-5, atol=1e-7)
    quality = signal_quality(there, got, [Elsewhere(batch) for batch in batches])
    for name, rho in signal_quality(plain, got.to("cpu"), batches).rho.items():
        for kind, values in rho.items():
            torch.testing.assert_close(quality.rho[name][kind], values, rtol=0, atol=1e-6)


def calls(model, x, forward_args=None):
    """Every way to run a model on inputs."""
    for method in (IntegratedGradients(model), IDGI(model), ExpectedGradients(model, x)):
        yield partial(method.attribute, x, target=1, additional_forward_args=forward_args)
    if isinstance(model, nn.Module):
        convolution = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        yield partial(LayerIDGI(model, convolution).attribute, x, target=1, additional_forward_args=forward_args)
        yield partial(NeuronIntegratedGradients(model, convolution).attribute, x, (0, 0, 0), None, forward_args)
    for metric in (insertion, deletion, completeness, partial(degradation, patch_size=2)):
        yield partial(metric, model, x, x, 1, additional_forward_args=forward_args)


def test_a_model_on_another_device_than_its_inputs():
    there = moved(small_network())
    for function in (there, lambda x: there(x)):
        for call in calls(function, small_images()):
            with pytest.raises(
                ValueError, match=r"inputs: expected the model's device meta, got cpu. Write inputs.to\('me"
            ):
                call()
    for call in calls(small_network(), Elsewhere(small_images())):
        with pytest.raises(
            ValueError, match=r"inputs: expected the model's device cpu, got meta. Write inputs.to\('cpu'"
        ):
            call()
    pixels = torch.randint(256, (1, 3, 16, 16)).to(torch.uint8)
    model = moved(nn.Sequential(nn.Flatten(), nn.Linear(768, 2), nn.Softmax(1)))
    with pytest.raises(ValueError, match="inputs: expected the model's device meta, got cpu"):
        information_curve(model, pixels, torch.rand(1, 3, 16, 16), 0)


def test_an_argument_on_another_device_than_the_model():
    model = small_network()

    def function(x, shift):
        return model(x + shift)

    for call in calls(function, small_images(), Elsewhere(small_images())):
        with pytest.raises(
            ValueError, match=r"additional_forward_args\[0\]: expected the model's device cpu, got meta"
        ):
            call()


def test_a_model_on_the_meta_device_itself():
    """torch's own messages, for linear layers and for convolutions."""
    for model, x in ((nn.Linear(4, 2, device="meta"), torch.rand(3, 4)), (small_network().to("meta"), small_images())):
        with pytest.raises(ValueError, match="inputs: expected the model's device meta, got cpu"):
            IntegratedGradients(model).attribute(x, target=1)


def test_other_errors_are_the_models():
    there = moved(small_network())

    def moves_its_inputs(x):
        return there(Move.apply(x)) @ Elsewhere(torch.ones(7, 7))

    with pytest.raises(RuntimeError, match="shapes"):
        IntegratedGradients(moves_its_inputs).attribute(small_images(), target=1)
    assert IntegratedGradients(lambda x: there(Move.apply(x))).attribute(small_images(), target=1).device.type == "cpu"
