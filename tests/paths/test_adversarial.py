"""Adversarial paths, AGI and MFABA: naive replicas, ends found, costs, and what they refuse."""

import pytest
import torch

from captum_ext.attr import AGI, IDGI, MFABA, LayerPathAttribution, NeuronPathAttribution, PathAttribution
from captum_ext.paths import AdversarialPath
from captum_ext.paths.adversarial import WrongClass


def gradient_of(net, x, target, *others):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x, *others)[0, target], x)[0]


def naive_agi(net, x, label, wrong, step, clip, most, code):
    """One example (1, ...) and one wrong class, from the equations."""
    point, total = x, torch.zeros_like(x)
    for _ in range(most):
        if int(net(point).argmax()) == wrong:
            break
        base = x if code else point
        new = (base + step * gradient_of(net, point, wrong).sign()).clamp(*clip)
        total = total - gradient_of(net, point, label) * (new - base)
        point = new
    return total, point


def naive_mfaba(net, x, label, step, clip, most, epsilon=None):
    point, total, first = x, torch.zeros_like(x), int(net(x).argmax())
    for _ in range(most):
        if int(net(point).argmax()) != first:
            break
        gradient = gradient_of(net, point, label)
        if epsilon is None:
            new = point - step * gradient / gradient.norm()
        else:
            new = torch.maximum(torch.minimum(point - step * gradient.sign(), x + epsilon), x - epsilon)
        new = new.clamp(*clip)
        total = total - gradient * (new - point)
        point = new
    return total, point


@pytest.fixture
def x(images):
    return images.sigmoid()


class Counted:
    """A function with the rows of its passes."""

    def __init__(self, function):
        self.function = function
        self.gradients = self.forwards = self.widest = 0

    def __call__(self, *inputs):
        rows = len(inputs[0])
        self.widest = max(self.widest, rows)
        if torch.is_grad_enabled():
            self.gradients += rows
        else:
            self.forwards += rows
        return self.function(*inputs)


@pytest.mark.parametrize("protocol", ["paper", "code"])
def test_agi_equals_the_naive_sum_over_the_wrong_classes(net, x, protocol):
    labels = [1, 0, 3]
    ours = AGI(net, [2, 0, 3], 0.05, (0, 1), protocol).attribute(x, target=labels, n_steps=15)
    for k, label in enumerate(labels):
        parts = [naive_agi(net, x[k : k + 1], label, c, 0.05, (0, 1), 15, protocol == "code") for c in (2, 0, 3)]
        expected = sum(part for (part, _), c in zip(parts, (2, 0, 3), strict=True) if c != label)
        torch.testing.assert_close(ours[k : k + 1], expected, rtol=0, atol=1e-12)
        assert any(not torch.equal(end, x[k : k + 1]) for _, end in parts)


@pytest.mark.parametrize("epsilon", [None, 0.12])
def test_mfaba_equals_the_naive_loop(net, x, epsilon):
    labels, variant = net(x).argmax(1), "norm" if epsilon is None else "sign"
    method = MFABA(net, 0.05, variant, (0, 1), epsilon)
    ours, delta = method.attribute(x, target=labels, n_steps=30, return_convergence_delta=True)
    steps = set()
    for k, label in enumerate(labels):
        expected, end = naive_mfaba(net, x[k : k + 1], label, 0.05, (0, 1), 30, epsilon)
        torch.testing.assert_close(ours[k : k + 1], expected, rtol=0, atol=1e-12)
        change = (net(x[k : k + 1]) - net(end))[0, label]
        torch.testing.assert_close(delta[k], expected.sum() - change, rtol=0, atol=1e-12)
        steps.add(float((end - x[k]).abs().max()))
    assert len(steps) == 3 or epsilon  # of several lengths


@pytest.mark.parametrize("cap", [None, 2, 1])
def test_batches_equal_single_examples_and_the_cap_holds(net, x, cap):
    for make in (lambda f: AGI(f, clip=(0, 1)), lambda f: MFABA(f, clip=(0, 1))):
        counted = Counted(net)
        ours = make(counted).attribute(x, target=[1, 0, 3], n_steps=15, internal_batch_size=cap)
        assert counted.widest <= (cap or 3)
        alone = [make(net).attribute(x[k : k + 1], target=t, n_steps=15) for k, t in enumerate([1, 0, 3])]
        torch.testing.assert_close(ours, torch.cat(alone), rtol=0, atol=1e-12)


def linear(z):
    """Class 0 wins for a positive sum; margins fall by a known amount per step."""
    return torch.stack([z.sum(1), -z.sum(1)], 1)


@pytest.mark.parametrize("cap", [None, 2])
def test_examples_that_found_their_end_cost_nothing(cap):
    x = torch.tensor([[0.5, 0.5], [1.5, 1.5], [2.5, 2.5]], dtype=torch.float64)
    counted = Counted(linear)
    MFABA(counted, 1.0, "sign").attribute(x, target=0, n_steps=50, internal_batch_size=cap)
    assert counted.gradients == 1 + 2 + 3
    assert counted.forwards == 3 + 1 + 2 + 3  # which class wins at the input, and after each step
    counted = Counted(linear)
    maps, delta = IDGI(counted, AdversarialPath(step=1.0)).attribute(
        x, target=0, n_steps=50, return_convergence_delta=True, internal_batch_size=cap
    )
    assert counted.gradients == 1 + 2 + 3 + 3  # F at the ends too
    assert delta.abs().max() < 1e-12  # IDGI's sum is F(input) - F(end), the last step included
    torch.testing.assert_close(maps, torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64).expand(3, 2))


def test_fewer_wrong_classes_than_paths_have_one_each(net, x):
    three, counted = Counted(net), Counted(net)
    expected = AGI(three, 3, clip=(0, 1)).attribute(x, target=[1, 0, 3])
    ours = AGI(counted, clip=(0, 1)).attribute(x, target=[1, 0, 3])
    assert torch.equal(ours, expected)
    assert counted.gradients == three.gradients
    targets = torch.tensor([0, 2, 3])
    chosen = [WrongClass(k, 15)(torch.zeros(3, 4), targets).tolist() for k in range(4)]
    assert chosen == [[1, 0, 0], [2, 1, 1], [3, 3, 2], [-1, -1, -1]]
    many = torch.stack([WrongClass(k, 15)(torch.zeros(2, 1000), torch.tensor([0, 999])) for k in range(15)])
    assert all(len(set(column)) == 15 for column in many.T.tolist())
    assert 0 not in many[:, 0]
    assert 999 not in many[:, 1]


@pytest.mark.parametrize("make", [lambda f, s: AGI(f, step=s), lambda f, s: MFABA(f, s)])
def test_the_sum_is_fs_change_to_the_ends_found_in_the_limit(net, x, make):
    errors = []
    for step in (0.02, 0.01, 0.005):
        maps, delta = make(net, step).attribute(x, target=net(x).argmax(1), n_steps=800, return_convergence_delta=True)
        change = maps.sum((1, 2, 3)) - delta
        assert (change > 0).all()  # there is evidence for the class that is left
        errors.append(float((delta / change).abs().max()))
    assert errors[0] > 1.5 * errors[1] > 2.2 * errors[2]
    assert errors[2] < 0.02


def test_several_inputs_move_together(pair_net):
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(2, *shape, dtype=torch.float64, generator=generator) for shape in pair_net.shapes)
    factor = torch.tensor([1.0, 2.0], dtype=torch.float64)
    label = pair_net(x, y, factor).argmax(1)
    ours = MFABA(pair_net, 0.2).attribute((x, y), target=label, additional_forward_args=factor, n_steps=4)
    for k in range(2):
        one, two = x[k : k + 1], y[k : k + 1]
        totals = [torch.zeros_like(one), torch.zeros_like(two)]
        for _ in range(4):
            one, two = one.detach().requires_grad_(), two.detach().requires_grad_()
            scores = pair_net(one, two, factor[k : k + 1])
            if int(scores.argmax()) != label[k]:
                break
            gradients = torch.autograd.grad(scores[0, label[k]], (one, two))
            norm = sum(g.square().sum() for g in gradients).sqrt()
            totals = [total + g * 0.2 * g / norm for total, g in zip(totals, gradients, strict=True)]
            one, two = (point - 0.2 * g / norm for point, g in zip((one, two), gradients, strict=True))
        for our, total in zip(ours, totals, strict=True):
            torch.testing.assert_close(our[k : k + 1], total, rtol=0, atol=1e-12)
    agi = AGI(pair_net, 2).attribute((x, y), target=0, additional_forward_args=factor, n_steps=4)
    assert isinstance(agi, tuple)
    assert [part.shape for part in agi] == [x.shape, y.shape]


def test_no_gradient_stops_and_a_small_one_does_not():
    weight, scale = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1e-25])  # 1e-25 has no square in float32

    def f(z, scale):
        return torch.stack([scale * (z @ weight) + 1, 0 * z[:, 0]], 1)

    x = torch.ones(2, 2)
    maps = MFABA(f).attribute(x, target=0, additional_forward_args=scale, n_steps=3)
    assert torch.equal(maps[0], torch.zeros(2))
    torch.testing.assert_close(maps[1], 3e-26 * weight.square() / weight.norm(), rtol=1e-5, atol=0)
    assert torch.equal(AGI(f).attribute(x, target=0, additional_forward_args=scale), torch.zeros(2, 2))


def test_targets_may_be_per_example_or_one_and_count_from_the_end(net, x):
    method = AGI(net, clip=(0, 1))
    expected = method.attribute(x, target=3)
    for target in (torch.tensor([3, 3, 3]), [3, 3, 3], [(3,), (3,), (3,)], (3,), torch.tensor(3), -1):
        assert torch.equal(method.attribute(x, target=target), expected)


def test_diagnostics_have_f_itself_and_one_entry_per_class(net, x):
    labels = net(x).argmax(1)
    maps, _, found = MFABA(net).attribute(x, target=labels, return_convergence_delta=True, return_diagnostics=True)
    for k in range(3):
        torch.testing.assert_close(found.values[k][0], net(x)[k, labels[k]])
    assert torch.equal(maps, MFABA(net).attribute(x, target=labels))
    _, found = AGI(net).attribute(x, target=labels, return_diagnostics=True)
    assert len(found) == 3


def test_a_range_per_channel(net, images):
    low, high = images.amin((0, 2, 3)) - 0.01, images.amax((0, 2, 3)) + 0.01
    seen = []

    def watched(z):
        seen.append(z.detach())
        return net(z)

    AGI(watched, step=0.5, clip=(low.tolist(), high.tolist())).attribute(images, target=1)
    points = torch.cat(seen)
    assert (points >= low.reshape(1, 3, 1, 1)).all()
    assert (points <= high.reshape(1, 3, 1, 1)).all()
    assert (points == low.reshape(1, 3, 1, 1)).any()


def test_at_a_layer_the_activation_moves(net, x):
    method = LayerPathAttribution(net, net.conv, path=AdversarialPath(step=0.002))
    maps, delta = method.attribute(x, target=net(x).argmax(1), n_steps=800, return_convergence_delta=True)
    assert (delta.abs() < 0.02 * (maps.sum((1, 2, 3)) - delta)).all()


def test_nothing_of_the_users_changes(net, x):
    net.train()
    x.requires_grad_()
    before = x.detach().clone()
    maps = MFABA(net, clip=(0, 1)).attribute(x, target=1, n_steps=3)
    assert torch.equal(x, before)
    assert x.grad is None
    assert not maps.requires_grad
    assert net.training


def test_what_is_refused(net, x):
    with pytest.raises(ValueError, match=r"clip: expected inputs in the range \(0, 1\), got -"):
        MFABA(net, clip=(0, 1)).attribute(x * 2 - 1, target=1)
    with pytest.raises(ValueError, match="expected a number, or one for each channel"):
        MFABA(net, clip=((0, 0), (1, 1))).attribute(x, target=1)
    with pytest.raises(ValueError, match="Leave out the baselines"):
        AGI(net).attribute(x, x, target=1)
    with pytest.raises(ValueError, match="A neuron has no classes"):
        NeuronPathAttribution(net, net.conv, path=AdversarialPath()).attribute(x, (0, 1, 1))
    with pytest.raises(ValueError, match=r"two classes or more, shape \(B, classes\), got \(3, 1\)"):
        MFABA(lambda z: net(z)[:, :1]).attribute(x, target=0)
    with pytest.raises(ValueError, match="the class that is explained must be known"):
        AGI(lambda z: net(z)).attribute(x)
    with pytest.raises(ValueError, match="class 1 is the target of an example"):
        AGI(net, [1]).attribute(x, target=[0, 1, 2])
    with pytest.raises(ValueError, match="expected classes from 0 to 3, got 7"):
        AGI(net, [7]).attribute(x, target=0)
    with pytest.raises(ValueError, match=r"not available with AdversarialPath.*protocol='code'"):
        AGI(net, protocol="code").attribute(x, target=0, return_convergence_delta=True)
    with pytest.raises(ValueError, match="expected the function to return one class index per example"):
        PathAttribution(net, AdversarialPath(lambda scores, targets: scores)).attribute(x, target=0)
    for wrong in ({"classes": 0}, {"classes": [1, 1]}, {"step": -1.0}, {"clip": (1, 0)}, {"protocol": "mine"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
            AGI(net, **wrong)
    for wrong in ({"classes": True}, {"classes": "all"}, {"clip": 1.0}, {"clip": ("a", "b")}, {"step": None}):
        with pytest.raises(TypeError, match=f"{next(iter(wrong))}: expected"):
            AGI(net, **wrong)
    with pytest.raises(ValueError, match="variant: expected 'norm' or 'sign'"):
        MFABA(net, variant="l1")
    with pytest.raises(ValueError, match="multiply_by_inputs"):
        MFABA(net, multiply_by_inputs=False)
