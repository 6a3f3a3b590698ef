"""Paths along words, against a naive replica of the published ones."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from captum_ext.attr import DIG, IDGI, LayerPathAttribution, PathAttribution
from captum_ext.paths import StraightPath, VocabularyPath, vocabulary
from captum_ext.quadratures import WeightedSum
from tests.helpers import close, normal
from tests.references import naive_vocabulary as naive

V, D, M = 200, 6, 12
TABLE = normal(V, D, seed=1)
IDS = torch.tensor([[3, 14, 15, 92], [65, 35, 14, 7]])
STRATEGIES = ("greedy", "maxcount", "uniform")


def replica(strategy, neighbors, m=M, baseline=0):
    """The words (m, 2, 4), from the baseline's side, and the corners (m + 2, 2, 4, D)."""
    table = TABLE.numpy()
    lists = naive.neighbor_lists(table, neighbors)
    paths = []
    for word in IDS.flatten().tolist():
        if strategy == "uniform":
            paths.append(naive.on_line(table, word, baseline, m))
        else:
            paths.append(naive.chain(table, lists, word, baseline, m, strategy))
    corners = np.stack([naive.corners(table, path, baseline, m) for path in paths], 1)
    words = np.array([path[:0:-1] for path in paths]).T
    return torch.tensor(words).reshape(m, 2, 4), torch.tensor(corners).reshape(m + 2, 2, 4, D)


def points_of(path, x, start, m=M):
    return torch.stack([path.point((x,), (start,), k / (m + 1))[0] for k in range(m + 2)])


@pytest.fixture
def start():
    return TABLE[0].expand(2, 4, D)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("neighbors", [3, 40, 500])
def test_the_path_is_the_published_one(strategy, neighbors, start):
    path = VocabularyPath(TABLE, strategy, n_words=M, neighbors=neighbors)
    words, corners = replica(strategy, min(neighbors, V - 1))
    found = path.words((TABLE[IDS],), (start,))[0]
    assert torch.equal(torch.where(found < 0, 0, found), words)  # -1 is the baseline, word 0
    close(points_of(path, TABLE[IDS], start), corners, 1e-12)


def test_a_path_that_runs_out_of_words_ends_at_the_baseline(start):
    words = VocabularyPath(TABLE, "greedy", n_words=M, neighbors=1).words((TABLE[IDS],), (start,))[0]
    assert (words[0] == -1).any()
    ended = (words == -1).long()
    assert (ended.diff(dim=0) <= 0).all()  # once there, it stays


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("zero", [False, True], ids=["word", "zero"])
def test_every_coordinate_is_monotone_and_words_are_rows(strategy, zero, start):
    start = torch.zeros_like(start) if zero else start
    path = VocabularyPath(TABLE, strategy, n_words=M, neighbors=20)
    points = points_of(path, TABLE[IDS], start)
    moves, way = points.diff(dim=0), TABLE[IDS] - start
    assert (moves * way.sign() >= -1e-15).all()
    close(points[0], start, 0)
    close(points[-1], TABLE[IDS], 0)
    words = path.words((TABLE[IDS],), (start,))[0]
    assert (words >= 0).any()
    if strategy != "uniform":
        for column in words.reshape(M, -1).T:
            visited = column[column >= 0].tolist()
            assert len(set(visited)) == len(visited)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_special_tokens_neither_move_nor_are_visited(strategy, start):
    plain = VocabularyPath(TABLE, strategy, n_words=M, neighbors=40)
    visited = sorted(set(plain.words((TABLE[IDS],), (start,))[0].flatten().tolist()) - {-1, 0, *IDS.flatten().tolist()})
    special = [14, *visited[:10]]
    path = VocabularyPath(TABLE, strategy, n_words=M, neighbors=40, special=special)
    (own,) = path.start((TABLE[IDS],), (start,))
    assert torch.equal(own[IDS == 14], TABLE[IDS][IDS == 14])
    assert torch.equal(own[IDS != 14], start[IDS != 14])
    words = path.words((TABLE[IDS],), (own,))[0]
    assert (words[:, IDS == 14] == -1).all()
    assert not set(words.flatten().tolist()) & set(special)
    f = lambda x: torch.tanh(x.sum(1)).sum(1)  # noqa: E731
    attributions, delta = PathAttribution(f, path).attribute(
        TABLE[IDS], start, n_steps=64, return_convergence_delta=True
    )
    assert (attributions[IDS == 14] == 0).all()
    close(attributions.sum((1, 2)) - delta, f(TABLE[IDS]) - f(own))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_chunks_change_nothing(strategy, start, monkeypatch):
    path = VocabularyPath(TABLE, strategy, n_words=M, neighbors=40)
    expected = path.words((TABLE[IDS],), (start,))[0]
    monkeypatch.setattr(vocabulary, "_VALUES", 1)
    assert torch.equal(path.words((TABLE[IDS],), (start,))[0], expected)


def test_attributions_are_those_of_the_published_sum(start):
    """sum_k grad F(x_k) * (x_{k+1} - x_k) over the corners."""
    _, corners = replica("greedy", 40)
    leaf = corners[:-1].clone().requires_grad_()
    f = lambda x: torch.tanh(x.sum(-2) * 0.5).pow(2).sum(-1)  # noqa: E731
    (gradients,) = torch.autograd.grad(f(leaf).sum(), leaf)
    expected = (gradients * corners.diff(dim=0)).sum(0)
    dig = DIG(f, TABLE, n_words=M, neighbors=40)
    close(dig.attribute(TABLE[IDS], start, n_steps=M + 1, method="riemann_left"), expected, 1e-8)


def test_baselines_that_are_the_words_themselves_give_zero():
    f = lambda x: torch.tanh(x).sum((1, 2))  # noqa: E731
    start = TABLE[IDS].clone()
    start[0, 1] = 0
    attributions = DIG(f, TABLE, n_words=4).attribute(TABLE[IDS], start)
    assert ((attributions != 0).any(2) == (start != TABLE[IDS]).any(2)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes(dtype, start):
    """Inputs of a lower precision take the same words as the table's."""
    f = lambda x: torch.tanh(x).sum((1, 2))  # noqa: E731
    table = TABLE.to(dtype)
    path = VocabularyPath(table, n_words=M, neighbors=40)
    x = table[IDS].float()
    wide = VocabularyPath(table.double(), n_words=M, neighbors=40).words(
        (x.double(),), (table[0].double().expand_as(x),)
    )
    assert torch.equal(path.words((x,), (table[0].float().expand_as(x),))[0], wide[0])
    assert PathAttribution(f, path).attribute(table[IDS], n_steps=4).dtype == torch.float32


def test_at_the_embedding_layer_it_is_the_same_as_on_embeddings(start):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(V, D), nn.Flatten(), nn.Linear(4 * D, 3), nn.Tanh()).double()
    path = VocabularyPath(model[0], n_words=5, neighbors=30, special=[14])
    layer = LayerPathAttribution(model, model[0], path=path)
    got = layer.attribute(IDS, torch.zeros_like(IDS), target=[0, 2], n_steps=6)
    with torch.no_grad():
        x, start = model[0](IDS), model[0](torch.zeros_like(IDS))
    expected = PathAttribution(model[1:], path).attribute(x, start, target=[0, 2], n_steps=6)
    close(got, expected, 1e-12)
    assert (got[IDS == 14] == 0).all()
    before = model[0].weight.clone()
    IDGI(model[1:], path=path).attribute(x, start, target=1)
    assert torch.equal(model[0].weight, before)


def test_a_few_words_are_near_the_straight_line_in_the_limit_of_a_rich_vocabulary():
    """The line's own points as words make UDIG Integrated Gradients."""
    word, m = TABLE[3], 7
    line = torch.stack([k / (m + 1) * word for k in range(m + 2)])
    x = word.expand(1, 1, D)
    path = VocabularyPath(line, "uniform", n_words=m)
    f = lambda x: torch.tanh(x).sum((1, 2))  # noqa: E731
    arguments = {"n_steps": 24, "method": "riemann_middle"}
    expected = PathAttribution(f, StraightPath(), WeightedSum()).attribute(x, **arguments)
    close(PathAttribution(f, path).attribute(x, **arguments), expected, 1e-12)


def test_the_repr_is_short_and_copies_give_the_same(start):
    path = VocabularyPath(nn.Embedding.from_pretrained(TABLE), n_words=4)
    assert len(repr(path)) < 120
    twin = copy.deepcopy(path)
    assert torch.equal(twin.words((TABLE[IDS],), (start,))[0], path.words((TABLE[IDS],), (start,))[0])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: VocabularyPath("words"), TypeError, "embeddings: expected an embedding layer"),
        (lambda: VocabularyPath(TABLE[0]), TypeError, r"got a tensor \(6,\)"),
        (lambda: VocabularyPath(TABLE, "random"), ValueError, "strategy: expected one of"),
        (lambda: VocabularyPath(TABLE, n_words=0), ValueError, "n_words"),
        (lambda: VocabularyPath(TABLE, neighbors=1.5), TypeError, "neighbors"),
        (lambda: VocabularyPath(TABLE, special=[200]), ValueError, "from 0 to 199, got 200"),
        (lambda: VocabularyPath(TABLE, special="[CLS]"), TypeError, "special: expected a list"),
        (lambda: VocabularyPath(TABLE[:2], special=[0, 1]), ValueError, "not special"),
        (lambda: DIG(torch.sum, TABLE).attribute(TABLE[IDS] + 0.1), ValueError, r"at \[\[0, 0\]"),
        (
            lambda: DIG(torch.sum, TABLE).attribute(TABLE[IDS][..., :3]),
            ValueError,
            r"embeddings \(B, ..., 6\)",
        ),
        (lambda: DIG(torch.sum, TABLE, multiply_by_inputs=False), ValueError, "multiply_by_inputs"),
    ],
)
def test_mistakes(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
