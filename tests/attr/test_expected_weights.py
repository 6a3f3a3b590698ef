"""Expected with weights: one-hot weights are a single call, weights per example are a loop's, and mistakes."""

import captum.attr
import pytest
import torch
from captum.attr import NoiseTunnel

from captum_ext.attr import IDGI, Expected, IntegratedGradients, LayerIDGI

STEPS = 6
TARGETS = [0, 1, 2]


def close(got, expected):
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


@pytest.fixture
def each():
    return torch.randn(4, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("make", [IntegratedGradients, IDGI, captum.attr.IntegratedGradients])
def test_one_hot_weights_are_a_single_call_bit_for_bit(make, dtype, net, images, each):
    net, images, each = net.to(dtype), images.to(dtype), each.to(dtype)
    alone, its_delta = make(net).attribute(images, each[2:3], TARGETS, n_steps=STEPS, return_convergence_delta=True)
    one_hot = torch.tensor([0, 0, 1, 0])
    for weights in (one_hot, one_hot.expand(3, 4).double(), lambda x: one_hot.to(x)):
        got, delta = Expected(make(net), each, weights).attribute(
            images, TARGETS, n_steps=STEPS, return_convergence_delta=True
        )
        assert torch.equal(got, alone)
        assert torch.equal(delta, its_delta)


def test_another_baseline_in_each_example(net, images, each):
    got = Expected(IDGI(net), each, torch.eye(4)[[3, 0, 1]]).attribute(images, TARGETS, n_steps=STEPS)
    assert torch.equal(got, IDGI(net).attribute(images, each[[3, 0, 1]], TARGETS, n_steps=STEPS))


@pytest.mark.parametrize("per_example", [False, True])
def test_the_weighted_mean_and_its_delta_are_a_loops(per_example, net, images, each):
    weights = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = weights / weights.sum(1, keepdim=True)
    rows = weights if per_example else weights[:1].expand(3, 4)
    singles = [IntegratedGradients(net).attribute(images, each[k : k + 1], TARGETS, n_steps=STEPS) for k in range(4)]
    expected = sum(rows[:, k].reshape(3, 1, 1, 1) * singles[k] for k in range(4))
    got, delta = Expected(IntegratedGradients(net), each, weights if per_example else weights[0]).attribute(
        images, TARGETS, n_steps=STEPS, return_convergence_delta=True, internal_batch_size=2
    )
    close(got, expected)
    rows_of_f = torch.arange(3), torch.tensor(TARGETS)
    changes = torch.stack([(net(images) - net(each[k : k + 1]))[rows_of_f] for k in range(4)], 1)
    close(delta, expected.sum((1, 2, 3)) - (rows * changes).sum(1).detach())


def test_equal_weights_are_the_mean(net, images, each):
    mean = Expected(IDGI(net), each).attribute(images, 1, n_steps=STEPS)
    close(Expected(IDGI(net), each, torch.full((4,), 0.25)).attribute(images, 1, n_steps=STEPS), mean)


def test_tuples_layers_and_the_weights_function(net, images, each, pair_net, pairs):
    weights = torch.tensor([0.25, 0.75], dtype=torch.float64)
    both = [(0, 1.0), (0.5, 0)]
    singles = [IntegratedGradients(pair_net).attribute(pairs, entry, 2, n_steps=STEPS) for entry in both]
    got = Expected(IntegratedGradients(pair_net), both, lambda xs: weights if len(xs) == 2 else None).attribute(
        pairs, 2, n_steps=STEPS
    )
    for k in range(2):
        close(got[k], 0.25 * singles[0][k] + 0.75 * singles[1][k])
    layer = LayerIDGI(net, net.conv)
    at_layer = [layer.attribute(images, each[k : k + 1], 1, n_steps=STEPS) for k in range(2)]
    (of_tuple,) = [Expected(layer, each[:2], weights).attribute((images,), 1, n_steps=STEPS)]
    close(of_tuple, 0.25 * at_layer[0] + 0.75 * at_layer[1])


def test_baselines_without_weight_are_not_run_and_have_no_diagnostics(net, images, each):
    rows = []

    def counted(x):
        rows.append(len(x))
        return net(x)

    method = Expected(IDGI(counted), each, torch.tensor([0.5, 0.0, 0.5, 0.0]))
    _, diagnostics = method.attribute(images, 1, n_steps=STEPS, return_diagnostics=True)
    assert [of_one is None for of_one in diagnostics] == [False, True, False, True]
    with_two = sum(rows)
    rows.clear()
    IDGI(counted).attribute(images, each[:1], 1, n_steps=STEPS, return_diagnostics=True)
    assert with_two == 2 * sum(rows)


def test_what_has_no_weight_is_left_out_even_if_it_is_not_finite():
    x = torch.tensor([[1.0], [1.0]])
    method = Expected(IntegratedGradients(lambda z: z.sqrt().sum(1)), [0.0, -1.0], torch.tensor([[1.0, 0], [0.5, 0.5]]))
    with pytest.warns(RuntimeWarning, match="not finite"):
        got = method.attribute(x)
    assert got[0].isfinite().all()
    assert got[1].isnan().all()


def test_no_examples(net):
    got = Expected(IDGI(net), [0, 1], lambda x: torch.full((len(x), 2), 0.5)).attribute(torch.zeros(0, 3, 6, 5), 1)
    assert got.shape == (0, 3, 6, 5)


def test_noise_tunnel_takes_a_function(net, images):
    half = Expected(IDGI(net), [0, 1.0], lambda x: torch.full((len(x), 2), 0.5))
    plain = half.attribute(images, 1, n_steps=STEPS)
    close(NoiseTunnel(half).attribute(images, nt_samples=2, stdevs=0.0, target=1, n_steps=STEPS), plain)
    fixed = Expected(IDGI(net), [0, 1.0], torch.full((3, 2), 0.5))
    with pytest.raises(ValueError, match=r"one row for each of 6 examples.*NoiseTunnel"):
        NoiseTunnel(fixed).attribute(images, nt_samples=2, stdevs=0.0, target=1, n_steps=STEPS)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([0.5, 0.5], TypeError, "got list. Write torch.tensor"),
        (True, TypeError, "multiply_by_inputs=True"),
        (torch.ones(3) / 3, ValueError, r"expected shape \(2,\).*2 baselines; got \(3,\)"),
        (torch.ones(2), ValueError, "sum of 1 per example, got 2. Write weights / weights.sum"),
        (torch.tensor([[0.5, 0.5], [0.5, 0.4]]), ValueError, "got 0.9"),
        (torch.tensor([1.5, -0.5]), ValueError, "at least 0, got -0.5"),
        (torch.tensor([torch.nan, 1.0]), ValueError, "got a NaN"),
        (torch.full((3, 2), 0.5), ValueError, r"one row for each of 2 examples, got shape \(3, 2\)"),
        (lambda x: None, TypeError, "function to return a tensor, got NoneType"),
        (lambda x: torch.ones(2), ValueError, "sum of 1"),
    ],
)
def test_mistakes(weights, error, message):
    with pytest.raises(error, match=message):
        Expected(IntegratedGradients(lambda z: z.sum(1)), [0, 1], weights).attribute(torch.rand(2, 3))


def test_weights_that_change_after_the_constructor_are_checked_again(net, images):
    weights = torch.full((4,), 0.25)
    method = Expected(IntegratedGradients(net), [0.0, 0.1, 0.2, 0.3], weights)
    weights *= 2
    with pytest.raises(ValueError, match="expected a sum of 1 per example, got 2"):
        method.attribute(images, target=0, n_steps=2)
