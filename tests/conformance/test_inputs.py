"""Inputs of every kind: embeddings and their tokens, several ranks, inputs unused in places, graphs, recurrent nets."""

import warnings

import captum.attr
import pytest
import torch
from captum.attr import NoiseTunnel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from captum_ext.attr import PGIG, IntegratedGradients, PatternAttribution, PatternNet, SharedArgument
from captum_ext.metrics import completeness, insertion
from captum_ext.paths import BlurPath
from captum_ext.patterns import fit_patterns
from tests.conformance.cases import METHODS, TAKES_BASELINES, Case, each, every_method
from tests.helpers import close

PATTERNED = [
    Case("PGIG", PGIG),
    Case("PatternNet", PatternNet),
    Case("PatternAttribution", PatternAttribution),
]  # made with patterns and the model that they are of
every_method_and_patterns = each([*METHODS, *PATTERNED])
STEPS = 5


def attribute(case, model, forward_func, inputs, **arguments):
    """What a method gives, by patterns of the model if it is one of those that have any."""
    if case not in PATTERNED:
        return case.make(forward_func).attribute(inputs, n_steps=STEPS, **arguments)
    example = inputs[0] if isinstance(inputs, tuple) else inputs
    data = torch.randn(40, *example.shape[1:], dtype=example.dtype, generator=torch.Generator().manual_seed(4))
    patterns = fit_patterns(model, [data], estimator="linear")
    method = case.make(forward_func, patterns, model)
    steps = {"n_steps": STEPS} if isinstance(method, PGIG) else {}
    return method.attribute(inputs, **steps, **arguments)


class Text(nn.Module):
    """Embeddings (B, T, 4) and, to know the padding, their tokens (B, T); to (B, 3)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(9, 4, padding_idx=0)
        self.layer = nn.Linear(4, 6)
        self.head = nn.Linear(6, 3)
        self.double()
        self.seen = set()

    def forward(self, embedded, tokens=None):
        self.seen.add(None if tokens is None else tokens.dtype)
        hidden = torch.tanh(self.layer(embedded))
        if tokens is None:
            return self.head(hidden.sum(1))
        kept = (tokens != 0).unsqueeze(-1)
        position = self.table(tokens).sum(-1, keepdim=True)  # a use that needs integers
        return self.head((hidden * kept * (1 + position**2)).sum(1) / kept.sum(1))


TOKENS = torch.tensor([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [2, 0, 0, 0, 0], [8, 8, 1, 1, 0]])


@pytest.mark.parametrize("cap", [None, 1, 3, 7])
@every_method_and_patterns
def test_embeddings_with_their_tokens(case, cap):
    model = Text().eval()
    embedded = model.table(TOKENS).detach() + 0.1
    targets = [0, 1, 2, 0]
    got = attribute(
        case, model, model, embedded, target=targets, additional_forward_args=TOKENS, internal_batch_size=cap
    )
    assert model.seen <= {torch.int64, None}
    for k in range(4):
        one = slice(k, k + 1)
        single = attribute(
            case,
            model,
            lambda x, k=k: model(x, TOKENS[k : k + 1].expand(len(x), -1)),
            embedded[one],
            target=targets[k],
        )
        close(got[one], single)
    if case not in PATTERNED:
        assert (got[TOKENS == 0] == 0).all()
    assert (got[TOKENS != 0] != 0).any()


def three_ranks(x, y, z):
    return torch.tanh(x.sum((1, 2, 3)) * 0.1) + (y**2).sum(1) * torch.cos(z)


@pytest.mark.parametrize("cap", [None, 1, 5])
@each(TAKES_BASELINES)
def test_inputs_of_different_rank(case, cap):
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(torch.randn(3, *shape, dtype=torch.float64, generator=generator) for shape in ((2, 4, 3), (5,), ()))
    got = case.make(three_ranks).attribute(inputs, (0, 0.5, 0.1), n_steps=STEPS, internal_batch_size=cap)
    assert [part.shape for part in got] == [part.shape for part in inputs]
    for k in range(3):
        rows = tuple(part[k : k + 1] for part in inputs)
        for part, single in zip(got, case.make(three_ranks).attribute(rows, (0, 0.5, 0.1), n_steps=STEPS), strict=True):
            close(part[k : k + 1], single)
    if case in METHODS and case.is_captums:
        theirs = captum.attr.IntegratedGradients(three_ranks).attribute(inputs, (0, 0.5, 0.1), n_steps=STEPS)
        for part, expected in zip(got, theirs, strict=True):
            close(part, expected, 1e-7)


@each([case for case in METHODS if isinstance(case.path, BlurPath)])
def test_what_can_not_be_blurred_says_where_to_put_it(case):
    inputs = (torch.rand(3, 2, 4, 3), torch.rand(3, 5), torch.rand(3))
    with pytest.raises(ValueError, match=r"shape \(3, 5\).*spatial_dims.*additional_forward_args"):
        case.make(three_ranks).attribute(inputs)
    image, *others = inputs
    assert case.make(three_ranks).attribute(image, additional_forward_args=tuple(others)).shape == image.shape


@pytest.mark.parametrize("cap", [None, 1, 2, 4])
@every_method
def test_an_input_that_only_some_passes_use(case, cap, images):
    """With one example a pass autograd has no gradient for the unused input there, rather than zeros."""
    other = images.flip(3) + 0.3
    flags = torch.tensor([False, True, False])

    def f(x, y, flag):
        base = torch.tanh(x.sum((1, 2, 3)))
        return base + torch.where(flag, (y**2).sum((1, 2, 3)), 0) if bool(flag.any()) else base

    used, sometimes = case.make(f).attribute(
        (images, other), additional_forward_args=flags, n_steps=STEPS, internal_batch_size=cap
    )
    alone = case.make(lambda x, y: f(x, y, torch.ones(len(x), dtype=torch.bool)))
    expected = alone.attribute((images[1:2], other[1:2]), n_steps=STEPS)
    close(used[1:2], expected[0])
    close(sometimes[1:2], expected[1])
    assert (sometimes[[0, 2]] == 0).all()
    assert (sometimes[1] != 0).any()


@pytest.mark.parametrize("flags", [[True, False, False], [False, True, False], [False, False, True]])
@every_method
def test_examples_without_any_gradient_get_nothing(case, flags, images):
    def f(x, flag):
        return torch.tanh(0.01 * (x if bool(flag.any()) else x.detach()).square().sum((1, 2, 3)))

    attributions = case.make(f).attribute(
        images, additional_forward_args=torch.tensor(flags), n_steps=STEPS, internal_batch_size=1
    )
    assert attributions.flatten(1).any(1).tolist() == flags


@every_method
def test_an_input_that_some_points_of_the_path_do_not_use(case, images):
    """In passes of one point, the other input has a gradient from some way along the path only."""
    end = images.abs().mean().item()

    def f(x, y):
        base = torch.sin(x.sum((1, 2, 3)))
        return base + y.sum((1, 2, 3)) if bool(x.abs().mean() > end / 2) else base

    one = images[:1]
    attributions = case.make(f).attribute((one, one + 1), n_steps=8, internal_batch_size=1)
    assert all(torch.isfinite(part).all() for part in attributions)
    assert all((part != 0).any() for part in attributions)


class Graph(nn.Module):
    """Features of three nodes (B, 3, 4) over one graph (3, 3), dense or sparse, to (B, 2)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 5)
        self.head = nn.Linear(5, 2)
        self.double()
        self.seen = []

    def forward(self, x, adjacency=None, factor=None):
        self.seen.append(adjacency)
        hidden = torch.tanh(self.layer(x))
        if adjacency is not None:
            nodes = hidden.movedim(1, 0).flatten(1)  # (3, B * 5)
            hidden = (adjacency @ nodes).reshape(3, len(x), 5).movedim(0, 1)
        mixed = torch.tanh(hidden.sum(1))
        return self.head(mixed if factor is None else mixed * factor.unsqueeze(1))


ADJACENCY = torch.tensor([[0.2, 1, 0], [1, 0.1, 0.5], [0, 0.5, 0.7]], dtype=torch.float64)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("cap", [None, 1, 2, 5])
@every_method_and_patterns
def test_an_unrepeated_argument_reaches_every_pass_as_it_is(case, cap, sparse):
    """There are as many examples as nodes, so that nothing but the wrapper tells the two apart."""
    x = torch.randn(3, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    factor = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    adjacency = ADJACENCY.to_sparse() if sparse else ADJACENCY
    model = Graph()
    expected = attribute(
        case, model, lambda x, factor: model(x, adjacency, factor), x, target=1, additional_forward_args=factor
    )
    model.seen.clear()
    got = attribute(
        case,
        model,
        model,
        x,
        target=1,
        additional_forward_args=(SharedArgument(adjacency), factor),
        internal_batch_size=cap,
    )
    assert {id(seen) for seen in model.seen if seen is not None} == {id(adjacency)}
    close(got, expected)


@settings(max_examples=25, deadline=None)
@given(
    case=st.sampled_from(METHODS),
    examples=st.integers(1, 4),
    rows=st.integers(1, 4),
    cap=st.none() | st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_unrepeated_tables_of_any_size(case, examples, rows, cap, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, 2, 3, dtype=torch.float64, generator=generator)
    table = torch.randn(rows, 6, dtype=torch.float64, generator=generator)

    def f(z, table):
        return torch.tanh(z.flatten(1) @ table.T).sum(1)

    got, delta = case.make(f).attribute(
        x,
        additional_forward_args=SharedArgument(table),
        n_steps=STEPS,
        internal_batch_size=cap,
        return_convergence_delta=True,
    )
    expected, deltas = case.make(lambda z: f(z, table)).attribute(x, n_steps=STEPS, return_convergence_delta=True)
    close(got, expected)
    close(delta, deltas)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("cap", [2, 3])
@every_method_and_patterns
def test_a_tensor_without_rows_reaches_passes_of_exactly_the_examples(case, cap, sparse):
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    factor, adjacency = torch.tensor([1.0, -2.0]).double(), ADJACENCY.to_sparse_csr() if sparse else ADJACENCY
    model = Graph()
    expected = attribute(
        case, model, lambda x, factor: model(x, adjacency, factor), x, target=1, additional_forward_args=factor
    )
    arguments = {"target": 1, "additional_forward_args": (adjacency, factor)}
    close(attribute(case, model, model, x, internal_batch_size=cap, **arguments), expected)
    with pytest.raises(ValueError, match=r"\[0\]: expected one row for each of 2 examples.*internal_batch_size=2"):
        attribute(case, model, model, x, internal_batch_size=1, **arguments)


@every_method
def test_unrepeated_inside_noise_tunnel(case):
    x = torch.randn(3, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = Graph()
    arguments = {"target": 1, "n_steps": STEPS, "additional_forward_args": (SharedArgument(ADJACENCY),)}
    plain = case.make(model).attribute(x, **arguments)
    close(NoiseTunnel(case.make(model)).attribute(x, nt_samples=2, stdevs=0.0, **arguments), plain)


def test_unrepeated_in_metrics():
    x = torch.randn(3, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = Graph()

    def bound(z):
        return model(z, ADJACENCY)

    maps = IntegratedGradients(bound).attribute(x, target=1)
    arguments = {"target": 1, "additional_forward_args": SharedArgument(ADJACENCY), "internal_batch_size": 2}
    close(completeness(model, x, maps, **arguments).delta, completeness(bound, x, maps, target=1).delta)
    got, expected = insertion(model, x, maps, **arguments), insertion(bound, x, maps, target=1)
    close(got.scores, expected.scores)


def test_unrepeated_is_for_tensors_and_is_named_where_it_is_needed(pair_net, pairs):
    with pytest.raises(TypeError, match=r"SharedArgument: expected a tensor, got list.*Pass it without the wrapper"):
        SharedArgument([1, 2])
    with pytest.raises(ValueError, match=r"\[0\]: expected one row for each of 3.*Write SharedArgument\(argument\)"):
        IntegratedGradients(pair_net).attribute(pairs, target=0, additional_forward_args=torch.ones(5))


@pytest.mark.parametrize("cap", [None, 2, 1])
@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        (lambda y: y.sum(), ValueError, r"one row of output for each of \d+ rows.*got shape \(\)"),
        (lambda y: y.sum(0), ValueError, r"one row of output for each of \d+ rows|one value for each|picks no entries"),
        (lambda y: y.sum(0, keepdim=True).repeat(7, 1), ValueError, r"one row of output for each of \d+.*\(7, 2\)"),
        (lambda y: y.T[:, :, None], ValueError, r"one row of output for each|one value for each"),
        (lambda y: y.sum().item(), TypeError, "return a tensor, got float"),
        (lambda y: None, TypeError, "return a tensor, got NoneType"),
        (lambda y: (y, y), TypeError, r"return a tensor, got tuple of 2 values.*lambda x: model\(x\)\[0\]"),
        (lambda y: y.to(torch.complex128), TypeError, "expected real outputs"),
    ],
)
@every_method_and_patterns
def test_outputs_without_a_row_for_each_example(case, forward, error, message, cap):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    x = torch.rand(3, 3, 4, dtype=torch.float64)
    with pytest.raises(error, match=message):
        attribute(case, model, lambda z: forward(model(z)), x, internal_batch_size=cap)


@every_method_and_patterns
def test_complex_numbers(case):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    x = torch.rand(3, 3, 4, dtype=torch.float64)
    patterns = (fit_patterns(model, [x]),) if case in PATTERNED else ()
    with pytest.raises(TypeError, match=r"inputs: expected real numbers, got torch.complex128.*view_as_real"):
        case.make(model, *patterns).attribute(x + 1j * x, target=0)
    if case in TAKES_BASELINES:
        with pytest.raises(TypeError, match="baselines: expected real numbers"):
            case.make(model).attribute(x, x + 1j * x, target=0)


class Recurrent(nn.Module):
    """Series (B, T, 3) to (B, 2), by the last state."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.memory = kind(3, 5, num_layers=2, dropout=0.4, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 2)
        self.double()

    def forward(self, x):
        return self.head(self.memory(x)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@every_method_and_patterns
def test_recurrent_networks(case, kind):
    model = Recurrent(kind).eval()
    x = torch.randn(3, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    targets = [0, 1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = attribute(case, model, model, x, target=targets)
    for k, target in enumerate(targets):
        close(got[k : k + 1], attribute(case, model, model, x[k : k + 1], target=target))
    close(attribute(case, model, model, x, target=targets, internal_batch_size=2), got)
    assert (got != 0).any((0, 2)).all()  # every step of the series matters
    if case in METHODS and case.is_captums:
        close(got, captum.attr.IntegratedGradients(model).attribute(x, target=targets, n_steps=STEPS), 1e-7)


def test_recurrent_networks_in_training_mode_warn_if_they_drop():
    model = Recurrent(nn.LSTM).train()
    x = torch.randn(3, 6, 3, dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"training mode \(LSTM\)"):
        IntegratedGradients(model).attribute(x, target=0, n_steps=2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_recurrent_networks_on_cuda_without_cudnn():
    model = Recurrent(nn.LSTM).eval()
    x = torch.randn(3, 6, 3, dtype=torch.float64)
    expected = IntegratedGradients(model).attribute(x, target=1)
    with torch.backends.cudnn.flags(enabled=False):
        got = IntegratedGradients(model.cuda()).attribute(x.cuda(), target=1)
    close(got.cpu(), expected, 1e-9)
