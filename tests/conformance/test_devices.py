"""Every method on compiled models, under autocast, in DataParallel and on the devices that there are."""

import sys

import pytest
import torch
from torch import nn

from captum_ext import baselines
from captum_ext.attr import PGIG, IntegratedGradients, PatternAttribution
from captum_ext.metrics import class_sensitivity, degradation, deletion
from captum_ext.patterns import fit_patterns, signal_quality
from tests.conformance.cases import METHODS, every_method
from tests.helpers import small_images, small_network

STEPS = 4


def device(name, there):
    return pytest.param(name, marks=pytest.mark.skipif(not there, reason=f"no {name} device on this machine"))


on_every_device = pytest.mark.parametrize(
    "where", [device("cuda", torch.cuda.is_available()), device("mps", torch.backends.mps.is_available())]
)
compiles = pytest.mark.skipif(sys.version_info >= (3, 14), reason="torch.compile does not support this Python yet")


def apart(got, expected):
    """The relative distance of each example's maps."""
    return (got - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)


@pytest.fixture(scope="module", params=["aot_eager", "inductor"])
def compiled(request):
    torch._dynamo.reset()
    return torch.compile(small_network().double(), backend=request.param)


@compiles
@every_method
def test_compiled_models(compiled, case):
    """As the plain one up to float64's rounding. In float32, F's rounding alone moves IDGI's maps by 1e-5."""
    x, target, plain = small_images(3).double(), [0, 1, 2], case.make(small_network().double())
    expected, wanted = plain.attribute(x, target=target, n_steps=STEPS, return_convergence_delta=True)
    got, delta = case.make(compiled).attribute(x, target=target, n_steps=STEPS, return_convergence_delta=True)
    assert apart(got, expected).max() < 1e-12
    torch.testing.assert_close(delta, wanted, atol=1e-12, rtol=0)


@compiles
def test_compiled_models_with_patterns():
    torch._dynamo.reset()
    model = small_network()
    patterns = fit_patterns(model, [small_images(40)])
    plain = IntegratedGradients(model).attribute(small_images(3), target=1)
    for method in (PGIG, PatternAttribution):
        expected = method(model, patterns).attribute(small_images(3), target=1)
        for compiled_before in (False, True):  # without patterns; its code must not run with them, and the reverse
            compiled = torch.compile(model, backend="aot_eager")
            if compiled_before:
                assert apart(IntegratedGradients(compiled).attribute(small_images(3), target=1), plain).max() < 1e-5
            assert apart(method(compiled, patterns).attribute(small_images(3), target=1), expected).max() < 1e-5
            assert apart(IntegratedGradients(compiled).attribute(small_images(3), target=1), plain).max() < 1e-5
        assert (apart(expected, plain) > 0.01).all()


@every_method
def test_bfloat16_autocast_on_the_cpu(case):
    """The forward and the backward pass round to eight bits at each of four operations, and nothing else does."""
    model, x = small_network(), small_images(3)
    inside = []
    model[0].register_forward_hook(lambda module, args, output: inside.append(output.dtype))
    plain = case.make(model).attribute(x, target=1, n_steps=STEPS)
    with torch.autocast("cpu", torch.bfloat16):
        attributions, delta = case.make(model).attribute(x, target=1, n_steps=STEPS, return_convergence_delta=True)
    assert torch.bfloat16 in inside
    assert attributions.dtype == delta.dtype == torch.float32
    rounding = torch.finfo(torch.bfloat16).eps / 2
    # Forward and backward through two layers, each with roundings of its input, its weight and its output.
    scale = 2 * 2 * 3 * rounding * plain.flatten(1).norm(dim=1)
    if case.shares_changes_of_f:  # F's own roundings, at both ends of every step
        scale += 2 * STEPS * rounding * model(x)[:, 1].abs().detach()
    if case.chaotic:  # by other gradients it takes another path: what stays is the sum
        assert ((attributions - plain).sum((1, 2, 3)).abs() < scale + 12 * rounding * plain.abs().sum((1, 2, 3))).all()
    else:
        assert ((attributions - plain).flatten(1).norm(dim=1) < scale).all()
    assert not torch.equal(attributions, plain)


def test_data_parallel_without_devices_is_the_module_itself():
    x = small_images(3)
    parallel = nn.DataParallel(small_network())
    if parallel.device_ids:
        pytest.skip("there are devices: see the test on them")
    for case in METHODS:
        expected = case.make(small_network()).attribute(x, target=1, n_steps=STEPS)
        assert torch.equal(case.make(parallel).attribute(x, target=1, n_steps=STEPS), expected), case


@on_every_device
@every_method
def test_devices_give_what_the_cpu_gives(where, case):
    x, target = small_images(3), torch.tensor([0, 1, 2])
    expected = case.make(small_network()).attribute(x, target=target, n_steps=STEPS)
    method = case.make(small_network().to(where))
    for indices in (target, target.to(where)):
        got, delta = method.attribute(
            x.to(where), target=indices, n_steps=STEPS, internal_batch_size=5, return_convergence_delta=True
        )
        assert got.device.type == delta.device.type == where
        assert apart(got.cpu(), expected).max() < 1e-3
    if case.takes_baselines:
        assert method.attribute(x.to(where), x.to(where).flip(0), target=1, n_steps=2).device.type == where
        with pytest.raises(ValueError, match=r"baselines.to\(inputs.device\)"):
            method.attribute(x.to(where), x, target=1)


@on_every_device
def test_patterns_metrics_and_baselines_on_devices(where):
    model, x = small_network(), small_images(3)
    patterns = fit_patterns(model, [small_images(40)])
    there = fit_patterns(small_network().to(where), [small_images(40).to(where)])
    for name in patterns:
        torch.testing.assert_close(there[name].cpu(), patterns[name], atol=1e-3, rtol=1e-3)
    expected = PGIG(model, patterns).attribute(x, target=1)
    moved = model.to(where)
    got = PGIG(moved, patterns).attribute(x.to(where), target=1)
    assert apart(got.cpu(), expected).max() < 1e-3
    assert deletion(moved, x.to(where), got, 1, n_points=4).scores.device.type == where
    assert class_sensitivity(got, -got).device.type == where
    assert baselines.blurred(x.to(where), 2.0).device.type == where


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no two CUDA devices on this machine")
@every_method
def test_data_parallel(case):
    x = small_images(8)
    expected = case.make(small_network()).attribute(x, target=1, n_steps=STEPS)
    got = case.make(nn.DataParallel(small_network().cuda())).attribute(x.cuda(), target=1, n_steps=STEPS)
    assert apart(got.cpu(), expected).max() < 1e-3


@every_method
def test_tensors_are_made_where_the_inputs_are(case):
    """On a machine without other devices: nothing may be left on the default device, here one without data."""
    method, x = case.make(small_network()), small_images(3)
    expected = method.attribute(x, target=torch.tensor([0, 1, 2]), n_steps=STEPS)
    target = torch.tensor([0, 1, 2])
    with torch.device("meta"):
        got, delta = method.attribute(x, target=target, n_steps=STEPS, return_convergence_delta=True)
    assert torch.equal(got, expected)
    assert delta.device.type == "cpu"


def test_tensors_of_patterns_and_metrics_are_made_where_the_inputs_are():
    model, x = small_network(), small_images(40)
    patterns = fit_patterns(model, [x])
    maps = PGIG(model, patterns).attribute(x[:2], target=1)
    quality = signal_quality(model, patterns, [x])
    scores = deletion(model, x[:2], x[:2], 1, n_points=4).scores
    steps = degradation(model, x[:2], x[:2], 1, patch_size=2).scores
    with torch.device("meta"):
        again = fit_patterns(model, [x])
        assert all(torch.equal(again[name], pattern) for name, pattern in patterns.items())
        assert torch.equal(PGIG(model, patterns).attribute(x[:2], target=1), maps)
        for name, rho in signal_quality(model, patterns, [x]).rho.items():
            assert all(torch.equal(rho[estimator], quality.rho[name][estimator]) for estimator in rho)
        assert torch.equal(deletion(model, x[:2], x[:2], 1, n_points=4).scores, scores)
        assert torch.equal(degradation(model, x[:2], x[:2], 1, patch_size=2).scores, steps)
