"""Left IG's path, which ends where F saturates, against closed forms and the straight path itself."""

import math

import pytest
import torch

from captum_ext.attr import IDGI, IntegratedGradients, LayerPathAttribution, LeftIG, PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath, UnsaturatedPath
from captum_ext.quadratures import DecisionGradients, ImportantDirection
from tests.helpers import ones


def ramp(z):
    """Saturated at 1."""
    return z.clamp(max=1).sum(1)


def rising(net):
    """Rises from 0.02 on the way from zeros and saturates at 1."""
    return lambda z: torch.sigmoid(1000 * (net(z) - net(torch.zeros_like(z[:1]))).square() - 4)


def test_each_example_ends_where_its_f_reaches_the_share():
    x = torch.tensor([[4.0], [1.0], [0.5], [2.5]], dtype=torch.float64)
    ours, delta = LeftIG(ramp).attribute(x, n_steps=6, return_convergence_delta=True)
    # 0.9 of the maximum; linear up to there.
    torch.testing.assert_close(ours, torch.tensor([[0.9], [0.9], [0.45], [0.9]], dtype=torch.float64))
    torch.testing.assert_close(delta, torch.zeros(4, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("steps", [{"n_steps": 40}, {"n_steps": "auto", "tol": 1e-3}], ids=str)
@pytest.mark.parametrize("fraction", [0.5, 0.9, 1.0])
def test_closed_form(steps, fraction):
    """F = f(a) up to the first a with f = fraction * max f: the attribution is f there, minus f at 0."""

    def function(z):  # rises to 1 at 0.5 and falls again
        return (math.pi * z).sin().sum(1)

    ours = LeftIG(function, fraction=fraction, n_pilot=400).attribute(ones(1, 1), **steps)
    assert float(ours) == pytest.approx(fraction, rel=2e-3)


@pytest.mark.parametrize("cap", [None, 2, 5])
def test_targets_and_end_per_example(net, images, cap):
    """Against a search by hand, and Integrated Gradients to the points found."""
    target, function = torch.tensor([1, 3, 3]), rising(net)
    with torch.no_grad():
        values = torch.stack([function(k / 50 * images).gather(1, target[:, None])[:, 0] for k in range(51)])
    expected, ends = [], []
    for k in range(3):
        level = 0.9 * float(values[:, k].max())
        first = next(j for j in range(51) if float(values[j, k]) >= level)
        before = float(values[first - 1, k])
        end = (first - 1 + (level - before) / (float(values[first, k]) - before)) / 50 if first else 0.0
        ends.append(end)
        expected.append(
            IntegratedGradients(function).attribute(end * images[k : k + 1], target=int(target[k]), n_steps=9)
        )
    assert 0 < min(ends) < max(ends) < 1
    method = LeftIG(function)
    ours, delta = method.attribute(
        images, target=target, n_steps=9, internal_batch_size=cap, return_convergence_delta=True
    )
    torch.testing.assert_close(ours, torch.cat(expected))
    reached = torch.stack([function(end * x[None])[0, t] for end, x, t in zip(ends, images, target, strict=True)])
    start = function(torch.zeros_like(images)).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(delta, ours.sum((1, 2, 3)) - (reached - start).detach())
    adaptive = method.attribute(images, target=target, n_steps="auto", tol=1e-3, internal_batch_size=cap)
    fine = method.attribute(images, target=target, n_steps=200)
    torch.testing.assert_close(adaptive, fine, rtol=0, atol=float(fine.abs().max()) * 5e-3)


@pytest.mark.parametrize("quadrature", [None, ImportantDirection(), DecisionGradients()], ids=str)
def test_an_f_that_rises_up_to_the_input_keeps_its_whole_path_bit_for_bit(images, quadrature):
    def function(z):
        return z.abs().sum((1, 2, 3)).square()

    ours = PathAttribution(function, UnsaturatedPath(fraction=1.0), quadrature).attribute(images, n_steps=5)
    whole = PathAttribution(function, StraightPath(), quadrature).attribute(images, n_steps=5)
    torch.testing.assert_close(ours, whole, rtol=0, atol=0)


def test_on_the_blur_path(net, images):
    path = BlurPath(max_sigma=2.0)
    function = rising(net)
    ours, delta = LeftIG(function, path, 0.5).attribute(
        images[1:], target=3, n_steps=200, return_convergence_delta=True
    )
    change = ours.sum((1, 2, 3)) - delta
    whole = (function(images) - function(path.start((images,), None)[0]))[1:, 3].detach()
    assert bool((delta.abs() < 0.02 * change.abs()).all())
    assert not bool(torch.isclose(change, whole).all())
    with pytest.raises(ValueError, match="BlurPath starts from the blurred input"):
        LeftIG(net, path).attribute(images, images, target=1)


def test_baselines_and_several_inputs(pair_net):
    pair = (torch.rand(2, 3, 6, 5, dtype=torch.float64), torch.rand(2, 2, 4, 4, dtype=torch.float64))
    starts = tuple(0.5 * part for part in pair)

    def positive(*parts):
        return pair_net(*parts) + 2

    ours, delta = LeftIG(positive, n_pilot=10, fraction=0.99).attribute(
        pair, starts, target=1, return_convergence_delta=True
    )
    assert [part.shape for part in ours] == [part.shape for part in pair]
    assert bool((delta.abs() < 1e-4).all())


def test_the_search_takes_forward_passes_only(net, images):
    rows, backward = [], []
    hooks = [
        net.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0]))),
        net.head.register_full_backward_hook(lambda *_: backward.append(1)),
    ]
    LeftIG(rising(net), n_pilot=10).attribute(images, target=3, n_steps=4, internal_batch_size=3)
    for hook in hooks:
        hook.remove()
    assert sorted(set(rows)) == [1, 3]  # F at the zeros is a part of this F
    assert rows.count(3) == 11 + 4
    assert len(backward) == 4


def test_what_has_no_share_or_no_path_warns():
    x = ones(2, 2)
    with pytest.warns(RuntimeWarning, match="nowhere positive"):
        ours = LeftIG(lambda z: z.sum(1) - 5).attribute(x)
    torch.testing.assert_close(ours, x)  # the whole path
    with pytest.warns(RuntimeWarning, match="at the start is at least 0.9"):
        ours, delta = LeftIG(lambda z: z.sum(1) + 100).attribute(x, return_convergence_delta=True)
    assert bool((ours == 0).all())
    assert bool((delta == 0).all())


def test_at_a_layer(net, images):
    method = LayerPathAttribution(lambda z: 1e3 * (net(z) - 0.2) ** 4, net.conv, path=UnsaturatedPath())
    ours, delta = method.attribute(images, target=3, n_steps=60, return_convergence_delta=True)
    assert ours.shape == (3, 5, 6, 5)
    assert bool((delta.abs() < 1e-6).all())
    assert not bool((ours == 0).flatten(1).all(1).any())


def test_without_the_factor_of_the_inputs(images):
    weight = torch.rand(images.shape[1:], dtype=torch.float64)
    method = LeftIG(lambda z: (z * weight).sum((1, 2, 3)), fraction=0.5, multiply_by_inputs=False)
    ours = method.attribute(images.abs(), n_steps=3)
    torch.testing.assert_close(ours, (0.5 * weight).expand_as(images))


def test_important_direction_sums_to_the_change_up_to_the_end(net, images):
    def function(z):  # whose gradient is not 0 at the start
        return rising(net)(z + 0.1)

    ours, delta = IDGI(function, path=UnsaturatedPath()).attribute(
        images, target=3, n_steps=6, return_convergence_delta=True
    )
    assert bool((delta.abs() < 1e-12).all())
    assert not torch.allclose(ours, IDGI(function).attribute(images, target=3, n_steps=6))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"path": BlurPath}, TypeError, "expected a path"),
        ({"path": GuidedPath()}, ValueError, "known in advance; GuidedPath"),
        ({"fraction": 0.0}, ValueError, r"a share in \(0, 1\]"),
        ({"fraction": 1.5}, ValueError, r"a share in \(0, 1\]"),
        ({"fraction": "0.9"}, TypeError, "a share such as 0.9"),
        ({"n_pilot": 0}, ValueError, "positive integer"),
        ({"n_pilot": 2.5}, TypeError, "positive integer"),
    ],
)
def test_mistakes(arguments, error, match):
    with pytest.raises(error, match=match):
        UnsaturatedPath(**arguments)
