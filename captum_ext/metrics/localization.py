"""Localization: whether the highest attributions of a map are inside an object's mask.

A constant map gets the value that random order gives on average; each docstring states this chance level, in terms of
the fraction p of the picture that the mask covers.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from captum_ext._utils.dilation import dilate
from captum_ext._utils.numbers import check_integer, check_number, check_positive
from captum_ext.metrics._maps import check_maps

PixelScore = Literal["signed", "absolute", "positive"]


def localization_auc(attributions: Tensor, masks: Tensor, ranking: PixelScore = "signed") -> Tensor:
    """The probability that a pixel of the object has a higher attribution than a pixel of the background.

    This is the area under the ROC curve (the Mann-Whitney statistic); a tie counts one half.

    Args:
        attributions: (B, C, H, W) or (B, H, W).
        masks: The objects' pixels, bool (B, H, W) or (B, 1, H, W). See :func:`box_masks` for boxes.
        ranking: The score of a pixel: ``"signed"`` (default), the sum over channels; ``"absolute"``, the sum of
            magnitudes; or ``"positive"``, the positive part of the sum.

    Returns:
        The AUC of each example, (B,), from 0 to 1. Chance is 0.5.

    Raises:
        TypeError, ValueError: If the maps are not finite, shapes differ, or a mask is empty or covers the picture.

    Example:
        >>> from captum_ext.metrics import localization_auc
        >>> localization_auc(torch.tensor([[[3.0, 1.0], [1.0, 0.0]]]), torch.tensor([[[True, True], [False, False]]]))
        tensor([0.8750], dtype=torch.float64)
    """
    scores, inside = _pixels(attributions, masks, ranking)
    _check_background(inside)
    ordered = _SortedScores(scores, inside)
    background = torch.arange(scores.shape[1] + 1, device=scores.device) - ordered.inside_before
    pairs = background.gather(1, ordered.first) + background.gather(1, ordered.last)  # twice the lower ones, ties once
    twice = torch.where(ordered.inside, pairs, 0).sum(1).to(scores.dtype)
    return twice / (2 * ordered.n_inside * (scores.shape[1] - ordered.n_inside)).to(scores.dtype)


def best_f1(attributions: Tensor, masks: Tensor, ranking: PixelScore = "signed") -> Tensor:
    """The best F1 score of any threshold on the map, against the mask.

    The threshold is chosen per example with the mask, so this is what a map could reach, not what it does.

    Args:
        attributions: (B, C, H, W) or (B, H, W).
        masks: bool (B, H, W) or (B, 1, H, W).
        ranking: As for :func:`localization_auc`.

    Returns:
        The F1 score of each example, (B,). Chance is 2p / (1 + p), from selecting every pixel, which any map can do;
        noise exceeds it slightly, because the best of many thresholds counts.

    Raises:
        TypeError, ValueError: If the maps are not finite, shapes differ, or a mask is empty.

    Reference:
        Cong et al.: Review of Visual Saliency Detection with Comprehensive Information. IEEE TCSVT 2018.
        https://arxiv.org/abs/1803.03391

    Example:
        >>> from captum_ext.metrics import best_f1
        >>> best_f1(torch.tensor([[[3.0, 1.0], [2.0, 0.0]]]), torch.tensor([[[True, True], [False, False]]]))
        tensor([0.8000], dtype=torch.float64)
    """
    scores, inside = _pixels(attributions, masks, ranking)
    ordered = _SortedScores(scores, inside)
    selected = scores.shape[1] - ordered.first
    hits = ordered.n_inside.unsqueeze(1) - ordered.inside_before.gather(1, ordered.first)
    return (2 * hits.to(scores.dtype) / (selected + ordered.n_inside.unsqueeze(1))).amax(1)


def relevance_rank_accuracy(attributions: Tensor, masks: Tensor, ranking: PixelScore = "signed") -> Tensor:
    """The fraction of the K highest pixels that are inside a mask of K pixels.

    If several pixels share the K-th value, the result is the mean over all ways to choose among them.

    Args:
        attributions: (B, C, H, W) or (B, H, W).
        masks: bool (B, H, W) or (B, 1, H, W).
        ranking: As for :func:`localization_auc`.

    Returns:
        The accuracy of each example, (B,). Chance is p.

    Raises:
        TypeError, ValueError: If the maps are not finite, shapes differ, or a mask is empty.

    Reference:
        Arras, Osman, Samek: CLEVR-XAI: A Benchmark Dataset for the Ground Truth Evaluation of Neural Network
        Explanations. Information Fusion 2022. https://arxiv.org/abs/2003.07258

    Example:
        >>> from captum_ext.metrics import relevance_rank_accuracy
        >>> masks = torch.tensor([[[True, True], [False, False]]])
        >>> relevance_rank_accuracy(torch.tensor([[[3.0, 1.0], [2.0, 0.0]]]), masks)
        tensor([0.5000], dtype=torch.float64)
    """
    scores, inside = _pixels(attributions, masks, ranking)
    ordered = _SortedScores(scores, inside)
    highest = ordered.n_inside.unsqueeze(1)
    at_border = scores.shape[1] - highest
    first, last = ordered.first.gather(1, at_border), ordered.last.gather(1, at_border)
    before_first, before_last = ordered.inside_before.gather(1, first), ordered.inside_before.gather(1, last)
    above, tied = scores.shape[1] - last, last - first
    ties_inside = (before_last - before_first).to(scores.dtype)
    hits = highest - before_last + (highest - above) * ties_inside / tied
    return (hits / highest).squeeze(1)


def relevance_mass_accuracy(
    attributions: Tensor, masks: Tensor, ranking: Literal["positive", "absolute"] = "positive"
) -> Tensor:
    """The fraction of the attribution that is inside the mask; also called the energy-based pointing game.

    Args:
        attributions: (B, C, H, W) or (B, H, W).
        masks: bool (B, H, W) or (B, 1, H, W).
        ranking: The attribution that counts: ``"positive"`` (default), the positive part of the sum over channels; or
            ``"absolute"``, the sum of magnitudes.

    Returns:
        The fraction of each example, (B,). Chance is p, which is also the value of a map without any such attribution.

    Raises:
        TypeError, ValueError: If the maps are not finite, shapes differ, a mask is empty, or ``ranking="signed"``,
            whose fractions are not bounded.

    Reference:
        Arras, Osman, Samek: CLEVR-XAI. Information Fusion 2022. https://arxiv.org/abs/2003.07258; Wang et al.:
        Score-CAM. CVPR Workshops 2020. https://arxiv.org/abs/1910.01279

    Example:
        >>> from captum_ext.metrics import relevance_mass_accuracy
        >>> masks = torch.tensor([[[True, True], [False, False]]])
        >>> relevance_mass_accuracy(torch.tensor([[[3.0, -1.0], [1.0, 0.0]]]), masks)
        tensor([0.7500], dtype=torch.float64)
    """
    if ranking not in ("positive", "absolute"):
        raise ValueError(f"ranking: expected 'positive' or 'absolute', got {ranking!r}. A mass has no sign.")
    scores, inside = _pixels(attributions, masks, ranking)
    scores = scores / scores.amax(1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)  # sums do not overflow
    total = scores.sum(1)
    mass = torch.where(inside, scores, 0).sum(1)
    return torch.where(total > 0, mass / torch.where(total > 0, total, 1), inside.to(scores.dtype).mean(1))


def pointing_game(attributions: Tensor, masks: Tensor, tolerance: int = 15, ranking: PixelScore = "signed") -> Tensor:
    """Whether the highest pixel is inside the mask, or at most a few pixels away.

    Args:
        attributions: (B, C, H, W) or (B, H, W).
        masks: bool (B, H, W) or (B, 1, H, W).
        tolerance: The distance to the mask that still counts as inside, in pixels. Default: 15 (the paper's).
        ranking: As for :func:`localization_auc`.

    Returns:
        1 or 0 for each example, (B,); if several pixels share the highest value, the fraction of them that are inside.
        Chance: the fraction of the picture that the mask covers after dilation by the tolerance, which for small
        masks is much more than p.

    Raises:
        TypeError, ValueError: If the maps are not finite, shapes differ, a mask is empty, or the tolerance is negative.

    Reference:
        Zhang et al.: Top-down Neural Attention by Excitation Backprop. ECCV 2016. https://arxiv.org/abs/1608.00507

    Example:
        >>> from captum_ext.metrics import pointing_game
        >>> masks = torch.tensor([[[True, False, False, False]]])
        >>> attributions = torch.tensor([[[0.0, 0.0, 1.0, 0.0]]])
        >>> pointing_game(attributions, masks).item(), pointing_game(attributions, masks, tolerance=1).item()
        (1.0, 0.0)
    """
    check_integer("tolerance", tolerance, "a number of pixels")
    if tolerance < 0:
        raise ValueError(f"tolerance: expected 0 or more pixels, got {tolerance}.")
    scores, inside = _pixels(attributions, masks, ranking)
    height, width = masks.shape[-2:]
    allowed = dilate(inside.reshape(-1, height, width), tolerance).flatten(1)
    highest = scores == scores.amax(1, keepdim=True)
    return (highest & allowed).sum(1).to(scores.dtype) / highest.sum(1)


def map_mae(attributions: Tensor, masks: Tensor, ranking: PixelScore = "positive") -> Tensor:
    """The mean absolute difference between the map, scaled to [0, 1] by its minimum and maximum, and the mask.

    Args:
        attributions: (B, C, H, W) or (B, H, W).
        masks: bool (B, H, W) or (B, 1, H, W).
        ranking: The score of a pixel, as for :func:`localization_auc`. Default: ``"positive"``, under which 0 stays 0.

    Returns:
        The error of each example, (B,); lower is better. For a mask that covers the fraction p, a map of noise has
        p (1 - s) + (1 - p) s, where s is the mean of the scaled map: 0.5 for uniform noise if p or s is 0.5. A map of
        zeros, or a constant one, has p, so for small objects an empty map is better than most maps.

    Raises:
        TypeError, ValueError: If the maps are not finite, shapes differ, or a mask is empty.

    Reference:
        Cong et al.: Review of Visual Saliency Detection with Comprehensive Information. IEEE TCSVT 2018.
        https://arxiv.org/abs/1803.03391

    Example:
        >>> from captum_ext.metrics import map_mae
        >>> map_mae(torch.tensor([[[4.0, 3.0], [1.0, 0.0]]]), torch.tensor([[[True, True], [False, False]]]))
        tensor([0.1250], dtype=torch.float64)
    """
    scores, inside = _pixels(attributions, masks, ranking)
    return (_min_max_scaled(scores) - inside.to(scores.dtype)).abs().mean(1)


def localization_iou(
    attributions: Tensor, masks: Tensor, threshold: float = 0.5, ranking: PixelScore = "positive"
) -> Tensor:
    """Intersection over union of the mask and the pixels above a threshold.

    Args:
        attributions: (B, C, H, W) or (B, H, W).
        masks: bool (B, H, W) or (B, 1, H, W).
        threshold: For the map scaled to [0, 1] by its minimum and maximum; pixels at the threshold are selected.
            Default: 0.5. The best threshold depends on the method, so compare methods at several (Choe et al.:
            Evaluating Weakly Supervised Object Localization Methods Right. CVPR 2020.
            https://arxiv.org/abs/2001.07437).
        ranking: The score of a pixel, as for :func:`localization_auc`. Default: ``"positive"``.

    Returns:
        The IoU of each example, (B,). Chance is pq / (p + q - pq) if the map selects the fraction q of the picture. A
        constant map selects nothing and has 0.

    Raises:
        TypeError, ValueError: If the maps are not finite, shapes differ, a mask is empty, or the threshold is not
            above 0 and at most 1.

    Example:
        >>> from captum_ext.metrics import localization_iou
        >>> masks = torch.tensor([[[True, True], [False, False]]])
        >>> localization_iou(torch.tensor([[[4.0, 1.0], [3.0, 0.0]]]), masks)
        tensor([0.3333], dtype=torch.float64)
    """
    check_number("threshold", threshold)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: expected more than 0 and at most 1, got {threshold}.")
    scores, inside = _pixels(attributions, masks, ranking)
    selected = _min_max_scaled(scores) >= threshold
    return (selected & inside).sum(1).to(scores.dtype) / (selected | inside).sum(1)


def box_masks(boxes: Tensor | list[Tensor], size: tuple[int, int]) -> Tensor:
    """Masks of the pixels in boxes.

    Args:
        boxes: One box per example, (B, 4), or several, a list of (N, 4): left, top, right, bottom, in pixels. A pixel
            is inside if its center is: the box (0, 0, 2, 1) covers the first two pixels of the first row.
        size: Height and width of the pictures.

    Returns:
        bool masks, (B, height, width).

    Raises:
        TypeError, ValueError: If the boxes are not of this form.

    Example:
        >>> from captum_ext.metrics import box_masks
        >>> box_masks(torch.tensor([[0, 0, 2, 1]]), (2, 3))
        tensor([[[ True,  True, False],
                 [False, False, False]]])
    """
    for side in size:
        check_positive("size", side)
    groups = list(boxes.unsqueeze(1)) if isinstance(boxes, Tensor) and boxes.dim() == 2 else boxes
    if isinstance(groups, Tensor) or not all(isinstance(group, Tensor) for group in groups):
        raise TypeError("boxes: expected (B, 4), or a list of tensors (N, 4), one per example.")
    masks = []
    for k, group in enumerate(groups):
        if group.dim() != 2 or group.shape[1] != 4 or bool((group[:, 2:] <= group[:, :2]).any()):
            raise ValueError(
                f"boxes: expected (left, top, right, bottom) with left < right and top < bottom for example {k}, got "
                f"{group.tolist()}."
            )
        rows, columns = (torch.arange(side, device=group.device) + 0.5 for side in size)
        left, top, right, bottom = group.unsqueeze(-1).unbind(1)
        in_rows, in_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
        masks.append((in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).any(0))
    return torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.bool)


class _SortedScores:
    """Pixels in ascending order of their scores, (B, N), with the extent of each group of ties."""

    def __init__(self, scores: Tensor, inside: Tensor) -> None:
        values, order = scores.sort(dim=1)
        self.inside = inside.gather(1, order)
        self.first = torch.searchsorted(values, values)
        self.last = torch.searchsorted(values, values, right=True)  # exclusive
        self.inside_before = functional.pad(self.inside.cumsum(1), (1, 0))
        self.n_inside = inside.sum(1)


def _pixels(attributions: object, masks: object, ranking: str) -> tuple[Tensor, Tensor]:
    """The pixels' scores and whether they are inside the mask, both (B, N)."""
    if ranking not in get_args(PixelScore):
        raise ValueError(f"ranking: expected one of {get_args(PixelScore)}, got {ranking!r}.")
    maps = check_maps("attributions", attributions)
    if maps.dim() not in (3, 4):
        raise ValueError(f"attributions: expected (B, C, H, W) or (B, H, W), got shape {tuple(maps.shape)}.")
    if not isinstance(masks, Tensor) or masks.dtype != torch.bool:
        kind = masks.dtype if isinstance(masks, Tensor) else type(masks).__name__
        raise TypeError(f"masks: expected a bool tensor, got {kind}. Write masks > 0, or box_masks(boxes, size).")
    shape = (len(maps), *maps.shape[-2:])
    if tuple(masks.shape) not in (shape, (shape[0], 1, *shape[1:])):
        raise ValueError(f"masks: expected shape {shape}, that of the maps, got {tuple(masks.shape)}.")
    inside = masks.flatten(1).to(maps.device)
    empty = (~inside.any(1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"masks: examples {empty[:10]} have no pixel inside, so nothing can be located. Omit them.")
    maps = maps.abs() if ranking == "absolute" else maps
    maps = maps.sum(1) if maps.dim() == 4 else maps
    scores = maps.clamp(min=0) if ranking == "positive" else maps
    return scores.flatten(1).contiguous(), inside


def _check_background(inside: Tensor) -> None:
    full = inside.all(1).nonzero().flatten().tolist()
    if full:
        raise ValueError(
            f"masks: examples {full[:10]} have no pixel outside, so there is nothing to compare. Omit them."
        )


def _min_max_scaled(scores: Tensor) -> Tensor:
    """The scores scaled to [0, 1] per example; constant ones to 0."""
    low, high = scores.amin(1, keepdim=True), scores.amax(1, keepdim=True)
    return (scores - low) / torch.where(high > low, high - low, 1)
