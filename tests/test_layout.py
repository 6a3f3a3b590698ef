"""The layout in which models are given their inputs: chosen where it is cheaper, and never to be noticed."""

import ctypes
import functools
import gc
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.paths import SearchedPath

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
    METHODS[name](model).attribute(images(), target=1, n_steps=1)  # the first call compares the layouts
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

    IntegratedGradients(function).attribute(x, n_steps=3)  # the first call compares the layouts
    seen.clear()
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
    assert model.layouts == (["first", "last"] if ONEDNN else []) + ["first"] * 8


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
    """An error in the user's own layout, which may have its channels last too, is raised as it is."""
    message = (
        "this model has no weights" if not own else "view size is not compatible with input tensor's size and stride"
    )

    def flatten(x):
        raise RuntimeError(message)

    model = Net(flatten)
    x = images().to(memory_format=torch.channels_last) if own else images()
    with pytest.raises(RuntimeError, match=message):
        IntegratedGradients(model).attribute(x, target=0)
    assert model.layouts == (["last"] if own else ["first"] * (1 + ONEDNN))


def test_models_are_not_kept_alive():
    model = Net(view)
    model.method = types.MethodType(lambda self, x, model=model: model(x), model)
    IntegratedGradients(model).attribute(images(), target=0, n_steps=2)
    IntegratedGradients(model.method).attribute(images(), target=0, n_steps=2)
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


class Reader(torch.autograd.Function):
    """A kernel that takes memory in the order in which it lies, as those of extensions do that ignore strides."""

    @staticmethod
    def forward(ctx, x, read):
        ctx.layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
        return read(x.detach()).reshape(x.shape).clone()

    @staticmethod
    def backward(ctx, gradient):
        if ctx.layout is torch.contiguous_format:
            return gradient, None
        count, channels, height, width = gradient.shape
        return gradient.reshape(count, height, width, channels).permute(0, 3, 1, 2), None


def by_pointer(x):
    buffer = (ctypes.c_float * x.numel()).from_address(x.data_ptr())
    return torch.frombuffer(buffer, dtype=torch.float32)


READERS = {
    "as_strided": lambda x: x.as_strided((x.numel(),), (1,)),
    "storage": lambda x: torch.empty(0).set_(x.untyped_storage(), x.storage_offset(), (x.numel(),)),
    "numpy": lambda x: torch.from_numpy(x.numpy().ravel(order="K").copy()),
    "data_ptr": by_pointer,
}


class ReadsMemory(Net):
    def __init__(self, read):
        super().__init__()
        self.read = read

    def forward(self, x):
        return super().forward(x) + super().forward(Reader.apply(x, self.read))


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("refers", ["module", "function", "method", "partial"])
def test_a_model_that_reads_memory_gets_the_users_layout(read, name, refers):
    model = ReadsMemory(read)
    function = {
        "module": model,
        "function": lambda x: model(x),
        "method": model.forward,
        "partial": functools.partial(model.forward),
    }[refers]
    for cap in (1, None):
        settings = {"target": [0, 1, 2], "n_steps": 4, "internal_batch_size": cap}
        expected = METHODS[name](hidden(model)).attribute(images(), **settings)
        assert torch.equal(METHODS[name](function).attribute(images(), **settings), expected)


def test_a_picture_in_one_color_tells_nothing():
    """Its memory reads alike in both layouts, while gradients, and other pictures, do not."""
    model = ReadsMemory(READERS["as_strided"])
    noise = images(1)
    for x, start in ((torch.ones(1, 3, 8, 8), noise), (noise, torch.ones(1, 3, 8, 8))):
        expected = IntegratedGradients(hidden(model)).attribute(x, start, target=0, n_steps=4)
        assert torch.equal(IntegratedGradients(model).attribute(x, start, target=0, n_steps=4), expected)


def test_an_output_of_zeros_tells_nothing():
    model = ReadsMemory(READERS["as_strided"])
    weights = {name: value.clone() for name, value in model.state_dict().items()}

    def logits(x):
        return model.last(model.flatten(model.conv(Reader.apply(x, model.read))))

    torch.nn.init.zeros_(model.last.weight)
    torch.nn.init.zeros_(model.last.bias)
    IntegratedGradients(logits).attribute(images(), target=0, n_steps=2)
    model.load_state_dict(weights)
    expected = IntegratedGradients(hidden(logits)).attribute(images(), target=0, n_steps=4)
    assert torch.equal(IntegratedGradients(logits).attribute(images(), target=0, n_steps=4), expected)


def test_each_method_of_a_model_is_compared():
    class Both(ReadsMemory):
        def strided(self, x):
            return Net.forward(self, x)

    model = Both(READERS["as_strided"])
    IntegratedGradients(model.strided).attribute(images(), target=0, n_steps=2)
    for method in (model.forward, model):
        expected = IntegratedGradients(hidden(method)).attribute(images(), target=0, n_steps=4)
        assert torch.equal(IntegratedGradients(method).attribute(images(), target=0, n_steps=4), expected)


class NeedsContiguousGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        assert gradient.is_contiguous(), "contiguous gradients only"
        return gradient


def asserting(x):
    assert x.is_contiguous(), "contiguous inputs only"
    return x


def raising(x):
    if not x.is_contiguous():
        raise KeyError("contiguous inputs only")
    return x


@pytest.mark.parametrize("check", [asserting, raising, NeedsContiguousGradient.apply])
def test_models_that_refuse_other_layouts_get_the_users(check):
    model = Net()
    rows = []

    def function(x):
        rows.append(len(x))
        return model(check(x))

    expected = IntegratedGradients(hidden(function)).attribute(images(), target=0, n_steps=4)
    for _ in range(2):
        rows.clear()
        got = IntegratedGradients(function).attribute(images(), target=0, n_steps=4)
        assert torch.equal(got, expected)
    assert rows == [12], "found out once"


def test_the_error_in_the_users_layout_is_raised():
    model = Net()

    def function(x):
        assert len(x) == 1, "too many rows"
        return model(asserting(x))

    with pytest.raises(AssertionError, match="too many rows"):
        IntegratedGradients(function).attribute(images(), target=0, n_steps=4)


@pytest.mark.skipif(not ONEDNN, reason="one layout without oneDNN")
@pytest.mark.parametrize("cap", [1, 2, None])
def test_the_comparison_takes_two_rows_once(cap):
    model = Net()
    rows, arguments = [], []

    def function(x, factor, scale):
        rows.append(len(x))
        arguments.append(factor.tolist())
        return model(x) * factor.unsqueeze(1) * scale

    def attribute():
        return IDGI(function).attribute(
            images(), target=[0, 1, 2], additional_forward_args=(torch.arange(3.0) + 1, 2.0), n_steps=4,
            internal_batch_size=cap,
        )  # fmt: skip

    first = attribute()
    seen = sum(rows)
    assert arguments[:2] == [[1.0], [1.0]], "those of the example compared"
    assert max(rows) <= (cap or 15)
    rows.clear()
    assert torch.equal(attribute(), first)
    assert seen == sum(rows) + 2
    assert model.calls == 0


class Dropping(Net):
    def forward(self, x):
        return super().forward(nn.functional.dropout(nn.functional.softplus(x), 0.5))


@pytest.mark.parametrize("numbers", [0, 7])
def test_random_models_keep_their_numbers_and_their_speed(numbers):
    """Dropout of pictures draws in the order of memory, so the layouts can't be compared."""
    model = Dropping()
    results = []
    for _ in range(3):
        torch.manual_seed(numbers)
        results.append(IntegratedGradients(model).attribute(images(), target=0, n_steps=4))
        results.append(torch.rand(1))
    assert torch.equal(results[0], results[2])
    assert torch.equal(results[1], results[5])
    assert model.layouts.count("last") > model.layouts.count("first") or not ONEDNN


def test_compared_in_full_precision_under_autocast():
    model = Net()
    with torch.autocast("cpu", torch.bfloat16):
        IntegratedGradients(model).attribute(images(), target=0, n_steps=4)
    assert model.layouts == (["first", "last", "last"] if ONEDNN else ["first"])
    reader = ReadsMemory(READERS["as_strided"])
    with torch.autocast("cpu", torch.bfloat16):
        IntegratedGradients(reader).attribute(images(), target=0, n_steps=4)
    assert set(reader.layouts[4:]) == {"first"}


def test_another_function_is_compared_with_each_examples_own_arguments():
    """A path asks for a new function in each chunk; whichever example is compared must bring its own arguments."""
    x, model, pairs = images(), Net(), []

    class AsksForAnother(SearchedPath):
        def search(self, inputs, start, n_steps, evaluator):
            def other(points, numbers):
                pairs.extend(zip(points.detach().contiguous().clone(), numbers.tolist(), strict=True))
                return model.conv(points).flatten(1).sum(1)

            evaluator.with_function(other).at(inputs)
            yield inputs

    PathAttribution(lambda points, numbers: model(points), AsksForAnother()).attribute(
        x, target=0, additional_forward_args=torch.arange(3), n_steps=1, internal_batch_size=1
    )
    assert len(pairs) >= 3
    for points, number in pairs:
        assert torch.equal(points, x[number])
