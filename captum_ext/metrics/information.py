"""SIC and AIC: the model's score as a function of the information in the pixels with the highest attributions."""

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
from captum_ext._utils.numbers import check_number, check_positive
from captum_ext._utils.random import as_seed
from captum_ext.metrics._codecs import check_sides, measuring_threads
from captum_ext.metrics._image_curve import Float64Array, ImageCurve
from captum_ext.metrics._information_curves import InformationCurves
from captum_ext.metrics._maps import Ranking
from captum_ext.metrics._pixels import (
    PictureClassifier,
    check_images,
    check_masks,
    image_targets,
    pixel_scores,
)
from captum_ext.metrics._protocols import PROTOCOLS, InformationProtocol

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
    generator: int | torch.Generator = 0,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> InformationCurves:
    """The Softmax and the Accuracy Information Curve (SIC, AIC) of each image. A greater area is better.

    Starting from an uninformative picture, pixels are revealed in the order of their attributions. The curve is the
    model's score as a function of the information in the picture. Both curves come from the same forward passes.

    ============== ============================ =============================== ===============================
    protocol       ``"corrected"``              ``"pair"``: PAIR's code         ``"study"``: a reproduction's
    ============== ============================ =============================== ===============================
    uninformative  1% random pixels             1% random pixels                Gaussian blur, Pillow radius 20
    filled in with interpolation (triangles)    interpolation (triangles)       that blur
    revealed       13 fractions, 0.5% to 75%    13 fractions, 0.5% to 75%       25 evenly spaced pixel counts
    equal scores   first in reading order       all at once, however many       first in reading order
    information    lossless WebP, bytes         lossless WebP, bytes            PNG, bytes
    MS-SSIM        normalized                   normalized                      not normalized, starts at (0, 0)
    ranking        absolute                     absolute                        signed
    confidence     any                          each score at least 0.8         softmax above 0.8
    monotone       along the axis               in the order of the steps       no
    points         1001                         1001                            101
    data set       mean                         median                          median SIC, mean AIC
    ============== ============================ =============================== ===============================

    ``"corrected"`` differs from PAIR's code where the result of that is arbitrary: a map with many equal scores, such
    as zeros, reveals most of the image at once; a picture no larger than the uninformative one loses its score; the
    running maximum over the steps still falls where the file shrinks; the minimum confidence hides images on which
    models differ; and the median of curves that are mostly 0 is 0. Every protocol excludes images whose curve is
    undefined, because the uninformative picture has at least the original's information or score (for the AIC: it is
    classified correctly already, or the original is not). All curves end at (1, 1), so the area of P points is at least
    0.5 / (P - 1).

    Args:
        forward_func: Takes the model's input (N, ...) and returns probabilities (N, classes), such as a softmax.
        images: uint8 pixels before the model's normalization, (B, C, H, W) with 1 or 3 channels; or a list of
            (C, H, W), whose sizes may differ if ``transform`` resizes them. The information is that of these pixels.
        attributions: In the shape of the images, with one channel, or without a channel dimension; a list if the images
            are one.
        target: The class of all images, or of each image: a list or a tensor (B,).
        transform: From uint8 pixels (N, C, H, W), on the images' device, to the model's input. Default ``None``: float
            pixels in [0, 1].
        protocol: The preset. Default: ``"corrected"``.
        information: ``"webp"``, ``"png"`` or ``"ms-ssim"`` (to the original). Default ``None``: that of the protocol.
        ranking: ``"signed"`` ranks by the sum over channels, ``"absolute"`` by the sum of magnitudes. Default ``None``:
            that of the protocol.
        min_confidence: The minimum score of the original. Default ``None``: that of the protocol.
        masks: The known pixels of the uninformative picture besides the corners, bool (B, H, W) or a list of (H, W).
            Default ``None``: random.
        generator: For the random masks: an integer seed, or a generator, from which one is drawn. With equal seeds an
            image has the same mask in any batch. Default: 0.
        internal_batch_size: Maximum number of rows in a forward pass. Default ``None``: 16.
        show_progress: Whether to show a progress bar, one tick per picture. Default: False.

    Returns:
        The curves and areas of all images, and the reasons for images without a curve.

    Raises:
        ImportError: If Pillow or scipy is needed and missing: install ``captum_ext[metrics]``.
        TypeError, ValueError: If an argument is invalid, such as attributions that are not finite, images too small for
            MS-SSIM's five scales, or outputs that are not probabilities.

    Warns:
        UserWarning: If the model is in training mode.

    Reference:
        Kapishnikov, Bolukbasi, Viegas, Terry: XRAI: Better Attributions Through Regions. ICCV 2019.
        https://arxiv.org/abs/1906.02825. MS-SSIM: Yang, Wang, Bilgic: IDGI. CVPR 2023.

    Example:
        >>> from captum_ext.metrics import information_curve
        >>> image = torch.randint(256, (1, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        >>> image[0, 0, 4, 4] = 255  # the only pixel that the model uses
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
    seed = as_seed(generator)
    preset = PROTOCOLS[protocol]
    preset = replace(
        preset,
        information=information or preset.information,
        ranking=ranking or preset.ranking,
        confidence=preset.confidence if min_confidence is None else min_confidence,
    )
    if internal_batch_size is not None:
        check_positive("internal_batch_size", internal_batch_size)
    pixels = check_images(images)
    for index, image in enumerate(pixels):
        check_sides(preset.information, index, *image.shape[1:])
    scores, known = pixel_scores(pixels, attributions, preset.ranking), check_masks(pixels, masks)
    targets = image_targets(target, len(pixels))
    classify = PictureClassifier(forward_func, transform, targets, pixels[0].device, internal_batch_size or 16)
    grid = np.linspace(0.0, 1.0, preset.points)
    with ThreadPoolExecutor(measuring_threads()) as pool, preserve_model_state(forward_func):
        image_curves = [
            ImageCurve(image, score, mask, seed, preset, pool)
            for image, score, mask in zip(pixels, scores, known, strict=True)
        ]
        bar = progress if show_progress else NullProgress
        sic, aic, exclusions = _compute_curves(image_curves, classify, preset, grid, bar)
    axis = torch.from_numpy(grid)
    sic_area, aic_area = torch.trapezoid(sic, axis), torch.trapezoid(aic, axis)
    return InformationCurves(axis, sic, aic, sic_area, aic_area, *exclusions, protocol)


def _compute_curves(
    images: list[ImageCurve],
    classify: PictureClassifier,
    preset: InformationProtocol,
    grid: Float64Array,
    bar: Callable[..., Any],
) -> tuple[Tensor, Tensor, tuple[dict[int, str], dict[int, str]]]:
    """SIC and AIC (B, P), and the reasons for images without one."""
    ends = [(index, end) for index, image in enumerate(images) for end in (image.uninformative, image.original)]
    end_scores = list(classify(bar(ends, desc="information curve: ends")))
    low, high = end_scores[::2], end_scores[1::2]
    exclusions: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for index, image in enumerate(images):
        for kind, reasons in enumerate(exclusions):
            confidence = high[index][0 if preset.strict_confidence else kind]
            reason = image.exclusion(low[index][kind], high[index][kind], confidence)
            if reason is not None:
                reasons[index] = reason
    included = [index for index in range(len(images)) if index not in exclusions[0] or index not in exclusions[1]]
    steps = [(index, step) for index in included for step in range(len(preset.fractions))]
    # Made when a batch needs them: all pictures of all images would fill the memory.
    pictures = ((index, images[index].picture(step)) for index, step in bar(steps, desc="information curve"))
    step_scores = zip(steps, classify(pictures), strict=True)
    curves = np.full((2, len(images), len(grid)), np.nan)
    for index, rows in groupby(step_scores, key=lambda row: row[0][0]):
        scores = np.array([low[index], *(score for _, score in rows), high[index]])
        for kind, reasons in enumerate(exclusions):
            if index not in reasons:
                curves[kind, index] = images[index].curve(scores[:, kind], grid)
    sic, aic = torch.from_numpy(curves)
    return sic, aic, exclusions
