"""Paths towards a reference's representation, and IG2: a naive replica, ends found, and what is refused."""

import pytest
import torch
from torch import nn

from captum_ext.attr import AGI, IG2, MFABA, Expected, LayerPathAttribution, NeuronPathAttribution, PathAttribution
from captum_ext.paths import RepresentationPath
from tests.static_buffers import StaticBuffers


def naive_ig2(f, representation, x, reference, label, length, steps):
    """One example (1, ...) and one reference, from the equations."""
    point, total, goal = x, torch.zeros_like(x), representation(reference).detach()
    for _ in range(steps):
        here = point.detach().requires_grad_()
        (search,) = torch.autograd.grad((representation(here) - goal).square().sum(), here)
        (gradient,) = torch.autograd.grad(f(here)[0, label], here)
        new = point - length * search / search.norm()
        total = total + gradient * (point - new)
        point = new
    return total, point


@pytest.fixture
def references(images):
    return torch.randn(3, *images.shape[1:], dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("as_module", [True, False])
@pytest.mark.parametrize("step", [None, 0.3])
def test_ig2_equals_the_naive_loop(net, images, references, step, as_module):
    labels = [1, 0, 3]
    representation = net.conv if as_module else lambda z: net.conv(z)
    ours, delta = IG2(net, representation, step).attribute(
        images, references, labels, n_steps=12, return_convergence_delta=True
    )
    for k, label in enumerate(labels):
        x, reference = images[k : k + 1], references[k : k + 1]
        length = float((x - reference).norm()) / 12 if step is None else step
        expected, end = naive_ig2(net, net.conv, x, reference, label, length, 12)
        torch.testing.assert_close(ours[k : k + 1], expected, rtol=0, atol=1e-12)
        change = (net(x) - net(end))[0, label]
        torch.testing.assert_close(delta[k], expected.sum() - change, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cap", [None, 2, 1])
def test_batches_equal_single_examples_and_the_cap_holds(net, images, references, cap):
    rows = []

    def counted(z):
        rows.append(len(z))
        return net(z)

    ours = IG2(counted, net.conv).attribute(images, references, [1, 0, 3], n_steps=5, internal_batch_size=cap)
    assert max(rows) <= (cap or 3)
    alone = [
        IG2(net, net.conv).attribute(images[k : k + 1], references[k : k + 1], target, n_steps=5)
        for k, target in enumerate([1, 0, 3])
    ]
    torch.testing.assert_close(ours, torch.cat(alone), rtol=0, atol=1e-12)


def test_several_references_are_averaged(net, images, references):
    method = IG2(net, net.conv)
    ours = Expected(method, references).attribute(images, target=1, n_steps=6)
    parts = [method.attribute(images, references[k : k + 1], 1, n_steps=6) for k in range(3)]
    torch.testing.assert_close(ours, sum(parts) / 3)


def test_the_sum_is_fs_change_to_the_end_found_in_the_limit(net, images, references):
    errors = []
    for steps in (50, 100, 200):
        maps, delta = IG2(net, net.conv).attribute(images, references, 1, n_steps=steps, return_convergence_delta=True)
        errors.append(float((delta / (maps.sum((1, 2, 3)) - delta)).abs().max()))
    assert errors[0] > 1.7 * errors[1] > 2.8 * errors[2]
    assert errors[2] < 0.05


def test_the_walk_ends_near_the_reference_s_representation(net, images, references):
    seen = []

    def watched(z):
        seen.append(z.detach())
        return net(z)

    IG2(watched, net.conv).attribute(images[:1], references[:1], 1, n_steps=100)
    near, far = (net.conv(z) - net.conv(references[:1]) for z in (seen[-1], images[:1]))
    assert near.norm() < 0.2 * far.norm()  # back and forth by one step, a hundredth of the straight way


def test_several_inputs_and_arguments(pair_net):
    generator = torch.Generator().manual_seed(3)
    inputs = tuple(torch.randn(2, *s, dtype=torch.float64, generator=generator) for s in pair_net.shapes)
    goals = tuple(torch.randn(1, *s, dtype=torch.float64, generator=generator) for s in pair_net.shapes)
    factor = torch.tensor([1.0, 2.0], dtype=torch.float64)
    ours, delta = IG2(pair_net, pair_net.left).attribute(
        inputs, goals, [0, 1], factor, n_steps=100, return_convergence_delta=True
    )
    assert [part.shape for part in ours] == [part.shape for part in inputs]
    assert (ours[1] == 0).all()  # the layer on the left does not see it, so it does not move
    _, finer = IG2(pair_net, pair_net.left).attribute(
        inputs, goals, [0, 1], factor, n_steps=800, return_convergence_delta=True
    )
    assert (finer.abs() < delta.abs() / 5).all()
    both, _ = IG2(pair_net, lambda x, y, factor: factor.unsqueeze(1) * pair_net.right(y.flatten(1))).attribute(
        inputs, goals, 0, factor, n_steps=3, return_convergence_delta=True
    )
    assert (both[0] == 0).all()
    assert (both[1] != 0).any()


def test_without_a_gradient_an_example_stops_and_costs_nothing(net, images, references):
    goals = references.clone()
    goals[0] = images[0]
    rows = []

    def counted(z):
        if torch.is_grad_enabled():
            rows.append(len(z))
        return net(z)

    maps, delta = IG2(counted, net.conv, 0.2).attribute(images, goals, 1, n_steps=4, return_convergence_delta=True)
    assert (maps[0] == 0).all()
    assert delta[0] == 0
    assert maps.isfinite().all()
    assert sum(rows) == 2 * (1 + 4 + 4)


def test_a_small_gradient_in_float32_is_no_zero():
    scaled = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        scaled.weight.copy_(torch.eye(2) * 1e-14)
    maps = IG2(nn.Sequential(scaled, nn.Identity()), scaled, 0.5).attribute(
        torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2), 0, n_steps=10
    )
    torch.testing.assert_close(maps, torch.tensor([[3e-14, 0.0]]), rtol=1e-5, atol=0)


def test_layers_and_neurons(net, images, references):
    at_layer = LayerPathAttribution(net, net.conv, path=RepresentationPath(net.head))
    of_neuron = NeuronPathAttribution(net, net.head, path=RepresentationPath(net.conv))
    deltas = []
    for steps in (50, 400):
        settings = {"n_steps": steps, "return_convergence_delta": True}
        maps, of_activation = at_layer.attribute(images, references, 1, **settings)
        assert maps.shape == (3, 5, 6, 5)
        maps, of_input = of_neuron.attribute(images, 2, references, **settings)
        assert maps.shape == images.shape
        deltas.append(torch.stack([of_activation, of_input]).abs())
    assert (deltas[1] < deltas[0] / 5).all()
    with pytest.raises(ValueError, match="representation: expected one that depends on the inputs"):
        LayerPathAttribution(net, net.head, path=RepresentationPath(net.conv)).attribute(images, references, 1)


def test_static_buffers_and_inference_tensors_change_nothing():
    model = nn.Sequential(nn.Linear(4, 6), nn.Softplus(), nn.Linear(6, 3))
    static = StaticBuffers(model)
    x, reference = torch.rand(3, 4), torch.rand(1, 4)
    settings = {"target": [0, 1, 2], "n_steps": 5}
    for make, baselines in (
        (AGI, None),
        (MFABA, None),
        (lambda f: IG2(f, StaticBuffers(model[0]).forward), reference),
        (lambda f: IG2(f, lambda z: f(z)), reference),
    ):
        expected = make(model).attribute(x, baselines, **settings)
        assert torch.equal(make(static).attribute(x, baselines, **settings), expected)
        with torch.inference_mode():
            copies = x.clone(), None if baselines is None else reference.clone()
            assert torch.equal(make(model).attribute(*copies, **settings), expected)


def test_what_is_refused(net, images):
    with pytest.raises(ValueError, match="RepresentationPath needs references"):
        IG2(net, net.conv).attribute(images, target=1)
    with pytest.raises(ValueError, match="Linear did not run in forward_func"):
        IG2(net, nn.Linear(2, 2)).attribute(images, 0, 1)
    with pytest.raises(ValueError, match="representation: expected one that depends on the inputs"):
        IG2(net, lambda z: z.detach()).attribute(images, 0, 1)
    with pytest.raises(ValueError, match="expected one row of output for each of 3 rows"):
        IG2(net, lambda z: z.sum()).attribute(images, 0, 1)
    with pytest.raises(TypeError, match="representation: expected a module of the model"):
        IG2(net, "conv")
    with pytest.raises(ValueError, match="step: expected a positive length"):
        IG2(net, net.conv, 0)
    with pytest.raises(ValueError, match="multiply_by_inputs"):
        PathAttribution(net, RepresentationPath(net.conv), multiply_by_inputs=False)
