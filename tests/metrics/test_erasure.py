"""Comprehensiveness and sufficiency against a loop over texts, shares and tokens."""

import math

import pytest
import torch

from captum_ext.metrics import comprehensiveness, sufficiency
from tests.helpers import close, normal

B, T, D = 3, 7, 4
SHARES = [0.01, 0.3, 0.5, 1.0]


def f(x, factor):
    return torch.stack([torch.tanh(x.sum((1, 2)) * 0.3) * factor, x.pow(2).mean((1, 2))], 1)


@pytest.fixture
def case():
    allowed = torch.rand(B, T, generator=torch.Generator().manual_seed(1)) < 0.7
    return {
        "scores": normal(B, T, seed=2),
        "inputs": normal(B, T, D),
        "baselines": normal(B, T, D, seed=3),
        "target": [0, 1, 0],
        "additional_forward_args": normal(B, seed=4),
        "candidates": allowed,
    }


def naive(case, keep_top, ranking="signed"):
    results = []
    for k in range(B):
        x, start, factor = (case[name][k] for name in ("inputs", "baselines", "additional_forward_args"))
        allowed = [t for t in range(T) if case["candidates"][k, t]]
        key = {t: float(case["scores"][k, t]) for t in allowed}
        if ranking == "absolute":
            key = {t: abs(score) for t, score in key.items()}
        order = sorted(allowed, key=lambda t: -key[t])

        def value(x, k=k, factor=factor):
            return f(x[None], factor[None])[0, case["target"][k]]

        falls = []
        for share in SHARES:
            top = order[: math.ceil(share * len(allowed))]
            erased = [t for t in allowed if t not in top] if keep_top else top
            changed = x.clone()
            changed[erased] = start[erased]
            falls.append(value(x) - value(changed))
        results.append(sum(falls) / len(falls))
    return torch.stack(results)


@pytest.mark.parametrize("ranking", ["signed", "absolute"])
@pytest.mark.parametrize(("metric", "keep_top"), [(comprehensiveness, False), (sufficiency, True)])
@pytest.mark.parametrize("rows", [None, 1, 2])
def test_metrics_are_those_of_a_loop(case, metric, keep_top, ranking, rows):
    got = metric(f, **case, shares=SHARES, ranking=ranking, internal_batch_size=rows)
    close(got, naive(case, keep_top, ranking), 1e-12)


def test_all_tokens_or_none(case):
    whole = comprehensiveness(f, **case, shares=[1.0])
    start = torch.where(case["candidates"].unsqueeze(2), case["baselines"], case["inputs"])
    args = case["additional_forward_args"]
    change = (f(case["inputs"], args) - f(start, args))[range(B), case["target"]]
    close(whole, change)
    close(sufficiency(f, **case, shares=[1.0]), torch.zeros(B, dtype=torch.float64))


def test_shares_are_counted_without_rounding_errors():
    x = torch.ones(1, 30, 1)
    fall = comprehensiveness(lambda x: x.sum((1, 2)), x[..., 0], x, shares=[0.1])
    assert fall.tolist() == [3.0]


def test_equal_scores_take_the_first_token_and_padding_is_never_replaced():
    x = torch.tensor([[[1.0], [2.0], [4.0], [8.0]]])
    allowed = torch.tensor([[False, True, True, False]])
    got = comprehensiveness(lambda x: x.sum((1, 2)), torch.zeros(1, 4), x, candidates=allowed, shares=[0.5])
    assert got.tolist() == [2.0]
    empty = comprehensiveness(lambda x: x.sum((1, 2)), torch.zeros(0, 4), x[:0])
    assert empty.shape == (0,)


def test_a_nan_of_f_stays_with_its_example(case):
    case["additional_forward_args"][1] = torch.nan
    case["target"] = 0
    got = comprehensiveness(f, **case)
    assert got.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"scores": normal(B, T, D)}, ValueError, r"attributions\.sum\(2\)"),
        ({"scores": normal(B, T) * torch.nan}, ValueError, "finite"),
        ({"candidates": torch.ones(B, T)}, ValueError, "candidates: expected a tensor of bool"),
        ({"shares": []}, TypeError, "shares"),
        ({"shares": [0.0]}, ValueError, "above 0"),
        ({"shares": [2]}, ValueError, "at most 1"),
        ({"shares": "all"}, TypeError, "shares"),
        ({"ranking": "squared"}, ValueError, "ranking: expected one of"),
        ({"inputs": normal(B)}, ValueError, r"one tensor \(B, T, ...\)"),
    ],
)
def test_mistakes(case, changes, kind, message):
    if "inputs" in changes:
        changes = {**changes, "baselines": None}
    with pytest.raises(kind, match=message):
        comprehensiveness(f, **{**case, **changes})
