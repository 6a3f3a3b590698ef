"""Layers as users' models have them: tuples, views, in-place neighbours, several runs, and what can't be explained."""

import warnings
from collections import OrderedDict, namedtuple

import captum.attr
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from captum_ext.attr import (
    IDGI,
    IntegratedGradients,
    LayerBlurIG,
    LayerGuidedIG,
    LayerIDGI,
    LayerIntegratedGradients,
    LayerPathAttribution,
)
from tests.helpers import close, normal

STEPS = 6
LAYER_METHODS = [LayerIntegratedGradients, LayerIDGI, LayerGuidedIG]


Pair = namedtuple("Pair", ["left", "right"])
FORMS = {
    "tuple": lambda a, b: (a, b),
    "list": lambda a, b: [a, b],
    "named tuple": Pair,
    "dict": lambda a, b: {"left": a, "right": b},
    "ordered dict": lambda a, b: OrderedDict(left=a, right=b),
    "with a number": lambda a, b: (a, 3, b),
    "with None and integers": lambda a, b: (None, a, torch.arange(len(a)), b, True),
    "with a table that is no row an example": lambda a, b: (a, torch.ones(7, 2).double(), b),
}


class TwoOutputs(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, x):
        return self.form(torch.tanh(x), x**2)


@pytest.mark.parametrize("form", FORMS)
def test_layers_that_put_out_several_tensors(form):
    layer = TwoOutputs(FORMS[form])

    def model(x):
        out = layer(x)
        parts = list(out.values() if isinstance(out, dict) else out)
        left, right = [part for part in parts if isinstance(part, torch.Tensor) and part.shape == x.shape]
        assert form != "named tuple" or out.left is left
        return (left * right).sum(1).tanh()

    x = normal(3, 4)
    expected = IDGI(lambda a, b: (a * b).sum(1).tanh()).attribute((torch.tanh(x), x**2), n_steps=STEPS)
    got = LayerIDGI(model, layer).attribute(x, n_steps=STEPS, internal_batch_size=4)
    assert isinstance(got, tuple)
    close(got, expected)


def test_layers_that_take_several_tensors_by_position_or_by_name():
    class Product(nn.Module):
        def forward(self, a, b=None, scale=None):
            return a * b * scale

    layer = Product()
    x, y = normal(3, 4), normal(3, 4, seed=1)
    scale = torch.full((3, 1), 2.0, dtype=torch.float64)
    by_position = LayerIntegratedGradients(lambda x, y: layer(x, y, 2.0).sum(1), layer)
    expected = IntegratedGradients(lambda a, b: 2 * (a * b).sum(1)).attribute((x, y), n_steps=STEPS)
    close(by_position.attribute((x, y), n_steps=STEPS, attribute_to_layer_input=True), expected)
    by_name = LayerIntegratedGradients(lambda x, y: layer(a=x, b=y, scale=2.0).sum(1), layer)
    close(by_name.attribute((x, y), n_steps=STEPS, attribute_to_layer_input=True), expected)
    # Named ones next to positional ones are settings.
    mixed = LayerIntegratedGradients(lambda x, y: layer(x, y, scale=scale[:1]).sum(1), layer)
    close(mixed.attribute((x, y), n_steps=STEPS, attribute_to_layer_input=True), expected)
    twice = LayerIntegratedGradients(lambda x: layer(x, x, 2.0).sum(1), layer)
    expected = IntegratedGradients(lambda a, b: 2 * (a * b).sum(1)).attribute((x, x), n_steps=STEPS)
    close(twice.attribute(x, n_steps=STEPS, attribute_to_layer_input=True), expected)


def test_several_layers_move_together():
    left, right = nn.Linear(4, 3).double(), TwoOutputs(FORMS["tuple"])

    def model(x, y):
        a, b = right(y)
        return (left(x).sum(1) * a.sum(1) + b.sum(1)).tanh()

    x, y = normal(3, 4), normal(3, 4, seed=1)
    parts = (left(x).detach(), torch.tanh(y), y**2)
    starts = (left(0 * x).detach(), torch.tanh(0 * y), 0 * y)
    expected = IDGI(lambda p, a, b: (p.sum(1) * a.sum(1) + b.sum(1)).tanh()).attribute(parts, starts, n_steps=STEPS)
    got = LayerIDGI(model, [left, right]).attribute((x, y), n_steps=STEPS, internal_batch_size=2)
    assert isinstance(got, list)
    close(got[0], expected[0])
    close(got[1], expected[1:])
    theirs = captum.attr.LayerIntegratedGradients(model, [left, right]).attribute((x, y), n_steps=STEPS)
    ours = LayerIntegratedGradients(model, [left, right]).attribute((x, y), n_steps=STEPS)
    close(ours[0], theirs[0], 1e-7)
    close(ours[1], theirs[1], 1e-7)
    (alone,) = LayerIntegratedGradients(model, [left]).attribute((x, y), n_steps=STEPS)
    close(alone, LayerIntegratedGradients(model, left).attribute((x, y), n_steps=STEPS), 0)


def test_a_layer_that_feeds_only_another_listed_one_gets_zeros():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = normal(3, 4)
    first, last = LayerIDGI(model, [model[0], model[1]]).attribute(x, target=1, n_steps=STEPS)
    assert (first == 0).all()
    close(last, LayerIDGI(model, model[1]).attribute(x, target=1, n_steps=STEPS))


@pytest.mark.parametrize("method", LAYER_METHODS)
def test_in_place_layers_before_at_and_after(method):
    torch.manual_seed(0)
    first, middle, last = (nn.Linear(*sizes).double() for sizes in ((4, 5), (5, 6), (6, 2)))
    model = nn.Sequential(first, nn.ReLU(inplace=True), middle, nn.Hardtanh(-0.5, 0.5, inplace=True), last)
    copied = nn.Sequential(first, nn.ReLU(), middle, nn.Hardtanh(-0.5, 0.5), last)
    x = normal(3, 4)
    for k in range(5):
        for at_input in (False, True):
            arguments = {"target": 1, "n_steps": STEPS, "attribute_to_layer_input": at_input}
            close(
                method(model, model[k]).attribute(x, **arguments), method(copied, copied[k]).attribute(x, **arguments)
            )


@pytest.mark.parametrize(
    "view", [nn.Flatten(), nn.Unflatten(1, (2, 2)), nn.Identity()], ids=lambda view: type(view).__name__
)
def test_layers_whose_output_is_a_view(view):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.view = view

        def forward(self, x):
            y = self.view(x)
            y += 1  # writes through the view
            return (y**2).flatten(1).sum(1)

    x = normal(3, 4).requires_grad_()
    kept = x.detach().clone()
    for method in LAYER_METHODS:
        expected = method(lambda x: ((view(x) + 1) ** 2).flatten(1).sum(1), view).attribute(x, n_steps=STEPS)
        close(method(lambda x: Model()(x + 0), view).attribute(x, n_steps=STEPS), expected)
    # A model that overwrites its own input.
    LayerIDGI(lambda x: Model()(x), view).attribute(x.detach(), n_steps=STEPS)
    assert torch.equal(x, kept)


def test_a_layer_that_runs_several_times_is_explained_at_its_last_run():
    torch.manual_seed(0)
    first, last, relu = nn.Linear(4, 4).double(), nn.Linear(4, 4).double(), nn.Softplus()
    model = lambda x: relu(last(relu(first(x)))).sum(1).tanh()  # noqa: E731
    x = normal(3, 4)
    hidden = lambda x: relu(last(relu(first(x)))).detach()  # noqa: E731
    expected = IDGI(lambda h: h.sum(1).tanh()).attribute(hidden(x), hidden(0 * x), n_steps=STEPS)
    with pytest.warns(UserWarning, match="Softplus runs 2 times in forward_func. Only its last output is explained"):
        got, delta = LayerIDGI(model, relu).attribute(x, n_steps=STEPS, return_convergence_delta=True)
    close(got, expected)
    close(delta, torch.zeros(3).double())
    close(got.sum(1), (model(x) - model(0 * x)).detach())


@pytest.mark.filterwarnings("ignore:A layer Tanh runs 2 times")
def test_the_runs_before_the_last_are_left_alone():
    layer = nn.Tanh()
    x = normal(3, 4)
    got = LayerIDGI(lambda x: (layer(x) * layer(2 * x)).sum(1), layer).attribute(x, n_steps=STEPS)
    expected = IDGI(lambda h, x: (torch.tanh(x) * h).sum(1)).attribute(torch.tanh(2 * x), 0, None, (x,), n_steps=STEPS)
    close(got, expected)


def test_what_the_layer_itself_keeps_stays_its_own():
    class Keeping(TwoOutputs):
        def forward(self, x):
            self.kept = super().forward(x)
            return self.kept

    layer = Keeping(FORMS["dict"])
    x, seen = normal(3, 4).requires_grad_(), []

    def model(x):
        seen.append(x.requires_grad)
        out = layer(x)
        return (out["left"] * out["right"]).sum(1)

    LayerIDGI(model, layer).attribute(x, n_steps=STEPS)
    assert torch.equal(layer.kept["left"], torch.tanh(x).detach().repeat(STEPS + 1, 1))
    assert not any(seen)


def test_a_model_that_overwrites_its_additional_arguments():
    layer = nn.Tanh()
    x, factor = normal(3, 4), normal(3, 1)
    kept = factor.clone()
    method = LayerIDGI(lambda x, factor: (layer(x) * factor.mul_(2)).sum(1), layer)
    method.attribute(x, None, None, factor, STEPS, None, 2, return_convergence_delta=True)
    assert torch.equal(factor, kept)


def test_runs_that_depend_on_the_example():
    layer = nn.Tanh()

    def model(x):
        for _ in range(int(x[0, 0] > 0) + 1):
            x = layer(x)
        return x.sum(1)

    x = torch.tensor([[1.0, 2.0], [-1.0, 2.0]])
    with pytest.raises(ValueError, match="equally often"):
        LayerIDGI(model, layer).attribute(x, internal_batch_size=1)


def test_regular_recurrent_and_attention_layers():
    gru, attention = nn.GRU(4, 5, batch_first=True).double(), nn.MultiheadAttention(4, 2, batch_first=True).double()
    x = normal(3, 6, 4)
    got = LayerIDGI(lambda x: gru(x)[0][:, -1].sum(1), gru).attribute(x, n_steps=STEPS)
    assert got.shape == (3, 6, 5)  # the state (1, 3, 5) has no row an example
    assert (got[:, :-1] == 0).all()
    attended, weights = LayerIDGI(lambda x: attention(x, x, x)[0].sum((1, 2)), attention).attribute(x, n_steps=STEPS)
    assert attended.shape == x.shape
    assert weights.shape == (3, 6, 6)
    assert (weights == 0).all()


def test_half_precision_inside_a_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    x = normal(3, 4).float()
    expected = LayerIDGI(model, model[1]).attribute(x, target=1, n_steps=STEPS)
    got = LayerIDGI(model.bfloat16(), model[1]).attribute(x.bfloat16(), target=1, n_steps=STEPS)
    assert got.dtype == torch.float32
    assert (got - expected).norm() < 0.05 * expected.norm()


def test_autocast():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    x, dtypes = normal(3, 4).float(), set()
    expected = LayerIDGI(model, model[0]).attribute(x, target=1, n_steps=STEPS)
    model[1].register_forward_pre_hook(lambda _, args: dtypes.add(args[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        got = LayerIDGI(model, model[0]).attribute(x, target=1, n_steps=STEPS)
    assert dtypes == {torch.bfloat16}  # the layer's own, at every point
    assert got.dtype == torch.float32
    assert (got - expected).norm() < 0.05 * expected.norm()


def test_gradient_modes_and_frozen_models():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    x = normal(3, 4)
    method = LayerIDGI(model, model[1])
    expected = method.attribute(x, target=1, n_steps=STEPS)
    with torch.no_grad():
        assert torch.equal(method.attribute(x, target=1, n_steps=STEPS), expected)
    with torch.inference_mode():
        close(method.attribute(x.clone(), target=1, n_steps=STEPS), expected)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert torch.equal(method.attribute(x, target=1, n_steps=STEPS), expected)


def test_additional_arguments_go_with_their_examples_or_whole():
    torch.manual_seed(0)
    layer = nn.Linear(4, 4).double()
    table = normal(7, 4)

    def model(x, factor, power, table, name, scalar):
        assert table.shape == (7, 4)
        assert name == "a"
        return (layer(x) * factor.unsqueeze(1) * scalar + table.sum(0)).tanh().sum(1) ** power

    x, factor, scalar = normal(3, 4), normal(3), torch.tensor(1.5)
    for cap in (None, 1, 2, 4):
        got = LayerIDGI(model, layer).attribute(
            x, additional_forward_args=(factor, 2, table, "a", scalar), n_steps=STEPS, internal_batch_size=cap
        )
        for k in range(3):
            one = LayerIDGI(lambda x, k=k: model(x, factor[k : k + 1].expand(len(x)), 2, table, "a", 1.5), layer)
            close(got[k : k + 1], one.attribute(x[k : k + 1], n_steps=STEPS))


def test_no_examples():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    got, delta = LayerIDGI(model, model[1]).attribute(torch.zeros(0, 4), target=1, return_convergence_delta=True)
    assert got.shape == (0, 8)
    assert delta.shape == (0,)


# What is left behind ----------------------------------------------------------------------------------------------


class Failing(nn.Module):
    """Fails at a call of its own choice, forward or backward."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 2)
        self.calls, self.fail_at, self.fail_backward = 0, None, None
        self.double()

    def forward(self, x):
        self.calls += 1
        hidden = self.norm(self.first(x))
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        if self.fail_backward is not None and self.calls >= self.fail_backward and hidden.requires_grad:

            def fail(gradient):
                raise RuntimeError("backward")

            hidden.register_hook(fail)
        return self.last(hidden)


@pytest.mark.parametrize("fail", [{}, {"fail_at": 1}, {"fail_at": 2}, {"fail_at": 4}, {"fail_backward": 4}])
@pytest.mark.parametrize("method", [*LAYER_METHODS, LayerBlurIG])
def test_everything_is_as_before(method, fail):
    model = Failing()
    model.first.register_forward_hook(lambda *_: None)
    model.first.register_forward_pre_hook(lambda *_: None)
    model(normal(5, 4)).sum().backward()
    model.eval()
    model.norm.train()
    for name, value in {"calls": 0, **fail}.items():
        setattr(model, name, value)
    x, baseline = normal(4, 4).requires_grad_(), normal(4, 4, seed=2)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters()]
    kept = x.detach().clone(), baseline.clone()
    start = {} if method is LayerBlurIG else {"baselines": baseline}
    settings = {"spatial_dims": [1]} if method is LayerBlurIG else {}

    def run():
        for at_input in (False, True):
            method(model, [model.first, model.norm], **settings).attribute(
                x, target=1, n_steps=STEPS, internal_batch_size=2, attribute_to_layer_input=at_input, **start
            )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if fail:
            with pytest.raises((KeyboardInterrupt, RuntimeError)):
                run()
        else:
            run()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(torch.equal(p.grad, gradient) for p, gradient in zip(model.parameters(), gradients, strict=True))
    assert x.grad is None
    assert x.requires_grad
    assert torch.equal(x, kept[0])
    assert torch.equal(baseline, kept[1])
    assert [module.training for module in model.modules()] == [False, False, True, False]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    assert hooks == [(0, 0), (1, 1), (0, 0), (0, 0)]


def test_the_users_own_hooks_on_the_layer_run_first():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = normal(3, 4)
    model[1].register_forward_hook(lambda module, args, output: 2 * output)
    expected = IDGI(lambda h: model[2](h)).attribute(2 * torch.tanh(model[0](x)), 2 * torch.tanh(model[0](0 * x)), 1)
    close(LayerIDGI(model, model[1]).attribute(x, target=1), expected.detach())


def test_compiled_models_see_the_hooks_and_do_not_keep_them():
    model = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 2)).double()
    x = normal(3, 4)
    expected, before = LayerIDGI(model, model[1]).attribute(x, target=1), model(x)
    compiled = torch.compile(model, backend="aot_eager")
    for _ in range(2):
        close(LayerIDGI(compiled, model[1]).attribute(x, target=1), expected)
        close(compiled(x), before)
        with torch.no_grad():
            close(compiled(x), before.detach(), 0)


def checkpointed_network(reentrant=False):
    """A network whose first two layers run under activation checkpointing, and the same without."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Softplus(), nn.Linear(5, 3)).double()
    block = nn.Sequential(model[0], model[1])
    return model, block, lambda x: model[2](checkpoint(block, x, use_reentrant=reentrant))


@pytest.mark.parametrize("method", [LayerIDGI, LayerIntegratedGradients, LayerGuidedIG])
@pytest.mark.parametrize("at_input", [False, True])
def test_activation_checkpointing_around_the_layer_changes_nothing(method, at_input):
    """The backward pass runs the layer again, at the same point of the path."""
    model, block, checkpointed = checkpointed_network()
    x = normal(3, 4)
    arguments = {"target": [0, 2, 1], "n_steps": 7, "attribute_to_layer_input": at_input}
    for layer in (model[0], model[1], [model[0], model[1]], block, model[2]):
        expected = method(model if layer is not block else lambda x: model[2](block(x)), layer).attribute(
            x, **arguments
        )
        for rows in (None, 1, 5):
            got = method(checkpointed, layer).attribute(x, internal_batch_size=rows, **arguments)
            torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in [*model.modules(), block])


def test_checkpointing_in_checkpointing():
    model, block, _ = checkpointed_network()
    x = normal(3, 4)

    def nested(x):
        def outer(x):
            return model[2](checkpoint(block, x, use_reentrant=False))

        return checkpoint(outer, x, use_reentrant=False)

    expected = LayerIDGI(model, model[0]).attribute(x, target=1, n_steps=4)
    close(LayerIDGI(nested, model[0]).attribute(x, target=1, n_steps=4), expected)


def test_what_checkpointing_makes_ambiguous_is_refused():
    model, _, checkpointed = checkpointed_network()
    x = normal(3, 4)
    method = LayerIDGI(checkpointed, model[0])
    with pytest.raises(ValueError, match="create_graph: the layer Linear runs again"):
        method.attribute(x, target=1, create_graph=True)
    shared = nn.Softplus()
    twice = nn.Sequential(model[0], shared, nn.Linear(5, 5).double(), shared, nn.Tanh())
    last = nn.Linear(5, 3).double()
    with (
        pytest.warns(UserWarning, match="runs 2 times"),
        pytest.raises(ValueError, match="which run that repeats is not known"),
    ):
        LayerIDGI(lambda x: last(checkpoint(twice, x, use_reentrant=False)), shared).attribute(x, target=1)
    close(method.attribute(x, target=1), LayerIDGI(model, model[0]).attribute(x, target=1))  # afterwards


def test_reentrant_checkpointing_is_refused():
    """Its backward pass does not give gradients of chosen tensors, in PyTorch itself."""
    model, _, checkpointed = checkpointed_network(reentrant=True)
    x = normal(3, 4)
    with pytest.raises(ValueError, match="use_reentrant=False"):
        IDGI(checkpointed).attribute(x, target=1)
    with pytest.raises(ValueError, match="use_reentrant=False"):
        LayerIDGI(checkpointed, model[0]).attribute(x, target=1)
    close(LayerIDGI(checkpointed, model[2]).attribute(x, target=1), LayerIDGI(model, model[2]).attribute(x, target=1))


# Mistakes ---------------------------------------------------------------------------------------------------------

NET = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
IDS = torch.tensor([[1, 2, 3]])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: LayerIDGI(NET, "0"), r"layer: expected a module.*got str.*named_modules"),
        (lambda: LayerIDGI(NET, [NET[0], None]), "layer: expected a module.*got NoneType"),
        (lambda: LayerIDGI(NET, []), "at least one layer.*list of 0"),
        (lambda: LayerIDGI(NET, [NET[0], NET[0]]), "each once"),
        (lambda: LayerIDGI(NET, None).attribute(IDS, target=0), "layer: expected a module.*got NoneType"),
        (lambda: LayerIDGI(NET, nn.Linear(2, 2)).attribute(IDS, target=0), "Linear did not run in forward_func"),
        (
            lambda: LayerIDGI(NET, NET[0]).attribute(IDS, target=0, attribute_to_layer_input=True),
            r"floating point tensors in the input of the layer Embedding, got tuple\(a tensor of torch.int64\). "
            "Explain its output",
        ),
        (lambda: LayerIDGI(NET, NET[0]).attribute(IDS, 0.5, 0), r"baselines: expected whole numbers.*torch.int64"),
        (lambda: LayerIDGI(NET, NET[0]).attribute(IDS, target=0, method="gausslegendre"), "riemann_left"),
        (lambda: LayerBlurIG(NET, NET[0]).attribute(IDS, 0, 0), "BlurPath starts from the blurred input"),
        (lambda: LayerBlurIG(NET, NET[2]).attribute(IDS, target=0), "BlurPath: expected inputs with 1 to 3 dimensions"),
        (lambda: LayerIDGI(NET, NET[0]).attribute(IDS), "target: expected one value for each"),
        (lambda: LayerIDGI(NET, NET[0]).attribute(IDS, target=0, internal_batch_size=0), "internal_batch_size"),
        (lambda: LayerPathAttribution(NET, NET[0], path=1), "path: expected a path"),
    ],
)
def test_mistakes(run, message):
    with pytest.raises((TypeError, ValueError), match=message):
        run()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in NET.modules())


def test_activations_without_a_row_an_example():
    lstm = nn.LSTM(4, 5).double()  # time first
    with pytest.raises(
        ValueError, match=r"one row for each of 3 examples in dimension 0.*\(6, 3, 5\).*batch_first=True"
    ):
        LayerIDGI(lambda x: lstm(x.transpose(0, 1))[0][-1].sum(1), lstm).attribute(normal(3, 6, 4))


def test_baselines_whose_activations_have_another_shape():
    layer = nn.Identity()
    model = lambda x: layer(x[:, : int(x[0, 0].item()) + 1]).sum(1)  # noqa: E731
    with pytest.raises(ValueError, match="baselines: expected activations of the layer in the shapes"):
        LayerIDGI(model, layer).attribute(torch.full((2, 4), 2.0))


def test_a_layer_without_an_effect_is_an_error():
    layer = nn.Linear(4, 4)
    with pytest.raises(ValueError, match="does not depend on its inputs"):
        LayerIDGI(lambda x: layer(x).detach().sum(1) + x.sum(1), layer).attribute(torch.rand(2, 4))
