"""SmoothTaylor against a loop over the same roots, closed forms, Stein's lemma, and mistakes."""

import pytest
import torch
from captum.attr import NoiseTunnel
from hypothesis import given, settings
from hypothesis import strategies as st

from captum_ext.attr import SharedArgument, SmoothTaylor
from tests.helpers import close


def roots(x, n_samples, stdev, seed):
    """The roots (n_samples, B, ...) of one input: a stream per example, seeded from the generator."""
    seeds = torch.randint(2**63 - 1, (len(x),), generator=torch.Generator().manual_seed(seed)).tolist()
    each = []
    for example, own in zip(x, seeds, strict=True):
        stream = torch.Generator().manual_seed(own)
        noise = [torch.randn(example.shape, dtype=x.dtype, generator=stream) for _ in range(n_samples)]
        each.append(torch.stack([example + stdev * one for one in noise]))
    return torch.stack(each, 1)


def test_it_is_the_papers_loop(net, images):
    got, delta = SmoothTaylor(net).attribute(
        images, [0, 1, 2], n_samples=7, stdevs=0.4, generator=3, return_convergence_delta=True
    )
    rows = torch.arange(3)
    total, at_roots = torch.zeros_like(images), torch.zeros(3, dtype=torch.float64)
    for root in roots(images, 7, 0.4, 3):
        root = root.requires_grad_()
        values = net(root)[rows, rows]
        (gradient,) = torch.autograd.grad(values.sum(), root)
        total += (images - root.detach()) * gradient / 7
        at_roots += values.detach() / 7
    close(got, total)
    close(delta, total.sum((1, 2, 3)) - (net(images)[rows, rows].detach() - at_roots))


def test_a_linear_function_is_exact():
    x, weight = torch.rand(3, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    got, delta = SmoothTaylor(lambda z: z @ weight).attribute(
        x, n_samples=6, stdevs=2.0, generator=1, return_convergence_delta=True
    )
    close(got, (x - roots(x, 6, 2.0, 1).mean(0)) * weight)
    close(delta, torch.zeros(3, dtype=torch.float64))


def test_many_roots_tend_to_minus_the_variance_times_the_second_derivatives():
    """F = sum of c x^2 / 2 with second derivatives c; the spread of (x - r) dF/dr is known too."""
    x, curvature = torch.rand(1, 4, dtype=torch.float64), torch.tensor([3.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    sigma, n = 0.7, 4000
    got = SmoothTaylor(lambda z: (curvature * z.square()).sum(1) / 2).attribute(
        x, n_samples=n, stdevs=sigma, generator=0
    )
    spread = curvature.abs() * ((x * sigma).square() + 2 * sigma**4).sqrt() / n**0.5
    assert ((got + sigma**2 * curvature).abs() <= 4 * spread).all()


def test_no_noise_is_nothing(net, images):
    assert SmoothTaylor(net).attribute(images, 1, n_samples=2, stdevs=0).abs().max() == 0


def test_tuples_with_a_deviation_each(pair_net, pairs):
    factor = torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)
    got = SmoothTaylor(pair_net).attribute(pairs, 2, (factor, 2), n_samples=3, stdevs=(0.2, 0.0), generator=0)
    assert [part.shape for part in got] == [part.shape for part in pairs]
    assert got[0].abs().max() > 0
    assert got[1].abs().max() == 0
    (one,) = SmoothTaylor(lambda z: z.square().sum(1)).attribute((torch.ones(2, 3),), n_samples=2)
    assert one.shape == (2, 3)


@settings(max_examples=25, deadline=None)
@given(examples=st.integers(1, 4), caps=st.tuples(st.integers(1, 5), st.integers(1, 40)), samples=st.integers(1, 9))
def test_noise_does_not_depend_on_the_batch(examples, caps, samples):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(examples, *shape, dtype=torch.float64, generator=generator) for shape in ((17,), (2, 3)))
    weight = SharedArgument(torch.randn(17, dtype=torch.float64, generator=generator))
    rows = []

    def function(x, y, factor, weight):
        rows.append(len(x))
        return torch.tanh(x @ weight) * factor + y.pow(3).sum((1, 2))

    expected = None
    for cap in (None, *caps):
        rows.clear()
        got, delta = SmoothTaylor(function).attribute(
            (x, y), None, (x[:, 0], weight), samples, 0.3, cap, return_convergence_delta=True, generator=5
        )
        assert max(rows) <= (cap or 1024)
        expected = expected or (*got, delta)
        for one, other in zip((*got, delta), expected, strict=True):
            close(one, other)
    alone = SmoothTaylor(function).attribute((x[:1], y[:1]), None, (x[:1, 0], weight), samples, 0.3, generator=5)
    for one, other in zip(alone, expected, strict=False):
        close(one, other[:1])  # an example's noise does not depend on those after it


def test_generators():
    x = torch.rand(2, 4)
    method = SmoothTaylor(lambda z: z.pow(3).sum(1))
    seeded = method.attribute(x, n_samples=3, generator=7)
    assert torch.equal(seeded, method.attribute(x, n_samples=3, generator=torch.Generator().manual_seed(7)))
    assert not torch.equal(seeded, method.attribute(x, n_samples=3, generator=8))
    torch.manual_seed(0)
    first = method.attribute(x, n_samples=3)
    assert not torch.equal(first, method.attribute(x, n_samples=3))
    torch.manual_seed(0)
    assert torch.equal(first, method.attribute(x, n_samples=3))
    state = torch.get_rng_state()
    method.attribute(x, n_samples=3, generator=7)
    assert torch.equal(torch.get_rng_state(), state)
    two = method.attribute(x[:1].expand(2, -1), n_samples=3, generator=7)
    assert not torch.equal(two[0], two[1])  # equal examples have noise of their own


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_dtypes(dtype):
    x = torch.ones(2, 3).to(dtype)
    assert SmoothTaylor(lambda z: z.square().sum(1)).attribute(x, n_samples=2).dtype == torch.float32


def test_no_examples_training_mode_and_differentiable_attributions(net, images):
    got, delta = SmoothTaylor(net).attribute(images[:0], 1, return_convergence_delta=True)
    assert got.shape == (0, 3, 6, 5)
    assert delta.shape == (0,)
    dropout = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(3, 2))
    with pytest.warns(UserWarning, match="training mode"):
        SmoothTaylor(dropout).attribute(torch.rand(2, 3), 1, n_samples=2)
    maps = SmoothTaylor(net).attribute(images, 1, n_samples=3, generator=0, create_graph=True)
    (gradient,) = torch.autograd.grad(maps.square().sum(), next(net.parameters()))
    assert gradient.abs().max() > 0
    plain = SmoothTaylor(net).attribute(images, 1, n_samples=3, generator=0)
    close(maps.detach(), plain)
    noisy = NoiseTunnel(SmoothTaylor(net)).attribute(images, nt_samples=2, target=1, n_samples=2, generator=0)
    assert noisy.shape == images.shape


def test_what_is_not_finite_is_reported():
    with pytest.warns(RuntimeWarning, match="not finite"):
        SmoothTaylor(lambda z: z.sqrt().sum(1)).attribute(torch.full((2, 3), 0.01), n_samples=5, generator=0)


X = torch.rand(2, 3)


def total(x):
    return x.sum(1)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: SmoothTaylor(3), TypeError, "forward_func: expected a model"),
        (lambda: SmoothTaylor(total, multiply_by_inputs=False), ValueError, "multiply_by_inputs=True"),
        (lambda: SmoothTaylor(total).attribute(X, n_samples=0), ValueError, "n_samples: expected a positive"),
        (lambda: SmoothTaylor(total).attribute(X, stdevs=-1.0), ValueError, "at least 0, got -1.0"),
        (lambda: SmoothTaylor(total).attribute(X, stdevs=float("nan")), ValueError, "finite.*got nan"),
        (lambda: SmoothTaylor(total).attribute(X, stdevs=(0.1, 0.2)), ValueError, "each of 1 inputs, got 2"),
        (lambda: SmoothTaylor(total).attribute(X, stdevs="x"), TypeError, "stdevs: expected a number.*got str"),
        (lambda: SmoothTaylor(total).attribute(X, generator=0.5), TypeError, "generator: expected an integer"),
        (lambda: SmoothTaylor(total).attribute(X, internal_batch_size=0), ValueError, "internal_batch_size"),
        (lambda: SmoothTaylor(total).attribute(X / 0), ValueError, "NaN or infinity"),
        (lambda: SmoothTaylor(lambda z: z.detach().sum(1)).attribute(X), ValueError, r"detach\(\)"),
    ],
)
def test_mistakes(run, error, message):
    with pytest.raises(error, match=message):
        run()
