"""SIC and AIC: how soon a model is convinced as the pixels that attributions rank highest bring in information."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.numbers import check_integer, check_number, check_positive
from captum_ext.metrics._aggregate import AggregateCurves, InformationCurves, aggregate
from captum_ext.metrics._codecs import check_sides
from captum_ext.metrics._maps import Ranking
from captum_ext.metrics._protocols import PROTOCOLS, Floats, Pictures, Protocol
from captum_ext.metrics._stored import Viewer, listed_images, listed_masks, listed_scores, listed_targets, picture

__all__ = ["AggregateCurves", "InformationCurves", "aggregate", "information_curve"]

ProtocolName = Literal["corrected", "pair", "study"]
Information = Literal["webp", "png", "ms-ssim"]


def information_curve(
    forward_func: Callable[[Tensor], Tensor],
    images: Tensor | Sequence[Tensor],
    attributions: Tensor | Sequence[Tensor],
    target: int | Sequence[int] | Tensor,
    transform: Callable[[Tensor], Tensor] | None = None,
    *,
    protocol: ProtocolName = "corrected",
    information: Information | None = None,
    ranking: Ranking | None = None,
    min_confidence: float | None = None,
    masks: Tensor | Sequence[Tensor] | None = None,
    seed: int = 0,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> InformationCurves:
    """The Softmax and the Accuracy Information Curve (SIC, AIC) of each image. A greater area is better.

    Pixels are revealed in the order of their attributions, in a picture that starts almost without information. The
    curve is the model's score over the information in the picture. Both curves come from the same forward passes.

    ============== ============================ =============================== ===============================
    protocol       ``"corrected"``              ``"pair"``: PAIR's code         ``"study"``: a reproduction's
    ============== ============================ =============================== ===============================
    uninformative  1 % random pixels            1 % random pixels               Gaussian blur, Pillow radius 20
    filled in by   interpolation (triangles)    interpolation (triangles)       that blur
    revealed       13 fractions, .5 % to 75 %   13 fractions, .5 % to 75 %      25 evenly spaced pixel counts
    equal scores   first in reading order       all at once, however many       first in reading order
    information    lossless WebP, bytes         lossless WebP, bytes            PNG, bytes
    MS-SSIM        normalised                   normalised                      not normalised, starts at (0, 0)
    ranking        absolute                     absolute                        signed
    confidence     any                          .8 at least, by each score      softmax above .8
    never falls    along the axis               in the order revealed           may fall
    points         1001                         1001                            101
    data set       mean                         median                          median SIC, mean AIC
    ============== ============================ =============================== ===============================

    ``"corrected"`` differs from PAIR's code where that is arbitrary: a map with many equal scores (zeros, say) would
    reveal most of the image at once; a picture no larger than the uninformative one loses its score; a running maximum
    over the steps still falls where the file shrinks; the confidence cut hides images on which models differ; the
    median of curves that are mostly 0 is 0. Every protocol leaves out an image of which the curve isn't defined: the
    uninformative picture has the original's information, or its score (for the AIC: it is already right, or the
    original is wrong). All curves end at (1, 1), so on P points no area is below .5 / (P - 1): a floor, not a score.

    Args:
        forward_func: Takes the model's input (N, ...), returns probabilities (N, classes): softmax outputs.
        images: uint8 pixels as stored, before the model's normalisation, (B, C, H, W) with C 1 or 3; or a list of
            (C, H, W), whose sizes may differ if ``transform`` evens them out. The information is that of these pixels.
        attributions: In the shape of the images, with one channel or none; a list if the images are.
        target: The class of all images, or one an image: a list or a tensor (B,).
        transform: From uint8 pixels (N, C, H, W), on the images' device, to the model's input. Default ``None``: float
            pixels in [0, 1].
        protocol: The preset. Default: ``"corrected"``.
        information: ``"webp"``, ``"png"`` or ``"ms-ssim"`` (to the original). Default ``None``: the protocol's.
        ranking: By the channels' sum (``"signed"``) or the sum of their magnitudes (``"absolute"``). Default ``None``:
            the protocol's.
        min_confidence: What the original's score must reach. Default ``None``: the protocol's.
        masks: The pixels that the uninformative picture knows beside the corners, bool (B, H, W) or a list of (H, W).
            Default ``None``: random, the same for an image whenever ``seed`` is.
        seed: For the random masks, with the image's content. Default: 0.
        internal_batch_size: The most rows in any forward pass. Default ``None``: 16.
        show_progress: Whether to show a progress bar, one tick a picture.

    Returns:
        The curves and areas of all images, and which were left out, why.

    Raises:
        ImportError: If Pillow, scipy or torchmetrics is missing where needed: the extra ``captum_ext[metrics]``.
        TypeError, ValueError: If an argument can't be used: attributions that are not finite, images too small for
            MS-SSIM's five scales, outputs that are no probabilities.

    Warns:
        UserWarning: If the model is in training mode.

    Reference:
        Kapishnikov, Bolukbasi, Viegas, Terry: XRAI: Better Attributions Through Regions. ICCV 2019.
        https://arxiv.org/abs/1906.02825. MS-SSIM: Yang, Wang, Bilgic: IDGI. CVPR 2023.

    Example:
        >>> from captum_ext.metrics.information import information_curve
        >>> image = torch.randint(256, (1, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        >>> image[0, 0, 4, 4] = 255  # all that the model looks at
        >>> def model(x):
        ...     return torch.stack([x[:, 0, 4, 4], 1 - x[:, 0, 4, 4]], 1)
        >>> attributions = torch.zeros(1, 16, 16)
        >>> attributions[0, 4, 4] = 1
        >>> good = information_curve(model, image, attributions, target=0)
        >>> bad = information_curve(model, image, -attributions, target=0, ranking="signed")
        >>> bool(good.sic_area > bad.sic_area)
        True
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {get_args(ProtocolName)}, got {protocol!r}.")
    if information not in (None, *get_args(Information)):
        raise ValueError(f"information: expected one of {get_args(Information)} or None, got {information!r}.")
    if min_confidence is not None:
        check_number("min_confidence", min_confidence)
    check_integer("seed", seed)
    preset = PROTOCOLS[protocol]
    preset = replace(
        preset,
        information=information or preset.information,
        ranking=ranking or preset.ranking,
        confidence=preset.confidence if min_confidence is None else min_confidence,
    )
    if internal_batch_size is not None:
        check_positive("internal_batch_size", internal_batch_size)
    given = listed_images(images)
    for index, image in enumerate(given):
        check_sides(preset.information, index, *image.shape[1:])
    scores, known = listed_scores(given, attributions, preset.ranking), listed_masks(given, masks)
    view = Viewer(
        forward_func, transform, listed_targets(target, len(given)), given[0].device, internal_batch_size or 16
    )
    grid = np.linspace(0.0, 1.0, preset.points)
    with ThreadPoolExecutor(1) as pool, preserve_model_state(forward_func):
        tracks = [
            Pictures(picture(image), rank, mask, seed, preset, pool)
            for image, rank, mask in zip(given, scores, known, strict=True)
        ]
        sic, aic, skipped = _curves(tracks, view, preset, grid, progress if show_progress else NullProgress)
    axis = torch.from_numpy(grid)
    sic_area, aic_area = torch.trapezoid(sic, axis), torch.trapezoid(aic, axis)
    return InformationCurves(axis, sic, aic, sic_area, aic_area, *skipped, protocol)


def _curves(
    tracks: list[Pictures], view: Viewer, preset: Protocol, grid: Floats, bar: Callable[..., Any]
) -> tuple[Tensor, Tensor, tuple[dict[int, str], dict[int, str]]]:
    """SIC and AIC (B, P), and which images have none, why."""
    ends = [(index, end) for index, track in enumerate(tracks) for end in (track.uninformative, track.original)]
    found = list(view(bar(ends, desc="information curve: ends")))
    low, high = found[::2], found[1::2]
    skipped: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for index, track in enumerate(tracks):
        for which, left_out in enumerate(skipped):
            confidence = high[index][0 if preset.exceed else which]
            reason = track.reason_to_skip(low[index][which], high[index][which], confidence)
            if reason is not None:
                left_out[index] = reason
    kept = [index for index in range(len(tracks)) if index not in skipped[0] or index not in skipped[1]]
    steps = [(index, step) for index in kept for step in range(len(preset.fractions))]
    # Made as the batches take them: all pictures of all images would fill the memory.
    revealed = ((index, tracks[index].revealed(step)) for index, step in bar(steps, desc="information curve"))
    scored = zip(steps, view(revealed), strict=True)
    curves = np.full((2, len(tracks), len(grid)), np.nan)
    for index, rows in groupby(scored, key=lambda row: row[0][0]):
        scores = np.array([low[index], *(score for _, score in rows), high[index]])
        for which, left_out in enumerate(skipped):
            if index not in left_out:
                curves[which, index] = tracks[index].curve(scores[:, which], grid)
    sic, aic = torch.from_numpy(curves)
    return sic, aic, skipped
