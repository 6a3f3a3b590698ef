"""Launches, waits and operations in float64 on a GPU, counted on a pretended device."""

import pytest
import torch

from captum_ext.attr import IDGI, GuidedIG, PathAttribution
from captum_ext.paths import BlurPath, GreedyPath, GuidedPath, StraightPath
from captum_ext.quadratures import WeightedSum
from tests.elsewhere import Elsewhere, pretended
from tests.launches import Counter, Model

PATHS = {"straight": StraightPath(), "blur": BlurPath(), "guided": GuidedPath(), "small fraction": GuidedPath(0.15)}
TARGETS = {
    "one": lambda examples: 1,
    "each": lambda examples: Elsewhere(torch.arange(examples) % 3),
    "list": lambda examples: [k % 3 for k in range(examples)],
}


def count(path, quadrature, examples, rows, target, n_steps):
    counter = Counter()
    model = Model(counter)
    with pretended(float64=True):
        torch.manual_seed(0)
        x, target = Elsewhere(torch.rand(examples, 3, 8, 8)), TARGETS[target](examples)
    method = IDGI(model, path=path) if quadrature == "IDGI" else PathAttribution(model, path, WeightedSum(quadrature))
    with counter.counting():
        method.attribute(x, target=target, n_steps=n_steps, internal_batch_size=rows)
    return counter.counts, model.passes


def per_pass(path, quadrature, examples, rows, target):
    """Launches, waits, float64 and copies without a wait of a pass, and the waits of a call outside its passes."""
    steps = rows // examples
    (few, few_passes), (many, many_passes) = (
        count(PATHS[path], quadrature, examples, rows, target, n_steps=passes * steps) for passes in (4, 8)
    )
    one = (many - few) / (many_passes - few_passes)
    return one.launches, one.waits, one.float64, one.copies, many.waits - many_passes * one.waits


@pytest.mark.parametrize(
    ("path", "quadrature", "examples", "rows", "target", "expected"),
    [
        ("straight", "gausslegendre", 16, 16, "one", (8, 0, 0, 2, 2)),
        ("straight", "gausslegendre", 16, 16, "each", (10, 0, 0, 2, 3)),
        ("straight", "gausslegendre", 16, 16, "list", (10, 0, 0, 2, 2)),
        ("straight", "gausslegendre", 1, 16, "one", (8, 0, 0, 2, 2)),
        ("straight", "riemann_trapezoid", 16, 16, "each", (10, 0, 0, 2, 3)),
        ("straight", "IDGI", 16, 16, "one", (21, 0, 0, 1, 2)),
        ("straight", "IDGI", 16, 16, "each", (24, 0, 0, 1, 3)),
        ("straight", "IDGI", 1, 16, "one", (23, 0, 0, 1, 2)),
        ("blur", "gausslegendre", 16, 16, "each", (16, 0, 2, 1, 3)),
        ("blur", "gausslegendre", 1, 16, "one", (15, 0, 2, 1, 2)),
        ("blur", "riemann_trapezoid", 16, 16, "each", (15, 0, 2, 1, 3)),
        ("blur", "riemann_trapezoid", 1, 16, "one", (17, 0, 2, 1, 2)),
        ("blur", "IDGI", 16, 16, "each", (27, 0, 2, 1, 3)),
        ("blur", "IDGI", 1, 16, "one", (28, 0, 2, 1, 2)),
        ("guided", "riemann_left", 16, 16, "one", (58, 0, 28, 0, 3)),
        ("guided", "riemann_left", 16, 16, "each", (61, 0, 28, 0, 4)),
        ("guided", "IDGI", 16, 16, "each", (71, 0, 25, 0, 3)),
    ],
)
def test_operations_of_a_pass(path, quadrature, examples, rows, target, expected):
    assert per_pass(path, quadrature, examples, rows, target) == expected


def test_a_step_of_up_to_eight_rounds_waits_once_at_most():
    (few, few_passes), (many, many_passes) = (
        count(PATHS["small fraction"], "riemann_left", 16, 16, "one", n_steps) for n_steps in (4, 12)
    )
    assert 0 < many.waits - few.waits <= many_passes - few_passes


def test_the_counter_notices_waits():
    counter = Counter()
    with counter.counting():
        there = Elsewhere(torch.ones(4))
        waits = []
        for wait in (
            lambda: there.cpu(),
            lambda: there.sum().item(),
            lambda: bool((there > 0).any()),
            lambda: there.tolist(),
            lambda: there.new_tensor([1.0]),
            lambda: torch.ones(2).to(there.device),
            lambda: there[torch.tensor([0, 1])],
            lambda: there.nonzero(),
            lambda: torch.equal(there, there),
            lambda: there * 2,
            lambda: torch.ones(2).to(there.device, non_blocking=True),
        ):
            before = counter.counts.waits
            wait()
            waits.append(counter.counts.waits - before)
    assert waits == [1] * 9 + [0] * 2


def function(x):
    z = torch.relu(x.flatten(1) - 0.3)  # with many gradients of 0, whose features move together
    return torch.stack([torch.sin(z).sum(1), (z**2).sum(1)], 1)


@pytest.mark.parametrize("shape", [(3, 8, 8), (7,)])
@pytest.mark.parametrize("max_dist", [0.02, 0.3, 1])
@pytest.mark.parametrize("fraction", [1, 0.25, 0.07])
def test_guided_paths_on_a_device_are_those_of_the_cpu_bit_for_bit(fraction, max_dist, shape):
    torch.manual_seed(0)
    x = torch.rand(3, *shape)
    x[:, : max(1, shape[0] // 2)] *= torch.rand(3, *shape)[:, : max(1, shape[0] // 2)] > 0.5
    for path in (GuidedPath(fraction, max_dist), GreedyPath(fraction, max_dist)):
        for rule in ("riemann_left", "riemann_trapezoid"):
            expected = PathAttribution(function, path).attribute(x, target=1, n_steps=5, method=rule)
            with pretended(float64=True):
                got = PathAttribution(function, path).attribute(Elsewhere(x), target=1, n_steps=5, method=rule).cpu()
            assert torch.equal(got, expected)


def test_blurred_points_on_a_device_are_those_of_the_cpu():
    x = torch.rand(2, 3, 9, 12, dtype=torch.float64)
    for mode in ("constant", "reflect", "replicate"):
        path = BlurPath(max_sigma=6.0, padding_mode=mode)
        alphas = [0.0, 0.3, 0.7, 1.0]
        expected = torch.stack([path.point((x,), (), alpha)[0] for alpha in alphas])
        with pretended(float64=True):
            (got,) = path.points((Elsewhere(x),), (), alphas)
        torch.testing.assert_close(got.cpu(), expected, rtol=0, atol=1e-14)
        assert torch.equal(path.points((x,), (), alphas)[0], expected)


def test_bounds_of_targets_are_checked_once_and_not_those_of_the_users_tensor():
    target = torch.tensor([0, 1, 2])
    seen = []

    def model(x):
        target.fill_(99)  # the user's tensor may change; the call goes on with its copy
        seen.append(len(x))
        return torch.stack([x.sum(1), (x**2).sum(1), x.prod(1)], 1)

    got = GuidedIG(model).attribute(torch.rand(3, 4), target=target, n_steps=3)
    assert bool(got.isfinite().all())
    with pytest.raises(ValueError, match=r"target 99 is out of range for a model with 3 outputs"):
        GuidedIG(model).attribute(torch.rand(3, 4), target=target, n_steps=3)
