"""The greedy path and SAMP: a naive loop, limits, and the guided path as its reverse."""

import pytest
import torch

from captum_ext.attr import IDGI, SAMP, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.paths import GreedyPath, GuidedPath

ONE_AT_A_TIME = 1e-9


def naive_samp(gradient_of, x, start, steps):
    """One example: the feature with the largest contribution moves first, until the step's length is used up."""
    point, total, whole = start.clone(), torch.zeros_like(x), (x - start).abs().sum()
    for step in range(steps):
        gradient, budget, new = gradient_of(point), whole / steps, point.clone()
        if step == steps - 1:
            new = x.clone()
        else:
            for feature in (gradient * (x - point)).argsort(descending=True):
                left = (x - point)[feature].abs()
                if left == 0:
                    continue
                share = min(1.0, float(budget / left))
                new[feature] += share * (x - point)[feature]
                budget -= share * left
                if share < 1:
                    break
        total += gradient * (new - point)
        point = new
    return total


@pytest.mark.parametrize("steps", [1, 7, 40])
def test_samp_equals_the_naive_loop(net, images, steps):
    start = torch.randn_like(images) * 0.3
    start[:, 0] = images[:, 0]  # these features have no way to go
    ours = SAMP(net, ONE_AT_A_TIME).attribute(images, start, [1, 0, 3], n_steps=steps)

    for k, target in enumerate([1, 0, 3]):

        def gradient_of(flat, target=target):
            z = flat.reshape(1, *net.shape).clone().requires_grad_()
            return torch.autograd.grad(net(z)[0, target], z)[0].flatten()

        expected = naive_samp(gradient_of, images[k].flatten(), start[k].flatten(), steps)
        torch.testing.assert_close(ours[k].flatten(), expected, rtol=0, atol=1e-10)
    assert (ours[:, 0] == 0).all()


@pytest.mark.parametrize("method", [SAMP(lambda x: x.exp().sum(1), 1.0), SAMP(lambda x: x.exp().sum(1), 0.3, 0.0)])
def test_all_features_at_a_time_or_no_distance_give_the_straight_path(method):
    x = torch.randn(3, 7, dtype=torch.float64)
    straight = IntegratedGradients(method.forward_func).attribute(x, n_steps=9, method="riemann_left")
    torch.testing.assert_close(method.attribute(x, n_steps=9), straight)


def test_the_feature_that_raises_f_most_moves_first_and_the_one_that_lowers_it_last():
    points = []

    def f(z):
        points.append(z.detach())
        return 3 * z[:, 0] - 2 * z[:, 1] + z[:, 2] + 0 * z[:, 3]

    maps = SAMP(f, ONE_AT_A_TIME).attribute(torch.ones(1, 4), n_steps=4)
    assert torch.cat(points).tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]]
    assert maps.tolist() == [[3, -2, 1, 0]]
    points.clear()
    GuidedIG(f, ONE_AT_A_TIME, 1.0).attribute(torch.ones(1, 4), n_steps=4)
    assert torch.cat(points).tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]]
    points.clear()
    SAMP(f, ONE_AT_A_TIME).attribute(torch.tensor([[-1.0, -1.0, -1.0, -1.0]]), n_steps=4)
    assert torch.cat(points).tolist() == [[0, 0, 0, 0], [0, -1, 0, 0], [0, -1, 0, -1], [0, -1, -1, -1]]


def test_the_sum_is_fs_change_in_the_limit(net, images):
    errors = []
    for steps in (50, 200, 800):
        maps, delta = SAMP(net).attribute(images, target=1, n_steps=steps, return_convergence_delta=True)
        errors.append(float(delta.abs().max()))
    assert errors[0] > errors[1] > errors[2]
    torch.testing.assert_close(maps.sum((1, 2, 3)) - delta, net(images)[:, 1] - net(0 * images)[:, 1])
    _, exact = IDGI(net, GreedyPath()).attribute(images, target=1, n_steps=10, return_convergence_delta=True)
    assert exact.abs().max() < 1e-12


def test_batches_tuples_and_caps(pair_net):
    generator = torch.Generator().manual_seed(3)
    inputs = tuple(torch.randn(4, *s, dtype=torch.float64, generator=generator) for s in pair_net.shapes)
    ours = SAMP(pair_net).attribute(inputs, target=[0, 1, 2, 3], n_steps=6)
    capped = SAMP(pair_net).attribute(inputs, target=[0, 1, 2, 3], n_steps=6, internal_batch_size=1)
    for k in range(4):
        alone = SAMP(pair_net).attribute(tuple(x[k : k + 1] for x in inputs), target=k, n_steps=6)
        for part, one, cap in zip(ours, alone, capped, strict=True):
            torch.testing.assert_close(part[k : k + 1], one)
            torch.testing.assert_close(part, cap)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_is_reported_and_ends(value):
    def f(z):
        return (z * torch.tensor([1.0, value, 2.0])).sum(1)

    with pytest.warns(RuntimeWarning, match="not finite"):
        SAMP(f, 0.3).attribute(torch.ones(2, 3), n_steps=5)


def test_ties_move_together_as_in_the_guided_path():
    x = torch.ones(2, 6, dtype=torch.float64)
    maps = SAMP(lambda z: z.sum(1).square(), ONE_AT_A_TIME).attribute(x, n_steps=4)
    torch.testing.assert_close(maps, maps[:1, :1].expand(2, 6))
    assert PathAttribution(lambda z: z.sum(1)).path != GreedyPath() != GuidedPath(0.01, 1.0)
