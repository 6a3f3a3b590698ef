"""Insertion, deletion and degradation: the output as the most relevant parts are inserted or removed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from captum_ext._engine.arguments import Arguments, format_arguments
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.types import TargetType
from captum_ext.metrics._maps import Ranking, descending_ranks, position_scores
from captum_ext.metrics._perturbation_curve import (
    PerturbationCurve,
    PerturbationPlan,
    patch_numbers,
    perturbation_curve,
    region_means,
)

Baselines = Tensor | float | Callable[[Tensor], Tensor]
DegradationProtocol = Literal["paper", "code"]


def insertion(
    forward_func: Callable[..., Any],
    inputs: Tensor,
    attributions: Tensor,
    target: TargetType = None,
    baselines: Baselines = 0,
    n_points: int = 21,
    ranking: Ranking = "signed",
    normalize: bool = False,
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> PerturbationCurve:
    """The score as positions are inserted into a baseline, highest attributions first. Higher is better.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row of scores per example. Most
            papers use the softmax.
        inputs: One tensor: (B, C, ...), whose channels share their positions, or (B, F), whose features are the
            positions.
        attributions: In the shape of the inputs, with one channel, or without a channel dimension. Ties are ranked by
            position.
        target: The score to measure; see :meth:`captum_ext.attr.PathAttribution.attribute`.
        baselines: The values before insertion: a number, a tensor in the inputs' shape or with one example, or a
            function of the inputs such as ``captum_ext.baselines.blurred``. Default: 0.
        n_points: Number of points of the curve, at least 2, evenly spaced from nothing to everything. Default: 21,
            steps of 5%.
        ranking: ``"signed"`` (default, as in the study below) ranks by the sum over channels, ``"absolute"`` by the sum
            of magnitudes. The two rank methods whose maps have both signs very differently: report both.
        normalize: Whether to divide each curve by the score of the whole input (the probability ratio). Default: False.
        additional_forward_args: Further arguments of ``forward_func``, a tuple if there are several; tensors have one
            row per example.
        internal_batch_size: Maximum number of rows in a forward pass. Default ``None``: 8 photographs of 3 x 224 x 224,
            or as many input values.
        show_progress: Whether to show a progress bar. Default: False.

    Returns:
        The curves of all examples.

    Raises:
        TypeError, ValueError: If an argument is invalid. Attributions must be finite to be ranked.

    Reference:
        Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models. BMVC 2018.
        https://arxiv.org/abs/1806.07421; settings as in Yang, Wang, Bilgic: IDGI. CVPR 2023.

    Example:
        >>> from captum_ext.metrics import insertion
        >>> x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        >>> insertion(lambda z: z.sum(1), x, attributions=x, n_points=5).scores
        tensor([[ 0.,  4.,  7.,  9., 10.]])
    """
    arguments, scores = _prepare(inputs, attributions, baselines, ranking, target, additional_forward_args, n_points)
    (x,), start = arguments.inputs, _expand_baselines(inputs, baselines, arguments)
    plan = _position_plan(start, x, scores, n_points)
    curve = perturbation_curve(forward_func, plan, arguments, internal_batch_size, show_progress, "insertion")
    return _normalize_curve(curve, curve.scores[:, -1:]) if normalize else curve


def deletion(
    forward_func: Callable[..., Any],
    inputs: Tensor,
    attributions: Tensor,
    target: TargetType = None,
    baselines: Baselines = 0,
    n_points: int = 21,
    ranking: Ranking = "signed",
    normalize: bool = False,
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> PerturbationCurve:
    """The score as positions are replaced with a baseline, highest attributions first. Lower is better.

    Args:
        forward_func: As for :func:`insertion`, and so are the other arguments.
        inputs: (B, C, ...) or (B, F).
        attributions: The maps that rank the positions.
        target: The score to measure.
        baselines: The replacement values. Default: 0.
        n_points: Number of points of the curve. Default: 21.
        ranking: ``"signed"`` (default) or ``"absolute"``.
        normalize: Whether to divide each curve by the score of the whole input. Default: False.
        additional_forward_args: Further arguments of ``forward_func``.
        internal_batch_size: Maximum number of rows in a forward pass.
        show_progress: Whether to show a progress bar. Default: False.

    Returns:
        The curves of all examples.

    Raises:
        TypeError, ValueError: If an argument is invalid.

    Reference:
        Petsiuk, Das, Saenko: RISE. BMVC 2018. https://arxiv.org/abs/1806.07421

    Example:
        >>> from captum_ext.metrics import deletion
        >>> x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        >>> deletion(lambda z: z.sum(1), x, attributions=x, n_points=5).scores
        tensor([[10.,  6.,  3.,  1.,  0.]])
    """
    arguments, scores = _prepare(inputs, attributions, baselines, ranking, target, additional_forward_args, n_points)
    (x,), end = arguments.inputs, _expand_baselines(inputs, baselines, arguments)
    plan = _position_plan(x, end, scores, n_points)
    curve = perturbation_curve(forward_func, plan, arguments, internal_batch_size, show_progress, "deletion")
    return _normalize_curve(curve, curve.scores[:, :1]) if normalize else curve


def degradation(
    forward_func: Callable[..., Any],
    inputs: Tensor,
    attributions: Tensor,
    target: TargetType = None,
    patch_size: int = 9,
    n_patches: int = 100,
    baselines: Baselines | Literal["mean"] = "mean",
    protocol: DegradationProtocol = "paper",
    ranking: Ranking = "signed",
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
    patches_per_point: int = 1,
) -> PerturbationCurve:
    """The score as patches are replaced, highest attributions first. Lower is better.

    Args:
        forward_func: As for :func:`insertion`; the paper measures the softmax confidence.
        inputs: (B, C, ...). Patches start at the first position; those at the far border may be smaller.
        attributions: The maps; a patch is ranked by their sum over its positions and channels.
        target: The score to measure.
        patch_size: The side of a patch. Default: 9, as in the paper.
        n_patches: Number of patches to replace, at most all. Default: 100, as in the paper.
        baselines: The replacement values: ``"mean"`` (default), the mean of each channel over the patch; or anything
            that ``baselines`` of :func:`insertion` accepts.
        protocol: ``"paper"`` (default), or ``"code"`` for the behavior of the paper's code, which never replaces the
            top patch, nor a patch's channels whose mean is not positive.
        ranking: ``"signed"`` (default, as in the paper) or ``"absolute"``.
        additional_forward_args: Further arguments of ``forward_func``.
        internal_batch_size: Maximum number of rows in a forward pass.
        show_progress: Whether to show a progress bar. Default: False.
        patches_per_point: Number of patches replaced between two points of the curve. Default: 1, as in the paper.

    Returns:
        The curves of all examples, from no replaced patch to ``n_patches``.

    Raises:
        TypeError, ValueError: If an argument is invalid.

    Reference:
        Schwarzenberg, Castle: Pattern-Guided Integrated Gradients. ICML 2020 Workshop on Human Interpretability.
        https://arxiv.org/abs/2007.10685, Fig. 3.

    Example:
        >>> from captum_ext.metrics import degradation
        >>> x = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> degradation(lambda z: z.amax((1, 2, 3)), x, x, patch_size=2, n_patches=2).scores
        tensor([[15.0000, 13.0000, 12.5000]])
    """
    if protocol not in get_args(DegradationProtocol):
        raise ValueError(f"protocol: expected one of {get_args(DegradationProtocol)}, got {protocol!r}.")
    check_positive("patch_size", patch_size)
    check_positive("n_patches", n_patches)
    check_positive("patches_per_point", patches_per_point)
    if isinstance(baselines, str) and baselines != "mean":
        raise ValueError(f"baselines: expected 'mean', a number, a tensor or a function, got {baselines!r}.")
    values: Any = 0 if isinstance(baselines, str) else baselines
    arguments, scores = _prepare(inputs, attributions, values, ranking, target, additional_forward_args, 2)
    (x,) = arguments.inputs
    if x.dim() < 3:
        raise ValueError(f"inputs: expected (B, C, ...), got shape {tuple(x.shape)}. Tables have no patches.")
    regions = patch_numbers(x.shape[2:], patch_size).to(x.device)
    total = int(regions.max()) + 1 if regions.numel() else 0
    means = region_means(x, regions, total)
    end = means if isinstance(baselines, str) else _expand_baselines(inputs, values, arguments)
    if protocol == "code":
        end = torch.where(means > 0, end, x)
    sums = scores.new_zeros(len(x), total).index_add_(1, regions.flatten(), scores.flatten(1))
    n_exempt = int(protocol == "code")  # the top patch
    ranks = descending_ranks(sums) - n_exempt
    if n_exempt:
        ranks = torch.where(ranks < 0, total, ranks)
    last = min(n_patches, total - n_exempt)
    counts = torch.tensor([*range(0, last, patches_per_point), last], device="cpu").to(x.device)
    plan = PerturbationPlan(x, end, ranks, regions.unsqueeze(0), counts, total)
    return perturbation_curve(forward_func, plan, arguments, internal_batch_size, show_progress, "degradation")


def diffid(
    forward_func: Callable[..., Any],
    inputs: Tensor,
    attributions: Tensor,
    target: TargetType = None,
    baselines: Baselines = 0,
    ranking: Ranking = "signed",
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> Tensor:
    """DiffID: insertion accuracy minus deletion accuracy, at 10%, 20%, ..., 90% of the pixels. Higher is better.

    Args:
        forward_func: The model, which returns one score per class, (B, classes).
        inputs: (B, C, ...) or (B, F).
        attributions: The maps that rank the positions, as for :func:`captum_ext.metrics.insertion`.
        target: The class of each example.
        baselines: The values before insertion and after deletion. Default: 0.
        ranking: ``"signed"`` (default) or ``"absolute"``.
        additional_forward_args: Further arguments of ``forward_func``.
        internal_batch_size: Maximum number of rows in a forward pass.
        show_progress: Whether to show a progress bar. Default: False.

    Returns:
        1, 0 or -1 for each example and ratio, (B, 9). A data set's DiffID is the mean. Chance is 0 on average, because
        what a random order inserts has the distribution of what it leaves: the ratios r and 1 - r cancel.

    Raises:
        TypeError, ValueError: If an argument is invalid.

    Reference:
        Yang, Akhtar, Wen, Mian: Local Path Integration for Attribution. AAAI 2023.
        https://ojs.aaai.org/index.php/AAAI/article/view/25422

    Example:
        >>> from captum_ext.metrics import diffid
        >>> model = lambda x: torch.stack([x.sum(1) - 10, 10 - x.sum(1)], dim=1)
        >>> x = torch.arange(10.0).reshape(1, 10)
        >>> diffid(model, x, attributions=x, target=0).mean()
        tensor(0.3333)
    """

    def is_highest(x: Tensor, *arguments: Any) -> Tensor:
        outputs = forward_func(x, *arguments)
        if not isinstance(outputs, Tensor) or outputs.dim() != 2 or outputs.shape[1] < 2:
            shape = tuple(getattr(outputs, "shape", ()))
            raise ValueError(f"forward_func: expected one score per class, (B, classes), got shape {shape}.")
        return functional.one_hot(outputs.argmax(1), outputs.shape[1]).to(x.dtype)

    arguments, scores = _prepare(inputs, attributions, baselines, ranking, target, additional_forward_args, 11)
    x, baseline = arguments.inputs[0], _expand_baselines(inputs, baselines, arguments)
    curve = _position_plan(baseline, x, scores, 11)
    insert = replace(curve, counts=curve.counts[1:-1])  # without the baseline and the input
    inserted, deleted = (
        perturbation_curve(is_highest, plan, arguments, internal_batch_size, show_progress, "DiffID").scores
        for plan in (insert, replace(insert, start=x, end=baseline))
    )
    return inserted - deleted


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
        raise ValueError(f"n_points: expected at least 2, got {points}.")
    tensors = None if callable(baselines) else baselines
    arguments = format_arguments(inputs, tensors, target, forward_args)  # type: ignore[arg-type]
    if arguments.inputs[0].dim() < 2:
        raise ValueError("inputs: expected (B, C, ...) or (B, F), got one dimension. Write x.unsqueeze(1).")
    return arguments, position_scores(arguments.inputs[0], attributions, ranking)


def _expand_baselines(inputs: Tensor, baselines: Baselines, arguments: Arguments) -> Tensor:
    """The baselines in the inputs' shape."""
    if callable(baselines):
        arguments = format_arguments(inputs, baselines(inputs), None, None)
    assert arguments.baselines is not None, "formatted with the arguments"
    return arguments.baselines[0].to(inputs.device)


def _position_plan(start: Tensor, end: Tensor, scores: Tensor, points: int) -> PerturbationPlan:
    positions = math.prod(scores.shape[1:])
    regions = torch.arange(positions, device=scores.device).reshape(scores.shape[1:])
    counts = torch.linspace(0, positions, points, dtype=torch.float64, device="cpu").round().long().to(scores.device)
    has_channels = start.dim() > scores.dim()
    ranks = descending_ranks(scores.flatten(1))
    return PerturbationPlan(start, end, ranks, regions.unsqueeze(0) if has_channels else regions, counts, positions)


def _normalize_curve(curve: PerturbationCurve, input_scores: Tensor) -> PerturbationCurve:
    scores = curve.scores / input_scores
    return replace(curve, scores=scores, area=torch.trapezoid(scores, curve.fractions))
