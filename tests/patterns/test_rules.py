"""The backward pass with patterns, by hand and against the network that has them as weights."""

import copy
import threading
import warnings

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from captum_ext.attr import IDGI, PGIG, GuidedIG, IntegratedGradients, PathAttribution, PatternAttribution, PatternNet
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.patterns import PatternRule, Patterns, fit_patterns, pattern_backward
from captum_ext.quadratures import ImportantDirection, WeightedSum
from tests.patterns.models import branched, inputs


def gradient(model, x, target=1):
    x = x.clone().requires_grad_()
    (result,) = torch.autograd.grad(model(x)[:, target].sum(), x)
    return result


def gates_of(model, x):
    """The network's own ReLU and pooling choices at x, as a function of tensors that pass by in the same order."""
    gates = []
    handles = [
        module.register_forward_hook(lambda m, i, o: gates.append(o.detach() > 0))
        for module in model.modules()
        if isinstance(module, nn.ReLU)
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return gates


def test_two_layers_by_hand():
    """x = (2, 1), W1 = ((1, -1), (-1, 1)), ReLU, W2 = (3, 5): hidden (1, 0), output 3."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1], [-1, 1]]))
        model[2].weight.copy_(torch.tensor([[3.0, 5]]))
    first, second = torch.tensor([[0.7, -0.3], [0.2, 0.9]]), torch.tensor([[0.25, 0.05]])
    patterns = Patterns({"0": first.double(), "2": second.double()})
    x = torch.tensor([[2.0, 1.0]], dtype=torch.float64)
    # Backwards from 3: through layer 2 by 0.25 to the first hidden unit (the other does not fire), then by row 0.
    torch.testing.assert_close(PatternNet(model, patterns).attribute(x), 3 * 0.25 * first[:1].double())
    # The same with weight times pattern: 3 * (3 * 0.25) * (1 * 0.7, -1 * -0.3).
    expected = 3 * 0.75 * torch.tensor([[0.7, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(PatternAttribution(model, patterns).attribute(x), expected)
    # PGIG from 0: the gate is open on all of the way, and the start is 1.
    torch.testing.assert_close(PGIG(model, patterns).attribute(x), x * expected / 3)


@pytest.mark.parametrize("mode", ["attribution", "signal"])
def test_equals_the_transposed_layers_written_out(model, patterns, mode):
    """A copy with the substitute weights, whose gates are held at the real network's."""
    x = inputs()
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, pattern in patterns.items():
            weight = other.get_submodule(name).weight
            weight.copy_(weight * pattern if mode == "attribution" else pattern)
            other.get_submodule(name).bias.zero_()
    gates = iter(gates_of(model, x))
    pooled = torch.nn.functional.max_pool2d_with_indices
    with torch.no_grad():
        y = model.act(model.stem(x))
        y = y + model.act(model.depthwise(y))
        y = model.act(model.shared(model.act(model.shared(y))))
        where = pooled(y, 2)[1]

    def held(z):
        z = other.stem(z) * next(gates)
        z = z + other.depthwise(z) * next(gates)
        z = other.shared(other.shared(z) * next(gates)) * next(gates)
        return other.head(z.flatten(2).gather(2, where.flatten(2)).flatten(1))

    expected = gradient(held, x)
    with pattern_backward(model, patterns, mode):
        got = gradient(model, x)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)
    assert (got - gradient(model, x)).abs().max() > 1e-3


class Mixer(nn.Module):
    """One MLP-mixer block (tokens, then channels) with activations in place, on (B, tokens, channels)."""

    def __init__(self, inplace):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(6), nn.LayerNorm(6)])
        self.tokens = nn.Sequential(nn.Linear(5, 8), nn.ReLU(inplace), nn.Linear(8, 5))
        self.channels = nn.Sequential(nn.Linear(6, 12), nn.Hardswish(inplace), nn.Linear(12, 6))
        self.inplace = inplace

    def forward(self, x):
        mixed = self.tokens(self.norms[0](x).mT).mT
        x = mixed.add_(x) if self.inplace else mixed + x
        mixed = self.channels(self.norms[1](x))
        return mixed.mul_(0.5).add_(x) if self.inplace else mixed * 0.5 + x


class Transformer(nn.Module):
    def __init__(self, inplace):
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, activation=nn.ReLU(inplace), batch_first=True)
        self.inplace = inplace

    def forward(self, x):
        x = self.embed(x)
        return self.layer(x.mul_(2) if self.inplace else x * 2)


@pytest.mark.parametrize("mode", ["attribution", "signal"])
@pytest.mark.parametrize(
    ("block", "width", "shape"), [(Mixer, 6, (7, 5, 6)), (Mixer, 6, (7, 3, 5, 6)), (Transformer, 8, (7, 5, 6))]
)
def test_layers_on_tokens_may_be_followed_by_operations_in_place(block, width, shape, mode):
    """A biased linear layer's output of rank 3 is a view of its rows."""
    models = []
    for inplace in (True, False):
        torch.manual_seed(0)
        features = torch.Size(shape[1:-1]).numel() * width
        models.append(nn.Sequential(block(inplace), nn.Flatten(1), nn.Linear(features, 3)).double().eval())
    inplace, other = models
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # attention's projection has no pattern
        patterns = fit_patterns(inplace, [torch.randn(40, *shape[1:], dtype=torch.float64)])
    output, plain = inplace(x.requires_grad_()), gradient(inplace, x)
    values = x.detach().clone()
    with pattern_backward(inplace, patterns, mode):
        assert torch.equal(inplace(x), output)
        got = gradient(inplace, x)
    with pattern_backward(other, patterns, mode):
        expected = gradient(other, x)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)
    assert (got - plain).abs().max() > 1e-3
    assert torch.equal(gradient(inplace, x), plain)
    assert torch.equal(x, values)
    for method in (PGIG, PatternNet, PatternAttribution):
        attributions = method(inplace, patterns).attribute(x.detach(), target=1)
        torch.testing.assert_close(attributions, method(other, patterns).attribute(x.detach(), target=1))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6,), (2, 6), (2, 3, 6), (2, 3, 5, 6)])
def test_outputs_of_any_rank_may_be_changed_in_place(shape, bias):
    layer = nn.Linear(6, 4, bias=bias).double()
    patterns = Patterns({"0": torch.randn(4, 6, dtype=torch.float64)})
    x = torch.randn(shape, dtype=torch.float64).requires_grad_()
    for step in ("relu_", "neg_", "exp_"):
        with pattern_backward(nn.Sequential(layer), patterns, "signal"):
            output = getattr(layer(x), step)()
            (got,) = torch.autograd.grad(output.sum(), x)
        value = layer(x).detach().requires_grad_()
        (sent,) = torch.autograd.grad(getattr(value.clone(), step)().sum(), value)
        torch.testing.assert_close(got, sent @ patterns["0"])
        assert torch.equal(output, getattr(layer(x).detach(), step)())


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_forward_pass_is_the_models_own_bit_for_bit(patterns, dtype, requires_grad):
    model = branched(dtype)
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad)
    x = inputs(dtype=dtype)
    expected = model(x)
    with pattern_backward(model, patterns):
        assert torch.equal(model(x.requires_grad_()), expected)
        assert torch.equal(model(x.detach()), expected)
        with torch.no_grad():
            assert torch.equal(model(x), expected)
        gradient(model, x)


def test_linear_models_scale_integrated_gradients_by_their_pattern():
    torch.manual_seed(0)
    model = nn.Linear(6, 3).double()
    patterns = fit_patterns(nn.Sequential(model), [torch.randn(50, 6, dtype=torch.float64)])
    x, baseline = torch.randn(2, 4, 6, dtype=torch.float64)
    ig = IntegratedGradients(model).attribute(x, baseline, target=2)
    pgig = PGIG(nn.Sequential(model), patterns).attribute(x, baseline, target=2)
    torch.testing.assert_close(pgig, patterns["0"][2] * ig)


def test_captums_methods_inside_the_context_are_pattern_guided(model, patterns):
    x, baseline = inputs(), inputs(1, seed=9) * 0.1
    ours = PGIG(model, patterns).attribute(x, baseline, target=2, n_steps=20)
    plain = captum.attr.IntegratedGradients(model)
    with pattern_backward(model, patterns):
        inside = plain.attribute(x, baseline, target=2, n_steps=20)
    assert (inside - ours).abs().max() <= 1e-7 * ours.abs().max()
    assert (plain.attribute(x, baseline, target=2, n_steps=20) - ours).abs().max() > 1e-3

    with pattern_backward(model, patterns):
        guided = gradient(model, x, 2)
        torch.testing.assert_close(captum.attr.Saliency(model).attribute(x, target=2, abs=False), guided)
        torch.testing.assert_close(captum.attr.InputXGradient(model).attribute(x, target=2).detach(), x * guided)
        tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(model))
        smooth = tunnel.attribute(x, nt_samples=3, stdevs=0.0, target=2, abs=False)
        torch.testing.assert_close(smooth, guided)
    value = model(x)[:, 2].detach().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(PatternAttribution(model, patterns).attribute(x, target=2), value * guided)


@pytest.mark.parametrize("path", [StraightPath(), BlurPath(max_sigma=2.0), GuidedPath(max_dist=0.5)])
@pytest.mark.parametrize("quadrature", [WeightedSum("riemann_left"), ImportantDirection()])
def test_any_path_and_quadrature(model, patterns, path, quadrature):
    x = inputs()
    rule = PatternRule(patterns)
    method = PathAttribution(model, path, quadrature, backward=rule)
    got = method.attribute(x, target=[0, 1, 2], n_steps=6)
    plain = PathAttribution(model, path, quadrature)
    with pattern_backward(model, patterns):
        torch.testing.assert_close(plain.attribute(x, target=[0, 1, 2], n_steps=6), got)
    assert (plain.attribute(x, target=[0, 1, 2], n_steps=6) - got).abs().max() > 1e-4
    for cap in (1, 2, 5):
        capped = method.attribute(x, target=[0, 1, 2], n_steps=6, internal_batch_size=cap)
        torch.testing.assert_close(capped, got, atol=1e-10, rtol=0)
    if isinstance(quadrature, ImportantDirection):
        change = model(x)[range(3), [0, 1, 2]] - model(path.start((x,), None)[0])[range(3), [0, 1, 2]]
        torch.testing.assert_close(got.sum((1, 2, 3)), change.detach())  # the values are F's own
        named = IDGI(model, path=path, backward=rule).attribute(x, target=[0, 1, 2], n_steps=6)
        torch.testing.assert_close(named, got)


def test_names_resolve_in_the_model_for_any_function_of_it(model, patterns):
    x = inputs()
    expected = PGIG(nn.Sequential(model, nn.Softmax(1)), patterns, model=model).attribute(x, target=1)
    got = PGIG(lambda z: model(z).softmax(1), patterns, model=model).attribute(x, target=1)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        PGIG(model.forward, patterns).attribute(x, target=1), PGIG(model, patterns).attribute(x, target=1)
    )
    parallel = nn.DataParallel(model)
    torch.testing.assert_close(
        PGIG(parallel, patterns).attribute(x, target=1), PGIG(model, patterns).attribute(x, target=1)
    )
    for method in (PGIG, PatternNet, PatternAttribution):
        with pytest.raises(TypeError, match=r"model=model\)"):
            method(lambda z: model(z), patterns)


def test_parts_of_the_model_may_be_called_alone(model, patterns):
    x = inputs()
    with pattern_backward(model, patterns):
        head = gradient(lambda z: model.head(model.pool(model.act(model.stem(z))).flatten(1)), x)
    assert (
        head - gradient(lambda z: model.head(model.pool(model.act(model.stem(z))).flatten(1)), x)
    ).abs().max() > 1e-3


def test_start_from_the_output(model, patterns):
    """The reference code injects the softmax's value: each point's gradient counts by F there."""
    x = inputs()

    def probability(z):
        return model(z).softmax(1)

    got = PGIG(probability, patterns, model=model, start="output").attribute(
        x, target=1, n_steps=5, method="riemann_right"
    )
    expected = torch.zeros_like(x)
    for k in range(1, 6):
        with pattern_backward(model, patterns):
            point = x * k / 5
            expected += gradient(probability, point) * probability(point)[:, 1].detach().reshape(-1, 1, 1, 1) * x / 5
    torch.testing.assert_close(got, expected)
    with pytest.raises(ValueError, match="start: expected one of"):
        PGIG(model, patterns, start="softmax")


def test_there_is_no_delta(model, patterns):
    for method in (PGIG(model, patterns), IDGI(model, backward=PatternRule(patterns))):
        assert not method.has_convergence_delta()
        with pytest.raises(ValueError, match="with a custom backward rule"):
            method.attribute(inputs(), target=0, return_convergence_delta=True)
    assert not PatternNet(model, patterns).has_convergence_delta()
    assert IDGI(model).has_convergence_delta()


def test_multiply_by_inputs(model, patterns):
    x = inputs()
    local = PGIG(model, patterns, multiply_by_inputs=False).attribute(x, target=1)
    torch.testing.assert_close(local * x, PGIG(model, patterns).attribute(x, target=1))


@pytest.mark.parametrize("cls", [PGIG, PatternNet, PatternAttribution])
def test_arguments_of_the_classes(model, patterns, cls):
    x = inputs(5)
    shift = torch.arange(5.0, dtype=torch.float64).unsqueeze(1)
    method = cls(model, patterns)
    rows = []
    handle = model.register_forward_hook(lambda m, i, o: rows.append(len(o)))
    got = method.attribute(x, target=[0, 1, 2, 3, 0], additional_forward_args=shift, internal_batch_size=2)
    handle.remove()
    assert max(rows) <= 2
    for k, target in enumerate([0, 1, 2, 3, 0]):
        one = method.attribute(x[k : k + 1], target=target, additional_forward_args=shift[k : k + 1])
        torch.testing.assert_close(got[k : k + 1], one)
    (in_tuple,) = method.attribute((x,), target=1)
    torch.testing.assert_close(in_tuple, method.attribute(x, target=1))
    assert method.attribute(x[:0], target=1).shape == (0, 3, 6, 6)
    assert method.get_name() == cls.__name__
    assert not got.requires_grad
    assert got.is_contiguous()
    tunnel = captum.attr.NoiseTunnel(method)
    torch.testing.assert_close(tunnel.attribute(x, nt_samples=2, stdevs=0.0, target=1), method.attribute(x, target=1))
    with pytest.raises(NotImplementedError):
        method.attribute_future()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frozen", [True, False])
def test_dtypes_and_frozen_parameters(patterns, dtype, frozen):
    exact = PGIG(branched(), patterns).attribute(inputs(), target=1, n_steps=8)
    model = branched(dtype)
    for parameter in model.parameters():
        parameter.requires_grad_(not frozen)
    got = PGIG(model, patterns).attribute(inputs(dtype=dtype), target=1, n_steps=8)
    error = (got.double() - exact).norm() / exact.norm()
    assert error <= {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.1}[dtype]


def test_contexts_nest_and_repeat(model, patterns):
    x = inputs()
    plain = gradient(model, x)
    zeros = Patterns({"head": torch.zeros_like(patterns["head"])})
    with pattern_backward(model, patterns):
        outer = gradient(model, x)
        with pattern_backward(model, patterns, "signal"):
            inner = gradient(model, x)
        torch.testing.assert_close(gradient(model, x), outer)
        with pattern_backward(model, zeros):
            assert (gradient(model, x) == 0).all()
        torch.testing.assert_close(gradient(model, x), outer)
    assert torch.equal(gradient(model, x), plain)
    with pattern_backward(model, patterns, "signal"):
        torch.testing.assert_close(gradient(model, x), inner)
    assert torch.equal(gradient(model, x), plain)


def test_inner_patterns_leave_the_outer_ones_of_other_layers(model, patterns):
    x = inputs()
    some = Patterns({"head": patterns["head"]})
    others = Patterns({name: patterns[name] for name in patterns if name != "head"})
    with pattern_backward(model, others), pattern_backward(model, some):
        nested = gradient(model, x)
    with pattern_backward(model, patterns):
        torch.testing.assert_close(nested, gradient(model, x))


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_everything_is_as_before_after_a_failure(model, patterns, failure, where):
    x = inputs()
    plain = gradient(model, x)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model(x).sum().backward()
    grads = [parameter.grad.clone() for parameter in model.parameters()]

    def fail(*arguments):
        raise failure

    def failing(z):
        out = model(z)
        if where == "forward":
            fail()
        out.register_hook(fail)
        return out

    with pytest.raises(failure):
        PGIG(failing, patterns, model=model).attribute(x, target=1)
    assert torch.equal(gradient(model, x), plain)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(a, p.grad) for a, p in zip(grads, model.parameters(), strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


def test_parameters_of_patterned_layers_have_no_gradient(model, patterns):
    x = inputs().requires_grad_()
    with pattern_backward(model, patterns):
        model(x).pow(2).sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is None for parameter in model.parameters())
    model(x).pow(2).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_compiled_models():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    x = torch.randn(64, 8)
    patterns = fit_patterns(model, [x])
    expected = PGIG(model, patterns).attribute(x[:4], target=1)
    attributions = PGIG(torch.compile(model), patterns).attribute(x[:4], target=1)
    torch.testing.assert_close(attributions, expected)
    assert not torch.allclose(expected, IntegratedGradients(model).attribute(x[:4], target=1), rtol=0.01)


def run_before(function):
    """A function whose gradient was taken once, so that torch.compile has it in its cache."""
    gradient(function, torch.zeros(4, 8))
    return function


def partly(compiled, rest):
    return lambda x: rest(compiled(x))


@pytest.mark.parametrize(
    "compiled",
    [
        lambda model: torch.compile(model, backend="aot_eager", fullgraph=True),
        lambda model: run_before(torch.compile(model, backend="aot_eager")),
        lambda model: run_before(torch.compile(lambda x: model(x), backend="aot_eager")),
        lambda model: run_before(partly(torch.compile(model[:2], backend="aot_eager"), model[2])),
    ],
    ids=["whole", "run before", "function", "part"],
)
def test_models_run_eagerly_whatever_is_compiled(compiled):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    x = torch.randn(64, 8)
    patterns = fit_patterns(model, [x])
    expected = PGIG(model, patterns).attribute(x[:4], target=1)
    plain = gradient(model, x[:4])
    function = compiled(model)
    torch.testing.assert_close(PGIG(function, patterns, model=model).attribute(x[:4], target=1), expected)
    with pattern_backward(model, patterns):
        inside = gradient(model, x[:4])
        torch.testing.assert_close(gradient(function, x[:4]), inside)
        with pytest.raises(KeyboardInterrupt), pattern_backward(model, patterns, "signal"):
            raise KeyboardInterrupt
        torch.testing.assert_close(gradient(function, x[:4]), inside)
    torch.testing.assert_close(gradient(function, x[:4]), plain)


def test_compiled_models_run_as_compiled_afterwards():
    """The stance is one for all threads: the last to leave puts it back, whatever the order."""
    calls = []

    def backend(graph, example_inputs):
        def run(*arguments):
            calls.append(1)
            return graph(*arguments)

        return run

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    patterns = fit_patterns(model, [torch.randn(64, 8)])
    compiled = torch.compile(model, backend=backend)
    x = torch.randn(4, 8)
    gradient(compiled, x)
    assert len(calls) == 1
    first, second = pattern_backward(model, patterns), pattern_backward(model, patterns)
    entered, left = threading.Event(), threading.Event()
    results = []

    def other():
        with second:
            entered.set()
            left.wait(60)
            results.append(gradient(compiled, x))

    with first:
        expected = gradient(model, x)
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(60)
    left.set()
    thread.join()
    torch.testing.assert_close(results[0], expected)
    assert len(calls) == 1
    gradient(compiled, x)
    assert len(calls) == 2


@pytest.mark.parametrize("method", [PGIG, PatternAttribution])
def test_autocast(method):
    model = branched(torch.float32)
    patterns = fit_patterns(model, [inputs(40, torch.float32, seed=5)])
    plain = method(model, patterns).attribute(inputs(dtype=torch.float32), target=1)
    with torch.autocast("cpu", torch.bfloat16):
        attributions = method(model, patterns).attribute(inputs(dtype=torch.float32), target=1)
    assert attributions.dtype == torch.float32
    assert not torch.equal(attributions, plain)
    assert (attributions - plain).norm() < 0.1 * plain.norm()


def test_a_fit_under_autocast_sums_in_float32():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    plain = fit_patterns(model, [x])
    with torch.autocast("cpu", torch.bfloat16):
        patterns = fit_patterns(model, [x])
    for name in plain:
        assert patterns[name].dtype == torch.float32
        assert (patterns[name] - plain[name]).norm() < 0.01 * plain[name].norm()


def test_gradients_can_be_differentiated_again(model, patterns):
    x = inputs(1).requires_grad_()
    with pattern_backward(model, patterns):
        (first,) = torch.autograd.grad(model(x)[:, 1].pow(2).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), x)
    assert torch.isfinite(second).all()
    assert (second != 0).any()


def test_another_thread_is_not_affected(model, patterns):
    """It may even train, which patterns hooked to the modules would break."""
    x = inputs()
    plain, values = gradient(model, x), model(x).detach()
    with pattern_backward(model, patterns):
        here = gradient(model, x)
    inside, results, mistakes = threading.Event(), [], []
    stop = threading.Event()

    def other():
        inside.wait()
        while not stop.is_set():
            results.append((gradient(model, x), model(x).detach()))

    thread = threading.Thread(target=other)
    thread.start()
    try:
        with pattern_backward(model, patterns):
            inside.set()
            for _ in range(60):
                if not torch.allclose(gradient(model, x), here, atol=1e-12):
                    mistakes.append("here")
    finally:
        inside.set()
        stop.set()
        thread.join()
    assert not mistakes
    assert len(results) > 5
    assert all(torch.equal(value, values) and torch.equal(slope, plain) for slope, value in results)


def test_two_threads_with_different_patterns(model, patterns):
    x = inputs()
    expected = {}
    for mode in ("attribution", "signal"):
        with pattern_backward(model, patterns, mode):
            expected[mode] = gradient(model, x)
    failures = []

    def run(mode):
        for _ in range(20):
            with pattern_backward(model, patterns, mode):
                if not torch.equal(gradient(model, x), expected[mode]):
                    failures.append(mode)

    threads = [threading.Thread(target=run, args=(mode,)) for mode in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def replicate(module):
    """What nn.parallel.replicate makes, without its CUDA-only copying."""
    replica = module._replicate_for_data_parallel()
    for name, parameter in module._parameters.items():
        if parameter is not None:
            setattr(replica, name, parameter.clone())
    for name, child in module._modules.items():
        setattr(replica, name, replicate(child))
    return replica


def test_data_parallel_replicas_in_threads_of_their_own(model, patterns):
    x = inputs(4)
    with pattern_backward(model, patterns):
        expected = gradient(model, x)
        replicas = [replicate(model), replicate(model)]
        parts = [part.clone().requires_grad_() for part in x.chunk(2)]
        outputs = [None, None]

        def run(k):
            with torch.enable_grad():
                outputs[k] = replicas[k](parts[k])

        threads = [threading.Thread(target=run, args=(k,)) for k in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gradients = torch.autograd.grad(sum(out[:, 1].sum() for out in outputs), parts)
    torch.testing.assert_close(torch.cat(gradients), expected)
    (left_alone,) = torch.autograd.grad(model(parts[0])[:, 1].sum(), parts[0])
    assert (left_alone - gradients[0]).abs().max() > 1e-3


def test_layers_without_a_pattern_have_their_ordinary_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Sigmoid(), nn.Linear(6, 2)).double().eval()
    patterns = Patterns({"3": torch.randn(2, 6, dtype=torch.float64)})
    x = torch.randn(3, 4, dtype=torch.float64)
    with pattern_backward(model, patterns, "signal"):
        got = gradient(model, x)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[3].weight.copy_(patterns["3"])
    torch.testing.assert_close(got, gradient(other, x))


def test_patterns_that_never_come_into_play_are_noticed(model, patterns):
    elsewhere = branched(seed=3)
    with pytest.raises(ValueError, match="None of the patterned layers ran"):
        PGIG(lambda z: elsewhere(z), patterns, model=model).attribute(inputs(), target=0)
    with pytest.raises(ValueError, match="None of the patterned layers ran"), pattern_backward(model, patterns):
        gradient(elsewhere, inputs())


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_model_whose_layers_can_not_be_seen_is_noticed(model, patterns):
    """A trace calls no function of Python's, so that its gradients are the ordinary ones."""
    x = inputs()
    traced = torch.jit.trace(model, x)
    for method in (PGIG, PatternNet, PatternAttribution):
        with pytest.raises(ValueError, match=r"None of the patterned layers ran.*traced or scripted"):
            method(traced, patterns, model=model).attribute(x, target=0)
    with pytest.raises(ValueError, match="None of the patterned layers ran"), pattern_backward(model, patterns):
        gradient(traced, x)
    with pytest.raises(ValueError, match="None of the patterned layers ran"), pattern_backward(model, patterns):
        traced(x.requires_grad_())[:, 1].sum().backward()


def test_a_context_may_be_idle_or_hidden_by_an_inner_one(model, patterns):
    x = inputs()
    with pattern_backward(model, patterns):
        pass
    with pattern_backward(model, patterns), torch.no_grad():
        model(x)
    with pattern_backward(model, patterns, "signal"):
        expected = gradient(model, x)
    with pattern_backward(model, patterns), pattern_backward(model, patterns, "signal"):
        assert torch.equal(gradient(model, x), expected)


def test_convolutions_of_single_images_raise():
    model = nn.Conv2d(3, 2, 3)
    patterns = Patterns({"": torch.ones(2, 3, 3, 3)})
    with pytest.raises(ValueError, match=r"got an input of shape \(3, 5, 5\)"), pattern_backward(model, patterns):
        model(torch.rand(3, 5, 5, requires_grad=True))


def test_mistakes(model, patterns):
    with pytest.raises(TypeError, match="expected Patterns"):
        PatternRule({"head": torch.ones(4, 72)})
    with pytest.raises(ValueError, match="mode: expected one of"):
        PatternRule(patterns, mode="patternnet")
    with pytest.raises(TypeError, match=r"model: expected an nn\.Module"):
        PatternRule(patterns, model="resnet")
    with pytest.raises(ValueError, match="has no linear or convolution layers"):
        PGIG(nn.Sequential(model), patterns)
    with pytest.raises(ValueError, match="n_steps"):
        GuidedIG(model).attribute(inputs(), target=0, n_steps=0)


def test_a_model_whose_weights_changed_warns(model, patterns):
    with torch.no_grad():
        model.head.weight[0, 0] += 0.1
    with pytest.warns(UserWarning, match=r"1 of 4 layers changed.*'head'"):
        PGIG(model, patterns)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PGIG(branched(), patterns)


def fig2():
    """The paper's Fig. 2: y = 1 - relu(1 - z), whose input has z in its first dimension and noise in both."""
    np.random.seed(42)
    z = np.arange(-2, 2, 0.01)
    noise = np.random.normal(0, 0.3, len(z))
    x = np.stack([z + noise, noise], 1)
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[-1.0, 1.0]]))
        model[0].bias.fill_(1)
        model[2].weight.fill_(-1)
        model[2].bias.fill_(1)
    return z, torch.tensor(x), model


@pytest.mark.parametrize(
    ("mean", "first"), [("preactivation", (-1.01621, -0.01621)), ("rectified", (-1.01707, -0.01707))]
)
def test_fig_2_patterns(mean, first):
    _, x, model = fig2()
    patterns = fit_patterns(model, x.split(64), mean=mean)
    torch.testing.assert_close(patterns["0"], torch.tensor([first], dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(patterns["2"], torch.full((1, 1), -1.0, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("rule", ["riemann_right", "gausslegendre"])
def test_fig_2_pgig_equals_a_direct_evaluation(rule):
    _, x, model = fig2()
    patterns = fit_patterns(model, [x])
    got = PGIG(model, patterns).attribute(x, n_steps=100, method=rule).numpy()
    if rule == "riemann_right":
        nodes, weights = np.arange(1, 101) / 100, np.full(100, 0.01)
    else:
        nodes, weights = np.polynomial.legendre.leggauss(100)
        nodes, weights = (nodes + 1) / 2, weights / 2
    w1, w2 = np.array([-1.0, 1.0]), -1.0
    p1, p2 = patterns["0"].numpy()[0], patterns["2"].item()
    for example, attribution in zip(x.numpy(), got, strict=True):
        total = np.zeros(2)
        for alpha, weight in zip(nodes, weights, strict=True):
            open_gate = w1 @ (alpha * example) + 1 > 0
            total += weight * open_gate * (w2 * p2) * (w1 * p1)
        assert np.abs(attribution - total * example).max() <= 1e-9


def test_fig_2_story():
    """IG gives weight to the distractor, PatternAttribution starves on the plateau, PGIG does neither."""
    z, x, model = fig2()
    patterns = fit_patterns(model, [x])
    ig = IntegratedGradients(model).attribute(x, n_steps=100, method="riemann_right")
    pa = PatternAttribution(model, patterns).attribute(x)
    pgig = PGIG(model, patterns).attribute(x, n_steps=100, method="riemann_right")
    plateau = torch.tensor(z) > 1.8  # where the output is 1 and no gradient is left

    def share(attribution):  # what the distractor gets of all
        return (attribution[:, 1].abs().sum() / attribution.abs().sum()).item()

    assert share(ig) == pytest.approx(0.188, abs=0.001)
    assert share(pa) < 0.02
    assert share(pgig) < 0.005
    assert (pa[plateau] == 0).all()
    assert pgig[plateau, 0].min() > 0.5
    assert ig[plateau, 0].min() > 0.5
