"""The layout in which models are given their inputs: chosen where it is cheaper, and never to be noticed."""

import functools
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients

ONEDNN = torch.backends.mkldnn.is_available()


def images(count=3, channels=3, dtype=torch.float32):
    return torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)


class Net(nn.Module):
    """Smooth, with an ending of choice; remembers the layouts that it was given."""

    def __init__(self, flatten=lambda x: x.flatten(1), channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, 4, 3)
        self.last = nn.Linear(144, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.flatten = flatten
        self.layouts = []

    def forward(self, x):
        self.calls += 1
        self.layouts.append("first" if x.is_contiguous() else "last")
        return self.last(self.flatten(nn.functional.softplus(self.conv(x)))).softmax(1)


def view(x):
    return x.view(len(x), -1)


def hidden(model):
    """The same function, in which no convolution is to be found: it is given contiguous inputs."""
    holder = [model]

    class Attribute:
        __slots__ = ()

        def __call__(self, x):
            return holder[0](x)

    return Attribute()


METHODS = {
    "IG": IntegratedGradients,
    "IDGI": IDGI,
    "Blur IG": functools.partial(BlurIG, max_sigma=2.0),
    "Guided IG": functools.partial(GuidedIG, max_dist=0.0),
}


@pytest.mark.parametrize("flatten", [lambda x: x.flatten(1), view])
@pytest.mark.parametrize("name", METHODS)
def test_attributions_are_those_of_contiguous_inputs(name, flatten):
    model = Net(flatten)
    wanted, wanted_delta = METHODS[name](hidden(model)).attribute(
        images(), target=1, n_steps=5, return_convergence_delta=True
    )
    assert set(model.layouts) == {"first"}
    for cap in (None, 1, 2, 7):
        model.layouts.clear()
        got, delta = METHODS[name](model).attribute(
            images(), target=1, n_steps=5, internal_batch_size=cap, return_convergence_delta=True
        )
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6 * wanted.abs().max().item())
        torch.testing.assert_close(delta, wanted_delta, rtol=0, atol=1e-6)
        assert got.is_contiguous()
        if ONEDNN and flatten is not view:
            assert set(model.layouts) == {"last"}


@pytest.mark.parametrize(
    ("model", "x", "layout"),
    [
        (Net(), images(), "last" if ONEDNN else "first"),
        (Net(), images().to(memory_format=torch.channels_last), "last"),
        (Net().double(), images(dtype=torch.float64), "first"),
        (Net().bfloat16(), images(dtype=torch.bfloat16), "first"),
        (Net(channels=5), images(channels=5), "first"),
        (Net(channels=1), images(channels=1), "first"),
        (nn.Flatten(), images(), "first"),
    ],
)
def test_which_inputs_are_given_with_their_channels_last(model, x, layout):
    seen = set()

    def function(z):
        seen.add("first" if z.is_contiguous() else "last")
        return model(z).float().sum(1)

    IntegratedGradients(function).attribute(x, n_steps=3)
    assert seen == {layout}


def test_a_convolution_of_something_else_is_no_reason():
    model, seen = Net(), []

    def function(z):
        seen.append(z.is_contiguous())
        return model(z[:, :3] + z[:, 3:]).sum(1)

    IntegratedGradients(function).attribute(images(channels=4), n_steps=2)
    assert all(seen)


def test_a_model_that_needs_contiguous_inputs_is_found_out_once():
    model = Net(view)
    for _ in range(2):
        IntegratedGradients(model).attribute(images(), target=0, n_steps=4, internal_batch_size=3)
    assert model.layouts == (["last"] if ONEDNN else []) + ["first"] * 8


def test_the_failed_pass_leaves_nothing_behind():
    model = Net(view)
    model.conv.register_forward_hook(lambda *_: None)
    model.last.weight.requires_grad_(False)
    model(images()).sum().backward()
    calls, gradient = model.calls.clone(), model.conv.weight.grad.clone()
    x = images()
    IDGI(model).attribute(x, target=0, n_steps=3)
    assert torch.equal(model.calls, calls)
    assert torch.equal(model.conv.weight.grad, gradient)
    assert [p.requires_grad for p in model.parameters()] == [True, True, False, True]
    assert len(model.conv._forward_hooks) == 1
    assert torch.equal(x, images())
    assert x.is_contiguous()
    assert not x.requires_grad


@pytest.mark.parametrize("own", [True, False])
def test_other_errors_are_the_users(own):
    """A model is not run again: neither after another error, nor where the layout was not this library's choice."""
    message = "out of memory" if not own else "view size is not compatible with input tensor's size and stride"

    def flatten(x):
        raise RuntimeError(message)

    model = Net(flatten)
    x = images().to(memory_format=torch.channels_last) if own else images()
    with pytest.raises(RuntimeError, match=message):
        IntegratedGradients(model).attribute(x, target=0)
    assert len(model.layouts) == 1


def test_models_are_not_kept_alive():
    model = Net(view)
    IntegratedGradients(model).attribute(images(), target=0, n_steps=2)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_threads():
    model = Net(view)
    expected = IntegratedGradients(hidden(model)).attribute(images(), target=0, n_steps=4)

    def explain(_):
        return IntegratedGradients(lambda x: model(x)).attribute(images(), target=0, n_steps=4)

    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(explain, range(16)):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-7)


def test_without_onednn_inputs_stay_as_they_are():
    model = Net()
    with torch.backends.mkldnn.flags(enabled=False):
        IntegratedGradients(model).attribute(images(), target=0, n_steps=2)
    assert set(model.layouts) == {"first"}
