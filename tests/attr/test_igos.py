"""I-GOS against the published loop on one image, batches against single images, descent at every step, and mistakes."""

import captum
import pytest
import torch
from torch.nn import functional

from captum_ext import baselines
from captum_ext.attr import IGOS, SharedArgument
from tests.helpers import close


@pytest.fixture
def net():
    """Images (B, 2, 9, 8) to probabilities; sharp, so that masks move far."""
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(2, 6, 3), torch.nn.Softplus(), torch.nn.Flatten(), torch.nn.Linear(252, 4)
    return torch.nn.Sequential(*layers, torch.nn.Softmax(1)).double()


@pytest.fixture
def images():
    return 2 * torch.randn(4, 2, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets(net, images):
    return net(images).argmax(1)


def streams(n, seed):
    seeds = torch.randint(2**63 - 1, (n,), generator=torch.Generator().manual_seed(seed)).tolist()
    return [torch.Generator().manual_seed(own) for own in seeds]


def naive(net, image, blurred, target, size, stream, noise=0.2, n_steps=15, n_iterations=20, l1=1.0, tv_factor=20.0):
    """The algorithm for one image, as published, and the change of the objective in each step."""
    mask = torch.ones(1, 1, *size, dtype=image.dtype, requires_grad=True)

    def upsample(m):
        return torch.nn.UpsamplingBilinear2d(image.shape[2:])(m)

    def penalty(m):
        tv = (m[..., 1:, :] - m[..., :-1, :]).square().mean() + (m[..., 1:] - m[..., :-1]).square().mean()
        return l1 * (1 - m).abs().mean() + tv_factor * tv

    def objective(m, drawn):
        full = upsample(m)
        parts = [full * s / n_steps for s in range(1, n_steps + 1)]
        scores = [
            net(image * part + blurred * (1 - part) + noise * one)[0, target]
            for part, one in zip(parts, drawn, strict=True)
        ]
        return sum(scores) / n_steps + penalty(m)

    falls = []
    for _ in range(n_iterations):
        own = torch.Generator().manual_seed(int(torch.randint(2**63 - 1, (1,), generator=stream)))
        drawn = [torch.randn(image.shape[1:], dtype=image.dtype, generator=own) for _ in range(n_steps)]
        before = objective(mask, drawn)
        (gradient,) = torch.autograd.grad(before, mask)
        step = 8.0
        while step >= 1e-5:
            trial = (mask.detach() - step * gradient).clamp(0, 1)
            with torch.no_grad():
                after = objective(trial, drawn)
            if after <= before - 1e-4 * step * gradient.square().sum():
                break
            step *= 0.2
        else:
            break
        mask = trial.requires_grad_()
        falls.append((after - before).detach())
    return 1 - upsample(mask).detach(), torch.stack(falls)


@pytest.mark.parametrize(("size", "l1", "tv"), [(28, 0.3, 1.0), (5, 0.1, 0.2)])
def test_one_image_is_the_published_loop(size, l1, tv, net, images, targets):
    x, target = images[:1], int(targets[0])
    blurred = baselines.blurred(x, 15.0, "reflect")
    mask_shape = (min(size, 9), min(size, 8))
    expected, falls = naive(net, x, blurred, target, mask_shape, streams(1, 3)[0], l1=l1, tv_factor=tv)
    got = IGOS(net, size, l1, tv).attribute(x, target=target, generator=3)
    close(got, expected.expand_as(x))
    assert len(falls) > 5
    assert (falls < 0).all()


@pytest.mark.parametrize("cap", [None, 1, 2, 3, 7])
def test_a_batch_is_its_images_one_by_one(cap, net, images, targets):
    rows = []

    def counted(x, scale, offset):
        rows.append(len(x))
        return scale.reshape(-1, 1) * net(x + offset)

    scale, offset = torch.tensor([1.0, 0.5, 1.0, 0.8], dtype=torch.float64), SharedArgument(images[0] * 0)
    start = torch.rand(1, 2, 9, 8, dtype=torch.float64)
    got = IGOS(counted, 6, 0.1, 0.2).attribute(images, start, targets, (scale, offset), 4, cap, generator=5)
    assert max(rows) <= (cap or 1024)
    for k, stream in enumerate(streams(4, 5)):
        example = images[k : k + 1], start, targets[k], (6, 6), stream
        alone, falls = naive(lambda x: scale[k] * net(x), *example, n_steps=4, l1=0.1, tv_factor=0.2)  # noqa: B023
        assert len(falls) > 2
        close(got[k : k + 1], alone.expand(1, 2, -1, -1))


def test_every_step_lowers_the_objective_further(net, images, targets):
    """After 0, 1, 2, ... iterations; with a mask as large as the image, the attributions are the mask itself."""
    blurred = baselines.blurred(images, 15.0, "reflect")

    def objective(attributions):
        mask = 1 - attributions[:, :1]
        rows, columns = (mask.diff(dim=dim).square().mean((1, 2, 3)) for dim in (2, 3))
        path = [net(images * mask * s / 15 + blurred * (1 - mask * s / 15)) for s in range(1, 16)]
        score = torch.stack(path).mean(0).gather(1, targets.unsqueeze(1))[:, 0]
        return score + 0.1 * (1 - mask).mean((1, 2, 3)) + 0.2 * (rows + columns)

    method, history = IGOS(net, l1=0.1, tv=0.2, noise=0.0), [objective(torch.zeros_like(images))]
    for n in range(1, 8):
        history.append(objective(method.attribute(images, target=targets, n_iterations=n, generator=0)))
    falls = torch.stack(history).diff(dim=0)
    assert (falls[0] < 0).all()
    assert (falls <= 0).all()
    stopped = falls == 0
    assert (stopped[1:] >= stopped[:-1]).all()  # who has stopped does not move again
    got = method.attribute(images, target=targets, generator=0)
    assert got.min() >= 0
    assert got.max() <= 1


def test_finished_examples_cost_nothing(images):
    """F of example 0 is flat, so that it is finished at once; the rows of the others are counted."""
    gradients, values = [], []

    def function(x, moves):
        (gradients if x.requires_grad else values).append(moves.tolist())
        return moves * (x.square().mean((1, 2, 3)) / 8).tanh()

    moves = torch.tensor([0.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    method = IGOS(function, 4, l1=0.01, tv=0.01, noise=0.0)
    with pytest.warns(RuntimeWarning, match=r"masks of examples \[0\] stay within"):
        got = method.attribute(images, 0, None, moves, 3, 4, n_iterations=4)
    assert got[0].abs().max() == 0
    assert (got[1:].amax((1, 2, 3)) > 0).all()
    assert sum(row.count(0.0) for row in gradients) == 3  # of the first iteration
    assert sum(row.count(0.0) for row in values) == 0


def test_the_noise_of_an_example_does_not_depend_on_the_others(net, images, targets):
    method = IGOS(net, 6, 0.1, 0.2)
    together = method.attribute(images, target=targets, n_iterations=4, generator=2)
    close(method.attribute(images[:2], target=targets[:2], n_iterations=4, generator=2), together[:2])
    again = method.attribute(images, target=targets, n_iterations=4, generator=torch.Generator().manual_seed(2))
    assert torch.equal(again, together)
    assert not torch.equal(method.attribute(images, target=targets, n_iterations=4, generator=9), together)


def test_forms_dtypes_and_what_is_left_alone(net, images, targets):
    kept, state = images.clone(), torch.get_rng_state()
    (one,) = IGOS(net, l1=0.1, tv=0.2).attribute((images,), target=targets, n_iterations=2, generator=0)
    assert one.shape == images.shape
    assert one.is_contiguous()
    assert torch.equal(one[:, 0], one[:, 1])
    assert torch.equal(images, kept)
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in net.parameters())
    needs = images.clone().requires_grad_()
    assert not IGOS(net, l1=0.1, tv=0.2).attribute(needs, target=targets, n_iterations=1, generator=0).requires_grad
    assert needs.grad is None
    half = IGOS(lambda x: (x.float().square().mean((1, 2, 3)) / 8).tanh(), 4, 0.01, 0.01, 0.0).attribute(
        images.half(), 0
    )
    assert half.dtype == torch.float32
    assert IGOS(net, l1=0.1, tv=0.2).attribute(images[:0], target=1).shape == (0, 2, 9, 8)
    with torch.inference_mode():
        inside = IGOS(net, l1=0.1, tv=0.2).attribute(images.clone(), target=targets, n_iterations=2, generator=0)
    assert torch.equal(inside, one)
    assert isinstance(IGOS(net, l1=0.1, tv=0.2), captum.attr.GradientAttribution)
    assert not IGOS(net, l1=0.1, tv=0.2).has_convergence_delta()


def test_a_strip_of_one_row_has_no_roughness_across():
    x = torch.rand(2, 1, 1, 6, dtype=torch.float64)
    got = IGOS(lambda z: z.square().mean((1, 2, 3)), l1=0.1, tv=0.1, noise=0.0).attribute(x, 0, n_iterations=3)
    assert got.isfinite().all()


def test_what_is_not_finite_is_reported(net, images):
    with pytest.warns(RuntimeWarning, match="F or its gradient is NaN"):
        got = IGOS(lambda x: net(x)[:, 0] / 0 * 0).attribute(images, n_iterations=2)
    assert got.abs().max() == 0


def test_training_mode_is_reported():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Softmax(1))
    with pytest.warns(UserWarning, match="training mode"):
        IGOS(model).attribute(torch.rand(1, 3, 4, 4), target=1, n_iterations=1)


def test_the_mask_is_bilinear_with_aligned_corners(net, images):
    """As UpsamplingBilinear2d of the published code."""
    coarse = torch.rand(1, 1, 3, 3)
    full = functional.interpolate(coarse, (9, 8), mode="bilinear", align_corners=True)
    assert torch.equal(full, torch.nn.UpsamplingBilinear2d((9, 8))(coarse))


X = torch.rand(2, 3, 6, 6)


def total(x):
    return x.sum((1, 2, 3)).sigmoid()


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: IGOS(total).attribute(X[0]), ValueError, r"images \(B, C, H, W\).*got \[\(3, 6, 6\)\]"),
        (lambda: IGOS(total).attribute(torch.rand(2, 3)), ValueError, "because the mask has rows and columns"),
        (lambda: IGOS(total).attribute((X, X)), ValueError, "one tensor of images"),
        (lambda: IGOS(total).attribute(X, n_steps=0), ValueError, "n_steps: expected a positive"),
        (lambda: IGOS(total).attribute(X, n_steps="auto"), TypeError, "n_steps: expected a positive"),
        (lambda: IGOS(total).attribute(X, n_iterations=0), ValueError, "n_iterations: expected a positive"),
        (lambda: IGOS(total).attribute(X, generator="x"), TypeError, "generator: expected an integer"),
        (lambda: IGOS(total, mask_size=2.5), TypeError, "mask_size: expected a positive integer"),
        (lambda: IGOS(total, l1=-1.0), ValueError, "l1: expected a finite number of at least 0, got -1.0"),
        (lambda: IGOS(total, noise=float("nan")), ValueError, "noise: expected"),
        (lambda: IGOS(total, step=0.0), ValueError, "step: expected"),
        (lambda: IGOS(3), TypeError, "forward_func: expected a model"),
        (lambda: IGOS(lambda z: total(z.detach())).attribute(X), ValueError, r"detach\(\)"),
    ],
)
def test_mistakes(run, error, message):
    with pytest.raises(error, match=message):
        run()
