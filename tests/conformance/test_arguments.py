"""Every method takes what Captum's Integrated Gradients takes."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.cases import COMPLETE, METHODS, TAKES_BASELINES, each, every_method
from tests.conftest import PairNet, SmoothNet
from tests.helpers import close

STEPS = 6


@every_method
def test_one_tensor_in_one_out_and_tuple_in_tuple_out(case, net, images):
    method = case.make(net)
    alone = method.attribute(images, target=1, n_steps=STEPS)
    assert isinstance(alone, torch.Tensor)
    (in_tuple,) = method.attribute((images,), target=1, n_steps=STEPS)
    close(in_tuple, alone, 0)
    pair, delta = method.attribute((images,), target=1, n_steps=STEPS, return_convergence_delta=True)
    assert isinstance(pair, tuple)
    assert delta.shape == (3,)


@every_method
def test_tuple_inputs(case, pair_net, pairs):
    attributions = case.make(pair_net).attribute(pairs, target=2, n_steps=STEPS)
    assert [part.shape for part in attributions] == [part.shape for part in pairs]
    for k in range(3):
        single = case.make(pair_net).attribute(tuple(part[k : k + 1] for part in pairs), target=2, n_steps=STEPS)
        for part, one in zip(attributions, single, strict=True):
            close(part[k : k + 1], one)


@pytest.mark.parametrize(
    "target", [1, torch.tensor(1), torch.tensor([1]), torch.tensor([1, 1, 1]), [1, 1, 1], (1,), [(1,)] * 3]
)
@every_method
def test_every_form_of_one_target(case, net, images, target):
    method = case.make(net)
    expected = case.make(lambda x: net(x)[:, 1]).attribute(images, n_steps=STEPS)
    close(method.attribute(images, target=target, n_steps=STEPS), expected)
    close(method.attribute(images, target=target, n_steps=STEPS, internal_batch_size=2), expected)


@pytest.mark.parametrize(
    "target",
    [[2, 0, 3], torch.tensor([2, 0, 3]), torch.tensor([2, 0, 3], dtype=torch.int32), [(2,), (0,), (3,)]],
)
@every_method
def test_a_target_for_each_example(case, net, images, target):
    attributions = case.make(net).attribute(images, target=target, n_steps=STEPS, internal_batch_size=5)
    for k, index in enumerate([2, 0, 3]):
        single = case.make(net).attribute(images[k : k + 1], target=index, n_steps=STEPS)
        close(attributions[k : k + 1], single)


@every_method
def test_targets_of_outputs_with_more_dimensions(case, net, images):
    def grid(x):
        return net(x).reshape(-1, 2, 2)

    expected = case.make(net).attribute(images, target=[3, 0, 2], n_steps=STEPS)
    close(case.make(grid).attribute(images, target=[(1, 1), (0, 0), (1, 0)], n_steps=STEPS), expected)
    close(
        case.make(grid).attribute(images, target=(0, 1), n_steps=STEPS),
        case.make(net).attribute(images, target=1, n_steps=STEPS),
    )


@pytest.mark.parametrize("cap", [None, 2])
@each(TAKES_BASELINES)
def test_every_form_of_baselines(case, pair_net, pairs, cap):
    def run(baselines):
        return case.make(pair_net).attribute(pairs, baselines, target=0, n_steps=STEPS, internal_batch_size=cap)

    full = (torch.full_like(pairs[0], 0.5), torch.zeros_like(pairs[1]))
    expected = run(full)
    for baselines in (
        (0.5, 0),
        (torch.full((1, 3, 6, 5), 0.5, dtype=torch.float64), 0),
        (full[0], torch.zeros(1, 2, 4, 4)),
        (torch.full((1, 3, 1, 1), 0.5), 0.0),
    ):
        for got, wanted in zip(run(baselines), expected, strict=True):
            close(got, wanted, 0)
    for got, wanted in zip(run(None), run((0, 0)), strict=True):
        close(got, wanted, 0)


@every_method
def test_additional_arguments_go_with_their_examples(case, pair_net, pairs):
    factor = torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)
    for cap in (None, 1, 2, 4, 7):
        attributions = case.make(pair_net).attribute(
            pairs, target=1, additional_forward_args=(factor, 2), n_steps=STEPS, internal_batch_size=cap
        )
        for k in range(3):
            single = case.make(lambda x, y, k=k: pair_net(x, y, factor[k].item(), 2)).attribute(
                tuple(part[k : k + 1] for part in pairs), target=1, n_steps=STEPS
            )
            for part, one in zip(attributions, single, strict=True):
                close(part[k : k + 1], one)


@every_method
def test_additional_arguments_that_are_no_tuple(case, pair_net, pairs):
    for argument in (2.0, torch.tensor(2.0, dtype=torch.float64)):
        got = case.make(pair_net).attribute(pairs, target=1, additional_forward_args=argument, n_steps=STEPS)
        expected = case.make(lambda x, y: pair_net(x, y, 2.0)).attribute(pairs, target=1, n_steps=STEPS)
        for part, wanted in zip(got, expected, strict=True):
            close(part, wanted)


@every_method
def test_any_internal_batch_size_gives_the_same_and_caps_every_forward(case, net):
    inputs = torch.randn(5, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    targets = [0, 1, 2, 3, 0]
    rows = []

    def counting(x):
        rows.append(len(x))
        return net(x)

    expected, deltas = case.make(net).attribute(inputs, target=targets, n_steps=STEPS, return_convergence_delta=True)
    for cap in (1, 2, 3, 4, 5, 6, 10, 11, 34, 1000):
        rows.clear()
        got, delta = case.make(counting).attribute(
            inputs, None, targets, None, STEPS, None, cap, return_convergence_delta=True
        )
        close(got, expected)
        close(delta, deltas)
        assert max(rows) <= cap


@settings(max_examples=40, deadline=None)
@given(
    case=st.sampled_from(METHODS),
    examples=st.integers(1, 5),
    cap=st.none() | st.integers(1, 40),
    steps=st.integers(1, 9),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 999),
)
def test_shapes_and_batches(case, examples, cap, steps, shape, seed):
    """Examples do not see one another, whatever their number, shape and batching."""
    torch.manual_seed(seed)
    weight = torch.randn(2, *shape, dtype=torch.float64)
    x = torch.randn(examples, *shape, dtype=torch.float64)

    def model(z):
        return torch.tanh((z.unsqueeze(1) * weight).flatten(2).sum(2))

    together = case.make(model).attribute(x, target=1, n_steps=steps, internal_batch_size=cap)
    for k in range(examples):
        close(together[k : k + 1], case.make(model).attribute(x[k : k + 1], target=1, n_steps=steps))


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 7, 2), (4, 2, 3, 3), (4, 2, 3, 3, 2)])
@each(METHODS)
def test_inputs_of_any_rank(case, shape):
    if len(shape) < case.minimum_rank:
        with pytest.raises(ValueError, match=re.escape(str(shape))):
            case.make(lambda z: z.flatten(1).sum(1)).attribute(torch.rand(shape), n_steps=STEPS)
        return
    x = torch.rand(shape, dtype=torch.float64)
    attribution = case.make(lambda z: z.reshape(len(z), -1).pow(2).sum(1)).attribute(x, n_steps=STEPS)
    assert attribution.shape == x.shape


@every_method
def test_no_examples(case, net):
    attributions, delta = case.make(net).attribute(torch.zeros(0, 3, 6, 5), target=0, return_convergence_delta=True)
    assert attributions.shape == (0, 3, 6, 5)
    assert delta.shape == (0,)


@each(COMPLETE)
def test_completeness(case, net, images):
    method = case.make(net)
    assert method.has_convergence_delta()
    attributions, delta = method.attribute(images, target=1, n_steps=400, return_convergence_delta=True)
    assert delta.abs().max() < 2e-2 * net(images)[:, 1].max()
    if case.path.ends_at_inputs:
        start = case.path.start((images,), None)
        close(method.compute_convergence_delta(attributions, start, images, target=1), delta)


@every_method
def test_identical_input_and_baseline_and_constant_f(case, net, images):
    if case.takes_baselines and case.complete:
        attributions, delta = case.make(net).attribute(images, images, target=0, return_convergence_delta=True)
        assert (attributions == 0).all()
        assert (delta == 0).all()
    constant = case.make(lambda x: 0 * x.sum((1, 2, 3)) + 3).attribute(images, n_steps=STEPS)
    assert (constant == 0).all()


@every_method
def test_saturated_softmax(case, images):
    def saturated(x):
        return torch.stack([x.sum((1, 2, 3)) * 1e4 + 1e6, 0 * x.sum((1, 2, 3))], 1).softmax(1)

    attributions = case.make(saturated).attribute(images, target=0, n_steps=STEPS)
    assert (attributions == 0).all()


@each(TAKES_BASELINES)
def test_features_that_do_not_differ_get_nothing_from_a_weighted_sum(case, net, images):
    baseline = torch.zeros_like(images)
    baseline[:, 1] = images[:, 1]
    attributions = case.make(net).attribute(images, baseline, target=0, n_steps=STEPS)
    assert torch.isfinite(attributions).all()
    if case.multiplies_by_moves:
        assert (attributions[:, 1] == 0).all()
        assert (attributions[:, 0] != 0).any()


@every_method
def test_an_input_that_f_ignores_gets_nothing(case, net, images):
    used, ignored = case.make(lambda x, y: net(x)).attribute(
        (images, torch.rand(3, 1, 4, 4, dtype=torch.float64)), target=0, n_steps=STEPS
    )
    assert (used != 0).any()
    assert (ignored == 0).all()


def test_nets_of_the_fixtures_have_the_shapes_that_the_tests_assume():
    assert SmoothNet.shape == (3, 6, 5)
    assert PairNet.shapes == ((3, 6, 5), (2, 4, 4))
