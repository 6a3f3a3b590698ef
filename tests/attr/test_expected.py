"""Averages over baselines: exact against a loop, sampled against closed forms, the exact one and GradientShap."""

import captum.attr
import numpy as np
import pytest
import torch
from captum.attr import NoiseTunnel
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from captum_ext import baselines
from captum_ext.attr import IDGI, Expected, ExpectedGradients, IntegratedGradients, SharedArgument
from tests.conformance.cases import TAKES_BASELINES, each
from tests.helpers import close, normal

STEPS = 6


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@each(TAKES_BASELINES)
def test_the_mean_over_a_set_is_that_of_a_loop(case, net, images):
    each = normal(4, 3, 6, 5)
    results = [
        case.make(net).attribute(images, each[k : k + 1], [0, 1, 2], n_steps=STEPS, return_convergence_delta=True)
        for k in range(4)
    ]
    for form in (each, [each[k : k + 1] for k in range(4)], [each[k : k + 1].expand(3, -1, -1, -1) for k in range(4)]):
        got, delta = Expected(case.make(net), form).attribute(
            images, [0, 1, 2], n_steps=STEPS, return_convergence_delta=True, internal_batch_size=2
        )
        close(got, torch.stack([attributions for attributions, _ in results]).mean(0))
        close(delta, torch.stack([one for _, one in results]).mean(0))
    if case.complete:
        rise = net(images) - net(each).mean(0)
        close(delta, got.sum((1, 2, 3)) - rise[torch.arange(3), torch.tensor([0, 1, 2])])


def test_entries_are_whatever_a_method_takes_and_functions_of_the_inputs(net, images):
    entries = [None, 0.5, images.flip(0), lambda x: baselines.blurred(x, 2.0), torch.zeros(1, 3, 1, 1)]
    starts = [0, 0.5, images.flip(0), baselines.blurred(images, 2.0), 0]
    expected = sum(IDGI(net).attribute(images, start, 1, n_steps=STEPS) for start in starts) / 5
    method = Expected(IDGI(net), entries)
    close(method.attribute(images, 1, n_steps=STEPS), expected)
    (as_tuple,) = method.attribute((images,), 1, n_steps=STEPS)
    close(as_tuple, expected)
    close(method.attribute(images, 1, n_steps=STEPS), expected)  # nothing was used up


def test_tuples_of_inputs(pair_net, pairs):
    each = (normal(3, 3, 6, 5), normal(3, 2, 4, 4, seed=1))
    factor = torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)
    arguments = {"target": 2, "additional_forward_args": (factor, 2), "n_steps": STEPS}
    method = IntegratedGradients(pair_net)
    singles = [method.attribute(pairs, tuple(part[k : k + 1] for part in each), **arguments) for k in range(3)]
    got = Expected(method, each).attribute(pairs, **arguments)
    for part, one in zip(got, zip(*singles, strict=True), strict=True):
        close(part, torch.stack(one).mean(0))


@pytest.mark.parametrize(
    "make",
    [
        captum.attr.IntegratedGradients,
        captum.attr.DeepLift,
        captum.attr.FeatureAblation,
        lambda net: captum.attr.LayerIntegratedGradients(net, net[0]),
    ],
)
def test_captums_methods(make):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Softplus(), nn.Linear(5, 3)).double()
    x, each = normal(2, 4), normal(3, 4, seed=1)
    method = make(net)
    loop = [method.attribute(x, baselines=each[k : k + 1], target=1) for k in range(3)]
    close(Expected(method, each).attribute(x, target=1), torch.stack(loop).mean(0))


def test_neuron_methods_which_have_no_target(net, images):
    each = normal(3, 3, 6, 5)
    method = captum.attr.NeuronIntegratedGradients(net, net.conv)
    loop = [method.attribute(images, (1, 2, 3), each[k : k + 1], n_steps=STEPS) for k in range(3)]
    close(Expected(method, each).attribute(images, neuron_selector=(1, 2, 3), n_steps=STEPS), torch.stack(loop).mean(0))


def test_noise_tunnel_around_and_inside(net, images):
    each = normal(3, 3, 6, 5)
    expected = Expected(IntegratedGradients(net), each)
    plain = expected.attribute(images, target=1, n_steps=STEPS)
    close(NoiseTunnel(expected).attribute(images, nt_samples=2, stdevs=0.0, target=1, n_steps=STEPS), plain)
    inside = Expected(NoiseTunnel(IntegratedGradients(net)), each)
    close(inside.attribute(images, nt_samples=2, stdevs=0.0, target=1, n_steps=STEPS), plain)
    sampled = ExpectedGradients(net, each)
    got = NoiseTunnel(sampled).attribute(images, nt_samples=2, stdevs=0.0, target=1, n_samples=4, generator=seeded())
    assert got.shape == images.shape


def linear(x):
    return x.flatten(1) @ torch.arange(90, dtype=torch.float64)


def test_a_linear_function_and_one_baseline_are_exact():
    x, baseline = normal(3, 3, 6, 5), normal(1, 3, 6, 5, seed=1)
    got, delta = ExpectedGradients(linear, baseline).attribute(x, n_samples=3, return_convergence_delta=True)
    close(got, (x - baseline) * torch.arange(90, dtype=torch.float64).reshape(3, 6, 5), 1e-9)
    close(delta, torch.zeros(3, dtype=torch.float64), 1e-9)
    shap = captum.attr.GradientShap(linear).attribute(x, baseline, n_samples=3)
    close(got, shap, 1e-9)


def test_the_draws_are_what_the_definition_says(net, images):
    """The loop of the paper over the same draws."""
    each = normal(5, 3, 6, 5)
    got, delta = ExpectedGradients(net, each).attribute(
        images, 1, n_samples=7, return_convergence_delta=True, generator=seeded(3)
    )
    generator = seeded(3)
    which = torch.randint(5, (7, 3), generator=generator)
    alphas = torch.rand((7, 3), generator=generator).double()
    total, falls = torch.zeros_like(images), torch.zeros(3, dtype=torch.float64)
    for sample in range(7):
        for k in range(3):
            start = each[which[sample, k]]
            point = (start + alphas[sample, k] * (images[k] - start)).unsqueeze(0).requires_grad_()
            (gradient,) = torch.autograd.grad(net(point)[0, 1], point)
            total[k] += gradient[0] * (images[k] - start) / 7
            falls[k] += net(start.unsqueeze(0))[0, 1].detach() / 7
    close(got, total)
    close(delta, total.sum((1, 2, 3)) - (net(images)[:, 1].detach() - falls))


def squashed(x):
    return torch.tanh(x.sum(1)) + (x**2).prod(1)


def test_samples_and_gradient_shap_have_the_mean_and_spread_of_the_exact_average():
    x, each = normal(2, 3), normal(6, 3, seed=1)
    exact = Expected(IntegratedGradients(squashed), each).attribute(x, n_steps=200)
    runs, samples = 300, 20
    generator = seeded(0)
    ours = ExpectedGradients(squashed, each)
    mine = torch.stack([ours.attribute(x, n_samples=samples, generator=generator) for _ in range(runs)])
    np.random.seed(0)
    shap = captum.attr.GradientShap(squashed)
    theirs = torch.stack([shap.attribute(x, each, n_samples=samples).detach() for _ in range(runs)])
    for got in (mine, theirs):
        error = (got.mean(0) - exact).abs() / (got.std(0) / runs**0.5)
        assert error.max() < 4
    torch.testing.assert_close(mine.std(0), theirs.std(0), rtol=0.25, atol=0)


def test_without_the_factor_it_is_the_mean_gradient():
    x, each = normal(2, 4), normal(3, 4, seed=1)
    weight = normal(4, seed=2)
    got = ExpectedGradients(lambda z: z @ weight, each, multiply_by_inputs=False).attribute(x, n_samples=5)
    close(got, weight.expand(2, 4))


@settings(max_examples=25, deadline=None)
@given(
    examples=st.integers(1, 4),
    caps=st.tuples(st.integers(1, 5), st.integers(1, 40)),
    count=st.integers(1, 4),
    samples=st.integers(1, 9),
    as_list=st.booleans(),
)
@example(examples=4, caps=(1, 3), count=3, samples=5, as_list=True)
def test_the_same_generator_gives_the_same_for_any_internal_batch_size(examples, caps, count, samples, as_list):
    x, y = normal(examples, 3), normal(examples, 2, 2, seed=1)
    args = (normal(examples, seed=2), SharedArgument(normal(3, seed=5)))
    each = (normal(count, 3, seed=3), normal(count, 2, 2, seed=4))
    if as_list:
        each = [(x.flip(0) * k, float(k)) for k in range(count)]
    rows = []

    def f(x, y, factor, weight):
        rows.append(len(x))
        return torch.stack([torch.tanh(x @ weight) * factor, (y**3).sum((1, 2)) * x.sum(1)], 1)

    targets = [k % 2 for k in range(examples)]
    expected = None
    for cap in (None, *caps):
        rows.clear()
        got, delta = ExpectedGradients(f, each).attribute(
            (x, y), targets, args, samples, cap, return_convergence_delta=True, generator=seeded(7)
        )
        assert max(rows) <= (cap or 1024)
        expected = expected or (*got, delta)
        for one, other in zip((*got, delta), expected, strict=True):
            close(one, other)


def test_a_mean_over_many_baselines_keeps_neither_them_nor_their_maps(monkeypatch):
    x = torch.rand(1, 1000)
    alive = []

    class Counted(IntegratedGradients):
        def attribute(self, *args, **kwargs):
            import weakref

            result = super().attribute(*args, **kwargs)
            alive.append(weakref.ref(result))
            return result

    Expected(Counted(lambda z: (z**2).sum(1)), torch.rand(50, 1000)).attribute(x, n_steps=2)
    assert len(alive) == 50
    assert not any(reference() is not None for reference in alive)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_dtypes(dtype):
    x = torch.ones(2, 3).to(dtype)
    for result in (
        ExpectedGradients(lambda z: z.sum(1), torch.zeros(4, 3).to(dtype)).attribute(x, n_samples=3),
        Expected(IntegratedGradients(lambda z: z.sum(1)), torch.zeros(4, 3)).attribute(x),
    ):
        assert result.dtype == torch.float32
        close(result, torch.ones(2, 3), 1e-5)


def test_inference_mode_gives_the_same_as_ordinary_tensors():
    x, each = normal(2, 3), normal(4, 3, seed=1)
    expected = ExpectedGradients(squashed, each).attribute(x, n_samples=5, generator=seeded())
    with torch.inference_mode():
        got = ExpectedGradients(squashed, each.clone()).attribute(x.clone(), n_samples=5, generator=seeded())
    assert torch.equal(got, expected)
    assert not got.is_inference()


def test_no_examples():
    got, delta = ExpectedGradients(lambda z: z.sum(1), torch.zeros(4, 3)).attribute(
        torch.zeros(0, 3), return_convergence_delta=True
    )
    assert got.shape == (0, 3)
    assert delta.shape == (0,)


def test_nothing_of_the_users_is_changed_also_after_an_error(net, images):
    each = normal(4, 3, 6, 5).requires_grad_()
    kept = each.detach().clone()
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)

    def failing(x):
        if len(x) < 3:
            raise RuntimeError("short")
        return net(x)

    with pytest.raises(RuntimeError, match="short"):
        ExpectedGradients(failing, each).attribute(images, 1, internal_batch_size=2)
    ExpectedGradients(net, each).attribute(images, 1, n_samples=3)
    Expected(IntegratedGradients(net), each).attribute(images, 1, n_steps=3)
    assert torch.equal(each, kept)
    assert each.grad is None
    assert all((parameter.grad == 1).all() for parameter in net.parameters())
    assert torch.is_grad_enabled()


X = torch.rand(2, 3)


def total(z):
    return z.sum(1)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: Expected(captum.attr.Saliency(total), [0]), TypeError, "Saliency has none to average"),
        (lambda: Expected(IntegratedGradients, [0]), TypeError, r"such as IntegratedGradients\(model\)"),
        (lambda: Expected(total, [0]), TypeError, "method: expected"),
        (lambda: Expected(IntegratedGradients(total), 0), TypeError, "a list of baselines such as .*got int"),
        (lambda: ExpectedGradients(total, None), TypeError, "got NoneType"),
        (lambda: ExpectedGradients(total, torch.tensor(1.0)), TypeError, "got Tensor"),
        (lambda: Expected(IntegratedGradients(total), []), ValueError, "got an empty list"),
        (lambda: ExpectedGradients(total, X[:0]), ValueError, r"at least one.*\[0\]"),
        (lambda: ExpectedGradients(total, (X, X[:1])), ValueError, r"\[2, 1\]"),
        (lambda: ExpectedGradients(total, torch.zeros(5, 4)).attribute(X), ValueError, r"got \(5, 4\)"),
        (lambda: ExpectedGradients(total, (X, X)).attribute(X), ValueError, "for each of 1 inputs, got 2"),
        (lambda: ExpectedGradients(total, X / 0).attribute(X), ValueError, "NaN or infinity"),
        (lambda: ExpectedGradients(total, X).attribute(X, n_samples=0), ValueError, "n_samples: expected a positive"),
        (lambda: ExpectedGradients(total, X).attribute(X * 1j), TypeError, "expected real numbers"),
        (
            lambda: ExpectedGradients(lambda z: z.sum(), X).attribute(X),
            ValueError,
            r"one row of output.*got shape \(\)",
        ),
        (lambda: ExpectedGradients(lambda z: z.detach().sum(1), X).attribute(X), ValueError, r"detach\(\)"),
        (lambda: Expected(IntegratedGradients(total), [0]).attribute(X, baselines=0), TypeError, "given once"),
        (
            lambda: Expected(captum.attr.FeatureAblation(total), [0]).attribute(X, return_convergence_delta=True),
            ValueError,
            "FeatureAblation has none",
        ),
    ],
)
def test_mistakes(run, error, message):
    with pytest.raises(error, match=message):
        run()
