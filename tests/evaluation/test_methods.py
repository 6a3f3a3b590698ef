"""All methods on a batch, against each method alone and naive replicas."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from captum_ext._utils.errors import UserError
from captum_ext.attr import (
    IDGI,
    BlurIG,
    Expected,
    ExpectedGradients,
    GuidedIG,
    IntegratedGradients,
    PathAttribution,
)
from captum_ext.evaluation import METHODS, batch_maps, comparators
from captum_ext.evaluation.batch_maps import compute_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.evaluation.method_registry import PATH_METHODS
from captum_ext.paths import BlurPath, GuidedPath
from captum_ext.patterns import fit_patterns, fold_batch_norm
from captum_ext.quadratures import WeightedSum
from captum_ext.regions import segment
from tests.evaluation.tiny import load

WITHOUT_PATTERNS = [name for name in PATH_METHODS if not PATH_METHODS[name].needs_patterns]


class Counted(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.rows = 0

    def forward(self, x):
        self.rows += len(x)
        return self.model(x)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 3, 32, 32, generator=generator, dtype=torch.float64)
    return ImageBatch(("a", "b", "c"), x, torch.full_like(x, -1.0), torch.tensor([0, 2, 4]))


@pytest.fixture
def model(batch):
    return ProbabilityModel(load()[0].double(), batch.inputs, None, 0)


def test_one_walk_gives_what_each_method_gives_alone(model, batch):
    results = {(a.method, a.steps): a for a in compute_maps(model, batch, WITHOUT_PATTERNS, [3, 6, 12])}
    assert set(results) == {(name, steps) for name in WITHOUT_PATTERNS for steps in (3, 6, 12)}
    f = model.probability
    for steps in (3, 6, 12):
        alone = {
            "ig": PathAttribution(f, quadrature=WeightedSum("riemann_trapezoid")),
            "idgi": IDGI(f),
            "blur-ig": PathAttribution(f, BlurPath(), WeightedSum("riemann_trapezoid")),
            "blur-ig+idgi": IDGI(f, BlurPath()),
            "guided-ig": GuidedIG(f),
            "guided-ig+idgi": IDGI(f, GuidedPath()),
        }
        for name, method in alone.items():
            start = batch.baselines if method.path.takes_baselines else None
            expected, delta = method.attribute(
                batch.inputs, start, batch.target, n_steps=steps, return_convergence_delta=True
            )
            result = results[name, steps]
            torch.testing.assert_close(result.maps, expected, rtol=0, atol=1e-10)
            relative = delta.abs() / (expected.sum((1, 2, 3)) - delta).abs()
            torch.testing.assert_close(result.completeness_error, relative, rtol=1e-6, atol=1e-9)


def test_nested_steps_and_quadratures_cost_the_finest_walk(model, batch):
    counted = Counted(model.model)
    list(compute_maps(ProbabilityModel(counted, batch.inputs, None, 0), batch, ["idgi", "ig"], [2, 4, 8]))
    assert counted.rows == 3 * (9 + 2), "9 points and the two ends of the delta"
    counted.rows = 0
    list(compute_maps(ProbabilityModel(counted, batch.inputs, None, 0), batch, ["ig"], [2, 3]))
    assert counted.rows == 3 * (3 + 2 + 4 + 2), "3 and 2 share no grid"


def test_truncated_weighted_sums_answer_for_the_whole_path(linear, batch):
    model, w = linear
    for result in compute_maps(model, batch, ["ig"], [2, 8], truncated=True):
        torch.testing.assert_close(result.maps, w * (batch.inputs - batch.baselines), rtol=0, atol=1e-9)


def test_truncated_runs_are_slices_of_the_finest(model, batch):
    results = list(compute_maps(model, batch, ["idgi"], [2, 8], truncated=True))
    points = [(batch.baselines + k / 7 * (batch.inputs - batch.baselines)) for k in range(8)]
    for result, every in zip(results, (4, 1), strict=True):
        taken = [point.clone().requires_grad_() for point in points[::every]]
        values = [model.probability(p).gather(1, batch.target[:, None])[:, 0] for p in taken]
        grads = [torch.autograd.grad(v.sum(), p)[0] for v, p in zip(values, taken, strict=True)]
        expected = sum(
            (grads[j] ** 2 / (grads[j] ** 2).sum((1, 2, 3), keepdim=True))
            * (values[j + 1] - values[j]).detach().reshape(-1, 1, 1, 1)
            for j in range(len(taken) - 1)
        )
        torch.testing.assert_close(result.maps, expected, rtol=0, atol=1e-10)


def test_methods_with_patterns(model, batch):
    folded = fold_batch_norm(model.model, batch.inputs[:1])
    patterns = fit_patterns(folded, [batch.inputs])
    with_patterns = ProbabilityModel(model.model, batch.inputs, None, 0, patterns, folded)
    names = [name for name in METHODS if METHODS[name].needs_patterns]
    results = {result.method: result for result in compute_maps(with_patterns, batch, names, [4])}
    assert set(results) == {"pgig", "patternnet", "patternattribution"}
    assert all(result.completeness_error is None and result.maps.abs().sum() > 0 for result in results.values())
    assert results["pgig"].steps == 4
    assert results["patternnet"].steps == 0


def test_guided_backprop_finds_a_shared_relu6(batch):
    shared = nn.ReLU6()
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3).double(), nn.Conv2d(4, 4, 3).double()
    net = nn.Sequential(first, shared, second, shared, nn.Flatten(), nn.Linear(4 * 28 * 28, 5).double())
    ours = comparators.guided_backprop(ProbabilityModel(net, batch.inputs, None, 0), batch)
    x = batch.inputs.clone().requires_grad_()
    hidden = _Guided.apply(second(_Guided.apply(first(x), 6.0)), 6.0)
    out = net[-1](hidden.flatten(1)).softmax(1).gather(1, batch.target[:, None]).sum()
    torch.testing.assert_close(ours, torch.autograd.grad(out, x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in METHODS if not METHODS[name].needs_patterns])
def test_internal_batch_size_is_a_cap(model, batch, name):
    class Strict(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model.model

        def forward(self, x):
            assert len(x) <= 2
            return self.model(x)

    capped = ProbabilityModel(Strict(), batch.inputs, 2, 0)
    assert next(compute_maps(capped, batch, [name], [3])).maps.shape == batch.inputs.shape


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, ceiling):
        ctx.save_for_backward((x > 0) & (x < ceiling))
        return x.clamp(0, ceiling)

    @staticmethod
    def backward(ctx, grad):
        (gate,) = ctx.saved_tensors
        return grad.clamp(min=0) * gate, None


def test_guided_backprop_knows_relu6(model, batch):
    ours = comparators.guided_backprop(model, batch)
    net = model.model
    x = batch.inputs.clone().requires_grad_()
    hidden = _Guided.apply(net.second(_Guided.apply(net.norm(net.first(x)), 6.0)), np.inf)
    out = net.rest[1:](hidden).softmax(1).gather(1, batch.target[:, None]).sum()
    torch.testing.assert_close(ours, torch.autograd.grad(out, x)[0], rtol=0, atol=1e-12)
    assert not torch.allclose(ours, comparators.gradient(model, batch))


def test_guided_backprop_that_would_be_the_gradient_is_refused(batch):
    class Functional(nn.Module):
        def forward(self, x):
            return torch.relu(x).flatten(1)[:, :5]

    with pytest.raises(UserError, match="equals the gradient"):
        comparators.guided_backprop(ProbabilityModel(Functional(), batch.inputs, None, 0), batch)


@pytest.fixture
def linear(batch):
    """Linear logits under no softmax: closed forms for all that averages gradients."""
    weight = torch.randn(5, 3 * 32 * 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    class Linear(ProbabilityModel):
        def probability(self, x):
            return x.flatten(1) @ weight.T

    model = Linear(nn.Identity(), batch.inputs[:1], 4, 0)
    return model, weight[batch.target].reshape(batch.inputs.shape)


def test_comparators_of_a_linear_function(linear, batch):
    model, w = linear
    expected = {
        "gradient": w,
        "gradient-x-input": w * batch.inputs,
        "vargrad": torch.zeros_like(w),
        "smoothgrad-squared": w**2,
        "smoothgrad-ig": w * (batch.inputs - batch.baselines),
        "expected-gradients": w * (batch.inputs - batch.inputs[:1]),
    }
    for name, value in expected.items():
        (result,) = compute_maps(model, batch, [name], [1])
        torch.testing.assert_close(result.maps, value, rtol=0, atol=1e-9, msg=name)


def test_expected_gradients_is_the_librarys_own(model, batch):
    maps = comparators.expected_gradients(model, batch)
    method = ExpectedGradients(model.probability, model.references)
    for k, name in enumerate(batch.names):
        generator = torch.Generator().manual_seed(comparators.derive_seed(0, name))
        alone = method.attribute(batch.inputs[k : k + 1], batch.target[k : k + 1], n_samples=3, generator=generator)
        torch.testing.assert_close(maps[k : k + 1], alone, rtol=0, atol=1e-12)


def test_expected_gradients_is_unbiased(model, batch):
    """Against Integrated Gradients averaged over the references, in units of the standard error of the mean."""
    seeds = 60
    maps = torch.stack([comparators.expected_gradients(replace(model, generator=seed), batch) for seed in range(seeds)])
    exact = Expected(IntegratedGradients(model.probability), model.references).attribute(
        batch.inputs, target=batch.target, n_steps=200
    )
    deviation = (maps.mean(0) - exact) / (maps.std(0) / seeds**0.5)
    moves = maps.std(0) > 0
    assert 0.9 < deviation[moves].square().mean().sqrt() < 1.1


def test_smoothgrad_ig_has_the_configured_number_of_noisy_paths(model, batch):
    rows = []

    class Counted(nn.Module):
        def forward(self, x):
            rows.append(len(x))
            return model.model(x)

    few = ProbabilityModel(Counted(), batch.inputs, None, 0, smoothgrad_ig_samples=2)
    comparators.smoothgrad_ig(few, batch)
    # Two noisy paths of 25 steps per image, and up to two more rows per path.
    assert 2 * 25 * len(batch.inputs) <= sum(rows) <= 2 * 27 * len(batch.inputs)


@pytest.mark.parametrize("name", ["random", "vargrad", "smoothgrad-squared", "smoothgrad-ig", "expected-gradients"])
def test_random_methods_are_reproducible_and_leave_the_global_generators(model, batch, name):
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (next(compute_maps(model, batch, [name], [1])).maps for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    other = ProbabilityModel(model.model, model.references, None, 1)
    assert not torch.equal(first, next(compute_maps(other, batch, [name], [1])).maps)


def test_random_maps_do_not_depend_on_the_batch(model, batch):
    alone = batch._replace(names=("b",), inputs=batch.inputs[1:2])
    assert torch.equal(comparators.random(model, batch)[1:2], comparators.random(model, alone))


def test_blur_ig_is_on_the_papers_path():
    assert PATH_METHODS["blur-ig"].path == BlurIG(lambda x: x).path


def test_regions_of_a_map_with_a_nan_are_nan_and_the_others_stay(batch):
    maps = torch.randn(batch.inputs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    clean = batch_maps.region_maps(maps, batch.inputs)
    maps[1, 0, 3, 4] = torch.nan
    regions = batch_maps.region_maps(maps, batch.inputs)
    assert regions[1].isnan().all()
    assert torch.equal(regions[0], clean[0])


def test_regions_have_the_sums_and_errors_of_their_map_and_one_segmentation(model, batch, monkeypatch):
    calls = []
    monkeypatch.setattr(batch_maps, "segment", lambda x: calls.append(len(x)) or segment(x))
    batch = batch._replace(inputs=batch.inputs.clone())  # not segmented yet
    for _ in range(2):  # as for another class, or a randomized model
        results = {r.method: r for r in compute_maps(model, batch, ["ig", "idgi", "ig+xrai", "idgi+xrai"], [4])}
    assert calls == [len(batch.inputs)]
    for name in ("ig", "idgi"):
        pixels, regions = results[name], results[f"{name}+xrai"]
        torch.testing.assert_close(regions.maps.flatten(1).sum(1), pixels.maps.flatten(1).sum(1), rtol=0, atol=1e-9)
        assert torch.equal(regions.completeness_error, pixels.completeness_error)
