"""ERASER's metrics for texts: the fall of the output without the top tokens, or with these alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.gradients import compute_gradients
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.numbers import is_number
from captum_ext._utils.types import BaselineType, TargetType

TokenRanking = Literal["signed", "absolute"]
_ERASED_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


def comprehensiveness(
    forward_func: Callable[..., Any],
    scores: Tensor,
    inputs: Tensor,
    baselines: BaselineType = None,
    target: TargetType = None,
    additional_forward_args: object = None,
    *,
    candidates: Tensor | None = None,
    shares: Sequence[float] = _ERASED_SHARES,
    ranking: TokenRanking = "signed",
    internal_batch_size: int | None = None,
) -> Tensor:
    """The fall of the output when the top tokens are replaced with baselines: more is better.

    The mean of F(x) - F(x without the top tokens) over several shares of tokens. With F a probability it is ERASER's
    comprehensiveness; with F a log-probability and one share, as ``shares=[0.2]``, its opposite is the log-odds of
    other papers.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row of scores per example, such
            as ``text.hold(targets.label(k, output="probability").of(model))``.
        scores: One number per token, (B, T), as :meth:`captum_ext.text.TextInputs.by_token` returns.
        inputs: The embeddings (B, T, ...). Pass ``**text.arguments()`` for these three arguments.
        baselines: What a token is replaced with; see :meth:`captum_ext.attr.PathAttribution.attribute`. Default: zeros.
        target: The score that was attributed; see there.
        additional_forward_args: Further arguments of ``forward_func``.
        candidates: Which tokens may be replaced, (B, T), bool, such as ``text.moves``. Default: all.
        shares: Which shares of an example's candidates are replaced; the number of tokens is rounded up. Default: 0.01,
            0.05, 0.1, 0.2 and 0.5, the paper's.
        ranking: ``"signed"`` (default) for what speaks most for the output first, or ``"absolute"`` for the largest
            magnitude first. Of equal scores the first token comes first.
        internal_batch_size: Maximum number of rows in a forward pass.

    Returns:
        One number per example, (B,).

    Raises:
        TypeError, ValueError: If an argument is invalid.

    Reference:
        DeYoung et al.: ERASER: A Benchmark to Evaluate Rationalized NLP Models. ACL 2020.
        https://arxiv.org/abs/1911.03429

    Example:
        >>> from captum_ext.metrics import comprehensiveness
        >>> x = torch.tensor([[[3.0], [1.0]]])
        >>> comprehensiveness(lambda x: x.sum((1, 2)), x.sum(2), x, shares=[0.5, 1.0])  # falls of 3 and 4
        tensor([3.5000])
    """
    erase = (candidates, shares, ranking, internal_batch_size)
    return _mean_fall(forward_func, scores, inputs, baselines, target, additional_forward_args, *erase, keep_top=False)


def sufficiency(
    forward_func: Callable[..., Any],
    scores: Tensor,
    inputs: Tensor,
    baselines: BaselineType = None,
    target: TargetType = None,
    additional_forward_args: object = None,
    *,
    candidates: Tensor | None = None,
    shares: Sequence[float] = _ERASED_SHARES,
    ranking: TokenRanking = "signed",
    internal_batch_size: int | None = None,
) -> Tensor:
    """The fall of the output when all but the top tokens are replaced with baselines: less is better.

    The mean of F(x) - F(the top tokens alone) over several shares of tokens.

    Args:
        forward_func: As for :func:`comprehensiveness`, and so are the arguments that follow.
        scores: As for :func:`comprehensiveness`.
        inputs: As for :func:`comprehensiveness`.
        baselines: As for :func:`comprehensiveness`.
        target: As for :func:`comprehensiveness`.
        additional_forward_args: As for :func:`comprehensiveness`.
        candidates: As for :func:`comprehensiveness`; other tokens always stay.
        shares: Which shares of an example's candidates stay.
        ranking: As for :func:`comprehensiveness`.
        internal_batch_size: As for :func:`comprehensiveness`.

    Returns:
        One number per example, (B,).

    Raises:
        TypeError, ValueError: If an argument is invalid.

    Reference:
        DeYoung et al.: ERASER: A Benchmark to Evaluate Rationalized NLP Models. ACL 2020.
        https://arxiv.org/abs/1911.03429

    Example:
        >>> from captum_ext.metrics import sufficiency
        >>> x = torch.tensor([[[3.0], [1.0]]])
        >>> sufficiency(lambda x: x.sum((1, 2)), x.sum(2), x, shares=[0.5, 1.0])  # falls of 1 and 0
        tensor([0.5000])
    """
    erase = (candidates, shares, ranking, internal_batch_size)
    return _mean_fall(forward_func, scores, inputs, baselines, target, additional_forward_args, *erase, keep_top=True)


def _mean_fall(
    forward_func: Callable[..., Any],
    scores: Tensor,
    inputs: Tensor,
    baselines: BaselineType,
    target: TargetType,
    additional_forward_args: object,
    candidates: Tensor | None,
    shares: Sequence[float],
    ranking: TokenRanking,
    internal_batch_size: int | None,
    keep_top: bool,
) -> Tensor:
    arguments = format_arguments(inputs, 0 if baselines is None else baselines, target, additional_forward_args)
    if len(arguments.inputs) > 1 or arguments.inputs[0].dim() < 2:
        raise ValueError("inputs: expected one tensor (B, T, ...). Pass others as additional_forward_args.")
    (x,) = arguments.inputs
    assert arguments.baselines is not None, "formatted"
    start = arguments.baselines[0]
    _check_shares(shares)
    ranks = _ranks(scores, candidates, ranking, x)
    movable = (ranks < x.shape[1]).sum(1)
    evaluate = Evaluator(
        forward_func, compute_gradients, arguments.target, arguments.forward_args, arguments.inputs, False
    )
    falls = []
    with torch.no_grad(), preserve_model_state(forward_func):
        for rows in split(arguments.inputs, 1, internal_batch_size, look_ahead=False)[0]:
            chunk, whole = evaluate.rows(rows), x[rows].to(start.dtype)
            value = chunk.value((whole,))
            total = torch.zeros_like(value)
            for share in shares:
                # Rounded up, but not by the product's rounding: 0.1 of 30 tokens are 3.
                count = (movable[rows].double() * float(share) - 1e-9).ceil()
                top = ranks[rows] < count.unsqueeze(1)
                erased = (~top & (ranks[rows] < x.shape[1])) if keep_top else top
                shape = erased.reshape(*erased.shape, *(1,) * (x.dim() - 2))
                total += value - chunk.value((torch.where(shape, start[rows], whole),))
            falls.append(total / len(shares))
    return torch.cat(falls) if falls else start.new_zeros(0)


def _ranks(scores: Tensor, candidates: Tensor | None, ranking: TokenRanking, x: Tensor) -> Tensor:
    """The place of each token, from 0 for the top one, (B, T); T for those that are not candidates."""
    if ranking not in get_args(TokenRanking):
        raise ValueError(f"ranking: expected one of {get_args(TokenRanking)}, got {ranking!r}.")
    if not isinstance(scores, Tensor) or scores.shape != x.shape[:2]:
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(
            f"scores: expected one number per token, {tuple(x.shape[:2])}, got {got}. Sum attributions over the "
            "embedding's coordinates: attributions.sum(2)."
        )
    allowed = torch.ones_like(scores, dtype=torch.bool) if candidates is None else candidates
    if allowed.shape != scores.shape or allowed.dtype != torch.bool:
        raise ValueError(
            f"candidates: expected a tensor of bool, {tuple(scores.shape)}, got {allowed.dtype} {tuple(allowed.shape)}."
        )
    if not bool(scores[allowed].isfinite().all()):
        raise ValueError("scores: expected finite numbers, got NaN or infinity.")
    keys = (scores if ranking == "signed" else scores.abs()).double().masked_fill(~allowed, -torch.inf)
    order = keys.sort(dim=1, descending=True, stable=True).indices
    return order.argsort(dim=1).masked_fill(~allowed, x.shape[1]).to(x.device)


def _check_shares(shares: Sequence[float]) -> None:
    if isinstance(shares, str) or not isinstance(shares, Sequence) or not shares or not all(map(is_number, shares)):
        raise TypeError(f"shares: expected a list of numbers such as [0.1, 0.5], got {shares!r:.60}.")
    for share in shares:
        if not (math.isfinite(share) and 0 < share <= 1):
            raise ValueError(f"shares: expected numbers above 0 and at most 1, got {share}.")
