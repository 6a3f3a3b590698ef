"""The protocols of the information curves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class InformationProtocol:
    """The settings of an information curve.

    Args:
        information: ``"webp"``, ``"png"`` or ``"ms-ssim"``.
        ranking: ``"signed"`` or ``"absolute"``.
        fractions: The fraction of pixels that is revealed at each step.
        exact: Whether exactly this fraction is revealed when scores are equal.
        blur: The radius of the blur behind the revealed pixels; ``None`` interpolates between them.
        mask_fraction: The fraction of random pixels in the uninformative picture, if interpolated.
        rescale_ms_ssim: Whether MS-SSIM is scaled to 0 for the uninformative and 1 for the original picture, as file
            sizes are.
        confidence: The minimum score of the original.
        strict_confidence: Whether the softmax must exceed this minimum for both curves; otherwise the score of each
            curve must reach it.
        monotone: Whether a curve never falls: along the axis (``"information"``) or in the order of the steps
            (``"steps"``).
        points: The number of points of the curve.
        aggregates: The statistics of the SIC and the AIC of a data set.
    """

    information: str
    ranking: str
    fractions: tuple[float, ...]
    exact: bool
    blur: float | None
    mask_fraction: float
    rescale_ms_ssim: bool
    confidence: float
    strict_confidence: bool
    monotone: str | None
    points: int
    aggregates: tuple[str, str]


_PAIR = InformationProtocol(
    information="webp",
    ranking="absolute",
    fractions=(0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75),
    exact=False,
    blur=None,
    mask_fraction=0.01,
    rescale_ms_ssim=True,
    confidence=0.8,
    strict_confidence=False,
    monotone="steps",
    points=1001,
    aggregates=("median", "median"),
)
PROTOCOLS = {
    "corrected": replace(_PAIR, exact=True, confidence=0.0, monotone="information", aggregates=("mean", "mean")),
    "pair": _PAIR,
    "study": replace(
        _PAIR,
        information="png",
        ranking="signed",
        fractions=tuple(
            float(step) for step in np.linspace(0, 1, 25)[1:-1]
        ),  # nothing and everything are always included
        exact=True,
        blur=20.0,
        rescale_ms_ssim=False,
        strict_confidence=True,
        monotone=None,
        points=101,
        aggregates=("median", "mean"),
    ),
}
