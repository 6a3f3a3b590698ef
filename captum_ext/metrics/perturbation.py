"""Insertion, deletion and degradation: what happens to the output as the most relevant parts come and go."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from captum_ext._engine.arguments import Arguments, format_arguments
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.types import TargetType
from captum_ext.metrics._maps import Ranking, descending_ranks, position_scores
from captum_ext.metrics._replace import PerturbationCurve, Replacement, curve, patch_numbers, region_means

Baseline = Tensor | float | Callable[[Tensor], Tensor]
Protocol = Literal["paper", "code"]


def insertion(
    forward_func: Callable[..., Any],
    inputs: Tensor,
    attributions: Tensor,
    target: TargetType = None,
    baselines: Baseline = 0,
    n_points: int = 21,
    ranking: Ranking = "signed",
    normalize: bool = False,
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> PerturbationCurve:
    """The score as the positions that the attributions rank highest are put into a baseline. Higher is better.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row of scores an example; the
            softmax in most papers.
        inputs: (B, C, ...), whose positions are shared by the channels, or (B, F), whose features are the
            positions. One tensor.
        attributions: In the shape of the inputs, with one channel, or without any. Equals are ranked by position.
        target: Which score to follow; see :meth:`captum_ext.attr.PathAttribution.attribute`.
        baselines: What is there before: a number, a tensor shaped as the inputs or with one example, or a function that
            makes it from the inputs, as ``captum_ext.baselines.blurred``. Default: 0.
        n_points: Points of the curve, 2 at least, evenly spaced from nothing to all. Default: 21, steps of 5 %.
        ranking: By the channels' sum (``"signed"``, default, as in the study below) or the sum of their magnitudes
            (``"absolute"``). Methods whose maps have both signs fare very differently by the two: report both.
        normalize: Whether to divide each curve by the score of the whole input, the probability ratio. Default: False.
        additional_forward_args: Further arguments of ``forward_func``, a tuple if several; tensors have one row an
            example.
        internal_batch_size: The most rows in any forward pass. Default ``None``: 8 photographs of 3 x 224 x 224 or as
            many input values.
        show_progress: Whether to show a progress bar.

    Returns:
        The curves of all examples.

    Raises:
        TypeError, ValueError: If an argument can't be used; attributions that are not finite can't be ranked.

    Reference:
        Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models. BMVC 2018.
        https://arxiv.org/abs/1806.07421; settings as in Yang, Wang, Bilgic: IDGI. CVPR 2023.

    Example:
        >>> from captum_ext.metrics import insertion
        >>> x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        >>> insertion(lambda z: z.sum(1), x, attributions=x, n_points=5).scores
        tensor([[ 0.,  4.,  7.,  9., 10.]])
    """
    given, scores = _prepare(inputs, attributions, baselines, ranking, target, additional_forward_args, n_points)
    (x,), start = given.inputs, _other(inputs, baselines, given)
    plan = _by_position(start, x, scores, n_points)
    found = curve(forward_func, plan, given, internal_batch_size, show_progress, "insertion")
    return _over(found, found.scores[:, -1:]) if normalize else found


def deletion(
    forward_func: Callable[..., Any],
    inputs: Tensor,
    attributions: Tensor,
    target: TargetType = None,
    baselines: Baseline = 0,
    n_points: int = 21,
    ranking: Ranking = "signed",
    normalize: bool = False,
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> PerturbationCurve:
    """The score as the positions that the attributions rank highest are replaced by a baseline. Lower is better.

    Args:
        forward_func: See :func:`insertion`, and so for all others.
        inputs: (B, C, ...) or (B, F).
        attributions: The maps that rank positions.
        target: Which score to follow.
        baselines: What replaces them. Default: 0.
        n_points: Points of the curve. Default: 21.
        ranking: ``"signed"`` (default) or ``"absolute"``.
        normalize: Whether to divide each curve by the score of the whole input. Default: False.
        additional_forward_args: Further arguments of ``forward_func``.
        internal_batch_size: The most rows in any forward pass.
        show_progress: Whether to show a progress bar.

    Returns:
        The curves of all examples.

    Raises:
        TypeError, ValueError: If an argument can't be used.

    Reference:
        Petsiuk, Das, Saenko: RISE. BMVC 2018. https://arxiv.org/abs/1806.07421

    Example:
        >>> from captum_ext.metrics import deletion
        >>> x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        >>> deletion(lambda z: z.sum(1), x, attributions=x, n_points=5).scores
        tensor([[10.,  6.,  3.,  1.,  0.]])
    """
    given, scores = _prepare(inputs, attributions, baselines, ranking, target, additional_forward_args, n_points)
    (x,), end = given.inputs, _other(inputs, baselines, given)
    plan = _by_position(x, end, scores, n_points)
    found = curve(forward_func, plan, given, internal_batch_size, show_progress, "deletion")
    return _over(found, found.scores[:, :1]) if normalize else found


def degradation(
    forward_func: Callable[..., Any],
    inputs: Tensor,
    attributions: Tensor,
    target: TargetType = None,
    patch_size: int = 9,
    n_patches: int = 100,
    replacement: Baseline | Literal["mean"] = "mean",
    protocol: Protocol = "paper",
    ranking: Ranking = "signed",
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
    patches_per_point: int = 1,
) -> PerturbationCurve:
    """The score as the patches with the highest attributions are replaced, one more at each point. Lower is better.

    Args:
        forward_func: See :func:`insertion`; the softmax confidence in the paper.
        inputs: (B, C, ...). Patches start at the first position; those at the far border may be smaller.
        attributions: The maps; a patch is ranked by their sum over it and the channels.
        target: Which score to follow.
        patch_size: The side of a patch. Default: 9, the paper's.
        n_patches: How many patches to replace, at most all. Default: 100, the paper's.
        replacement: ``"mean"`` (default), the mean over the patch of each channel; or what ``baselines`` may be in
            :func:`insertion`.
        protocol: ``"paper"`` (default), or ``"code"``, what the paper's code does: the top patch stays, and so do a
            patch's channels whose mean is not positive.
        ranking: ``"signed"`` (default, the paper's) or ``"absolute"``.
        additional_forward_args: Further arguments of ``forward_func``.
        internal_batch_size: The most rows in any forward pass.
        show_progress: Whether to show a progress bar.
        patches_per_point: How many more are replaced from one point to the next. Default: 1, the paper's.

    Returns:
        The curves of all examples, from none replaced to ``n_patches``.

    Raises:
        TypeError, ValueError: If an argument can't be used.

    Reference:
        Schwarzenberg, Castle: Pattern-Guided Integrated Gradients. ICML 2020 Workshop on Human Interpretability.
        https://arxiv.org/abs/2007.10685, Fig. 3.

    Example:
        >>> from captum_ext.metrics import degradation
        >>> x = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> degradation(lambda z: z.amax((1, 2, 3)), x, x, patch_size=2, n_patches=2).scores
        tensor([[15.0000, 13.0000, 12.5000]])
    """
    if protocol not in get_args(Protocol):
        raise ValueError(f"protocol: expected one of {get_args(Protocol)}, got {protocol!r}.")
    check_positive("patch_size", patch_size)
    check_positive("n_patches", n_patches)
    check_positive("patches_per_point", patches_per_point)
    if isinstance(replacement, str) and replacement != "mean":
        raise ValueError(f"replacement: expected 'mean', a number, a tensor or a function, got {replacement!r}.")
    baselines: Any = 0 if isinstance(replacement, str) else replacement
    given, scores = _prepare(inputs, attributions, baselines, ranking, target, additional_forward_args, 2)
    (x,) = given.inputs
    if x.dim() < 3:
        raise ValueError(f"inputs: expected (B, C, ...), got shape {tuple(x.shape)}. Tables have no patches.")
    regions = patch_numbers(x.shape[2:], patch_size).to(x.device)
    total = int(regions.max()) + 1 if regions.numel() else 0
    means = region_means(x, regions, total)
    end = means if isinstance(replacement, str) else _other(inputs, baselines, given)
    if protocol == "code":
        end = torch.where(means > 0, end, x)
    sums = scores.new_zeros(len(x), total).index_add_(1, regions.flatten(), scores.flatten(1))
    spared = int(protocol == "code")  # the top patch
    ranks = descending_ranks(sums) - spared
    if spared:
        ranks = torch.where(ranks < 0, total, ranks)
    most = min(n_patches, total - spared)
    counts = torch.tensor([*range(0, most, patches_per_point), most], device="cpu").to(x.device)
    plan = Replacement(x, end, ranks, regions.unsqueeze(0), counts, total)
    return curve(forward_func, plan, given, internal_batch_size, show_progress, "degradation")


def _prepare(
    inputs: object,
    attributions: object,
    baselines: object,
    ranking: str,
    target: object,
    forward_args: object,
    points: int,
) -> tuple[Arguments, Tensor]:
    if isinstance(inputs, tuple):
        raise TypeError("inputs: expected one tensor, whose positions can be ranked; got a tuple.")
    check_positive("n_points", points)
    if points < 2:
        raise ValueError(f"n_points: expected 2 at least, got {points}.")
    given = format_arguments(inputs, None if callable(baselines) else baselines, target, forward_args)  # type: ignore[arg-type]
    if given.inputs[0].dim() < 2:
        raise ValueError("inputs: expected (B, C, ...) or (B, F), got one dimension. Write x.unsqueeze(1).")
    return given, position_scores(given.inputs[0], attributions, ranking)


def _other(inputs: Tensor, baselines: Baseline, given: Arguments) -> Tensor:
    """What replaces the inputs, in their shape."""
    if not callable(baselines):
        assert given.baselines is not None, "formatted with the arguments"
        return given.baselines[0].to(inputs.device)
    made = format_arguments(inputs, baselines(inputs), None, None).baselines
    assert made is not None, "a tensor was given"
    return made[0]


def _by_position(before: Tensor, after: Tensor, scores: Tensor, points: int) -> Replacement:
    positions = math.prod(scores.shape[1:])
    regions = torch.arange(positions, device=scores.device).reshape(scores.shape[1:])
    counts = torch.linspace(0, positions, points, dtype=torch.float64, device="cpu").round().long().to(scores.device)
    has_channels = before.dim() > scores.dim()
    ranks = descending_ranks(scores.flatten(1))
    return Replacement(before, after, ranks, regions.unsqueeze(0) if has_channels else regions, counts, positions)


def _over(found: PerturbationCurve, whole: Tensor) -> PerturbationCurve:
    scores = found.scores / whole
    return replace(found, scores=scores, area=torch.trapezoid(scores, found.fractions))
