"""Every method and metric on models that return the same memory at each pass, as CUDA graphs do: nothing changes."""

import pytest
import torch
from torch import nn

from captum_ext.attr import (
    IDGI,
    PGIG,
    Expected,
    ExpectedGradients,
    IntegratedGradients,
    NeuronIntegratedGradients,
    PatternAttribution,
    PatternNet,
)
from captum_ext.metrics import completeness, degradation, deletion, insertion
from captum_ext.patterns import fit_patterns
from captum_ext.quadratures import ImportantDirection, WeightedSum
from tests.conformance.cases import METHODS, each
from tests.helpers import small_images, small_network
from tests.static_buffers import StaticBuffers

TARGETS = {"none": None, "one": 1, "each": [0, 1, 2, 1, 0, 2], "tensor": torch.tensor([0, 1, 2, 1, 0, 2])}
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def assert_same(compute, target):
    """What the plain model gives, bit for bit: the same values are computed, only elsewhere in memory."""
    plain = small_network(target)
    expected, got = compute(plain), compute(StaticBuffers(plain))
    assert expected[0].abs().max() > 0
    for one, other in zip(expected, got, strict=True):
        assert torch.equal(one, other)


@every_target
@each(METHODS)
@pytest.mark.parametrize("rows", [None, 4])
def test_methods_and_deltas(case, target, rows):
    def compute(model):
        return case.make(model).attribute(
            small_images(6), target=target, n_steps=6, internal_batch_size=rows, return_convergence_delta=True
        )

    assert_same(compute, target)


@every_target
@pytest.mark.parametrize("method", [IDGI, IntegratedGradients])
@pytest.mark.parametrize("rows", [None, 2])
def test_adaptive_steps(method, target, rows):
    def compute(model):
        attributions, delta, diagnostics = method(model).attribute(
            small_images(6),
            target=target,
            n_steps="auto",
            internal_batch_size=rows,
            return_convergence_delta=True,
            return_diagnostics=True,
        )
        return attributions, delta, *diagnostics.values, *diagnostics.positions, diagnostics.n_gradients

    assert_same(compute, target)


@every_target
def test_diagnostics_of_fixed_steps(target):
    def compute(model):
        attributions, diagnostics = IDGI(model).attribute(
            small_images(6), target=target, n_steps=6, internal_batch_size=2, return_diagnostics=True
        )
        return attributions, *diagnostics.values, diagnostics.estimated_error

    assert_same(compute, target)


@every_target
def test_several_quadratures_and_baselines(target):
    rules = [WeightedSum("riemann_trapezoid"), ImportantDirection("riemann_trapezoid"), ImportantDirection()]

    def compute(model):
        given = {"target": target, "internal_batch_size": 3, "return_convergence_delta": True}
        results = IDGI(model).attribute_each(rules, small_images(6), n_steps=4, **given)
        results.append(Expected(IDGI(model), [0.0, 1.0]).attribute(small_images(6), n_steps=4, **given))
        return [part for result in results for part in result]

    assert_same(compute, target)


@every_target
def test_expected_gradients(target):
    def compute(model):
        return ExpectedGradients(model, small_images(6).flip(0)).attribute(
            small_images(6),
            target=target,
            n_samples=5,
            internal_batch_size=4,
            return_convergence_delta=True,
            generator=torch.Generator().manual_seed(0),
        )

    assert_same(compute, target)


@every_target
@pytest.mark.parametrize("method", [PatternNet, PatternAttribution, PGIG])
def test_patterns_over_several_chunks(method, target):
    plain = small_network(target)
    patterns = fit_patterns(plain, [small_images(6)])

    def attributions(function):
        return method(function, patterns, model=plain).attribute(small_images(6), target=target, internal_batch_size=2)

    expected = attributions(plain)
    assert expected.abs().max() > 0
    assert torch.equal(attributions(StaticBuffers(plain)), expected)


def test_neurons():
    x, model = small_images(6), small_network(1)
    expected = NeuronIntegratedGradients(model, model[0]).attribute(x, (1, 2, 3), internal_batch_size=4)
    static = nn.Sequential(StaticBuffers(model[0]), *model[1:])
    got = NeuronIntegratedGradients(static, static[0]).attribute(x, (1, 2, 3), internal_batch_size=4)
    assert torch.equal(got, expected)


@every_target
@pytest.mark.parametrize("metric", [insertion, deletion, degradation])
def test_perturbation_metrics(metric, target):
    settings = {"patch_size": 2} if metric is degradation else {"n_points": 4, "normalize": True}

    def compute(model):
        found = metric(model, small_images(6), small_images(6), target, internal_batch_size=3, **settings)
        return found.scores, found.area

    assert_same(compute, target)


@every_target
def test_completeness(target):
    def compute(model):
        found = completeness(model, small_images(6), small_images(6), target, internal_batch_size=2)
        return found.delta, found.change

    assert_same(compute, target)
