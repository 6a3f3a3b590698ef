"""dtypes, layouts, gradient modes and the state of everything the user owns."""

import warnings

import pytest
import torch
from torch import nn

from tests.conformance.cases import every_method

STEPS = 5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@every_method
def test_dtypes(case, net, images, dtype):
    seen = set()

    def model(x):
        seen.add(x.dtype)
        return net(x)

    expected = case.make(net).attribute(images, target=1, n_steps=STEPS)
    net.to(dtype)
    attributions, delta = case.make(model).attribute(
        images.to(dtype), target=1, n_steps=STEPS, return_convergence_delta=True
    )
    assert seen == {dtype}
    wide = dtype if dtype in (torch.float64, torch.float32) else torch.float32
    assert attributions.dtype == delta.dtype == wide
    tolerance = {torch.float64: 0, torch.float32: 1e-4}.get(dtype, 0.15)
    if not (case.chaotic and wide != dtype):  # whose path differs from the first tie on
        error = (attributions - expected).norm() / expected.norm()
        assert error <= tolerance


@every_method
def test_integers_are_explained_as_floats(case):
    x = torch.randint(0, 255, (2, 3, 5, 5))
    weight = torch.randn(3, 5, 5)
    method = case.make(lambda z: (z * weight).sum((1, 2, 3)) / 255)
    whole, as_float = (method.attribute(z, n_steps=STEPS) for z in (x, x.float()))
    assert whole.dtype == torch.float32
    assert torch.equal(whole, as_float)


@every_method
def test_results_are_plain_tensors(case, net, images):
    images.requires_grad_()
    attributions, delta = case.make(net).attribute(
        images.transpose(2, 3).contiguous().transpose(2, 3),
        target=0,
        n_steps=STEPS,
        return_convergence_delta=True,
    )
    for tensor in (attributions, delta):
        assert not tensor.requires_grad
        assert tensor.is_leaf
        assert tensor.is_contiguous()
        assert tensor.device == images.device


@every_method
def test_gradient_modes(case, net, images):
    method = case.make(net)
    expected = method.attribute(images, target=0, n_steps=STEPS)
    with torch.no_grad():
        assert torch.equal(method.attribute(images, target=0, n_steps=STEPS), expected)
    with torch.inference_mode():
        inference = images.clone()
        got = method.attribute(inference, target=0, n_steps=STEPS)
    torch.testing.assert_close(got, expected)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    assert torch.equal(method.attribute(images, target=0, n_steps=STEPS), expected)


@every_method
def test_channels_last_reaches_the_model_and_changes_nothing(case, net, images):
    layouts = set()

    def model(x):
        layouts.add((x.is_contiguous(memory_format=torch.channels_last), x.is_contiguous()))
        return net(x)

    expected = case.make(net).attribute(images, target=0, n_steps=STEPS)
    got = case.make(model).attribute(
        images.to(memory_format=torch.channels_last), target=0, n_steps=STEPS, return_convergence_delta=True
    )[0]
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)
    assert layouts == {(True, False)}
    assert got.is_contiguous()


class Everything(nn.Module):
    """Parameters, buffers, hooks, an in-place activation, and failures on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout()
        self.last = nn.Linear(48, 4)
        self.fail_at = None
        self.fail_backward = None
        self.calls = 0
        self.double()

    def forward(self, x):
        self.calls += 1
        if self.fail_at == self.calls:
            raise self.failure
        hidden = self.act(self.norm(self.first(x)))
        if self.fail_backward == self.calls and hidden.requires_grad:

            def fail(gradient):
                raise self.failure

            hidden.register_hook(fail)
        return self.last(self.drop(hidden).flatten(1)).softmax(1)


def snapshot(model, tensors):
    return {
        "state": {key: value.clone() for key, value in model.state_dict().items()},
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "flags": [p.requires_grad for p in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()],
        "values": [tensor.detach().clone() for tensor in tensors],
        "inputs": [(t.requires_grad, t.grad is None, t.dtype, t.stride()) for t in tensors],
        "grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


def assert_same(before, after):
    for key in before:
        if key == "state":
            assert all(torch.equal(before[key][name], after[key][name]) for name in before[key])
        elif key in ("grads", "values"):
            pairs = zip(before[key], after[key], strict=True)
            assert all(a is b is None or torch.equal(a, b) for a, b in pairs)
        else:
            assert before[key] == after[key], key


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("fail_at", "fail_backward", "failure"),
    [
        (None, None, None),
        (1, None, RuntimeError("forward")),
        (3, None, RuntimeError("forward")),
        (None, 2, RuntimeError("backward")),
        (2, None, KeyboardInterrupt()),
        (None, 3, KeyboardInterrupt()),
    ],
)
@every_method
def test_everything_is_as_before(case, images, training, fail_at, fail_backward, failure):
    torch.manual_seed(0)
    model = Everything().train(training)
    model.norm.running_mean += 0.3
    model.norm.eval() if training and case.shares_changes_of_f else None  # a mixture of modes stays one
    model.first.register_forward_hook(lambda *_: None)
    model(images).sum().backward()  # gradients that a call must not touch
    model.first.weight.requires_grad_(False)
    baseline = torch.rand_like(images)
    if case.chaotic:
        images.requires_grad_()
    tensors = (images, baseline)
    model.calls, model.fail_at, model.fail_backward, model.failure = 0, fail_at, fail_backward, failure
    before = snapshot(model, tensors)
    arguments = {"baselines": baseline} if case.takes_baselines else {}

    def run():
        return case.make(model).attribute(
            images, target=0, n_steps=STEPS, internal_batch_size=3, return_convergence_delta=True, **arguments
        )

    with warnings.catch_warnings():
        warnings.simplefilter("error" if not training else "ignore")
        if failure is None:
            run()
        else:
            with pytest.raises(type(failure)):
                run()
    assert_same(before, snapshot(model, tensors))


@every_method
def test_training_mode_warns(case, images):
    model = Everything().train()
    with pytest.warns(UserWarning, match=r"training mode \(BatchNorm2d, Dropout\).*eval\(\)"):
        case.make(model).attribute(images, target=0, n_steps=STEPS)
    with pytest.warns(UserWarning, match="training mode"):
        case.make(model.forward).attribute(images, target=0, n_steps=STEPS)


@every_method
def test_a_model_that_works_in_place_does_not_reach_the_inputs(case, images):
    class InPlace(nn.Module):
        def forward(self, x):
            return (x.mul_(2) if not x.requires_grad else x * 2).sum((1, 2, 3))

    kept = images.clone()
    baseline = torch.rand_like(images)
    kept_baseline = baseline.clone()
    arguments = {"baselines": baseline} if case.takes_baselines else {}
    case.make(InPlace()).attribute(images, n_steps=STEPS, return_convergence_delta=True, **arguments)
    assert torch.equal(images, kept)
    assert torch.equal(baseline, kept_baseline)
