"""What each score measures, which way is better, and how a data set's value is made of the images'."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from captum_ext.evaluation.reporting.estimates import (
    Draws,
    Floats,
    Sample,
    area_under_median,
    mean,
    mean_curve,
    median,
    median_curve,
    minus_log_mean,
)
from captum_ext.metrics._protocols import PROTOCOLS

_HIGHER, _LOWER, _NEITHER = 1, -1, 0
_CODES = {"webp": "WebP", "png": "PNG", "ms-ssim": "MS-SSIM"}


@dataclass(frozen=True)
class Axes:
    """How a score's curve is drawn.

    Attributes:
        x: The label of the axis that the curve runs over.
        y: That of the score.
        positions: Of the points on it, from their number.
    """

    x: str
    y: str
    positions: Callable[[int], list[float]]


def _shares(points: int) -> list[float]:
    return [point / max(points - 1, 1) for point in range(points)]


def _counts(points: int) -> list[float]:
    return [float(point) for point in range(points)]


def _from_one(points: int) -> list[float]:
    return [float(point) for point in range(1, points + 1)]


@dataclass(frozen=True)
class _Score:
    title: str
    better: int
    axes: Axes | None = None
    summary: Callable[[Sample, Draws], Floats] = mean


_INFORMATION = "information in the picture"
_SCORES = {
    "insertion": _Score(
        "Insertion, probability", _HIGHER, Axes("share of the pixels inserted", "probability of the target", _shares)
    ),
    "insertion-ratio": _Score(
        "Insertion, probability ratio",
        _HIGHER,
        Axes("share of the pixels inserted", "probability, over the whole image's", _shares),
    ),
    "aic": _Score("AIC", _HIGHER, Axes(_INFORMATION, "share of images classified right", _shares)),
    "sic": _Score("SIC", _HIGHER, Axes(_INFORMATION, "normalised probability", _shares)),
    "deletion": _Score(
        "Deletion, probability", _LOWER, Axes("share of the pixels removed", "probability of the target", _shares)
    ),
    "degradation": _Score("Degradation", _LOWER, Axes("patches replaced", "probability of the target", _counts)),
    "stability": _Score("Stability", _HIGHER),
    "completeness": _Score("Completeness, error", _LOWER, summary=median),
    "class-sensitivity": _Score("Class sensitivity", _LOWER),
    "randomization": _Score(
        "Model randomisation",
        _LOWER,
        Axes("layers made random, from the output on", "rank correlation", _from_one),
    ),
}


@dataclass(frozen=True)
class Measure:
    """One column of numbers: a score, measured one way.

    Attributes:
        score: As in the rows.
        variant: As in the rows.
        title: Such as ``"AIC (study, PNG)"``.
        better: 1 if higher is better, -1 if lower is, 0 if not known.
        summary: The data set's value over each draw of images.
        line: The data set's curve over each draw.
        axes: ``None`` without a curve.
    """

    score: str
    variant: str
    title: str
    better: int
    summary: Callable[[Sample, Draws], Floats]
    line: Callable[[Any, Draws], Floats]
    axes: Axes | None

    @property
    def direction(self) -> str:
        """Such as ``"higher is better"``; empty if not known."""
        return {_HIGHER: "higher is better", _LOWER: "lower is better", _NEITHER: ""}[self.better]

    @property
    def by_structure(self) -> bool:
        """Whether information is measured by MS-SSIM."""
        return "MS-SSIM" in self.title


def measure(score: str, variant: str) -> Measure:
    """The measure of rows with this score and variant; unknown ones are averaged, without a direction."""
    known = _SCORES.get(score, _Score(score, _NEITHER))
    title, summary, line = f"{known.title} ({variant})" if variant else known.title, known.summary, mean_curve
    if score in ("sic", "aic") and variant.split(":")[0] in PROTOCOLS:
        name, code, ranking = (*variant.split(":"), "", "")[:3]
        protocol = PROTOCOLS[name]
        code = code or protocol.information
        title = f"{known.title} ({', '.join((name, _CODES.get(code, code), *filter(None, (ranking,))))})"
        if protocol.aggregates[("sic", "aic").index(score)] == "median":
            summary, line = area_under_median, median_curve
        # Otherwise the mean of the areas, which is the area under the mean curve.
    elif score == "stability":
        title = "Stability, rank correlation" if variant == "rank" else f"Stability, -log10 MSE ({variant})"
        summary = mean if variant == "rank" else minus_log_mean
    return Measure(score, variant, title, known.better, summary, line, known.axes)


def ordered(pairs: Iterable[tuple[str, str]]) -> list[Measure]:
    """The measures of these scores and variants, as the papers have them in order."""
    scores = list(_SCORES)
    variants = ("signed", "absolute", "rank", "paper", "code", *PROTOCOLS)

    def key(pair: tuple[str, str]) -> tuple[int, str, int, str]:
        score, variant = pair
        first = variant.split(":")[0]
        return (
            scores.index(score) if score in scores else len(scores),
            score,
            variants.index(first) if first in variants else len(variants),
            variant,
        )

    return [measure(*pair) for pair in sorted(set(pairs), key=key)]
