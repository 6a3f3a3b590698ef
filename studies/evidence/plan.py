"""The plan: one primary comparison per claim and pair of methods, each stated here before anything is computed.

A primary is the mean of one number per image, which is averaged over the networks that have it. ``decisions`` makes one
verdict from each. All other numbers of the pages have no verdict.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from math import log10
from typing import Any

import numpy as np
import pandas as pd

from evidence.claims import degradation, formats, guided, invariance, paths, randomization, stability
from evidence.claims.idgi import RUNS
from evidence.claims.steps import LITTLE, METHODS, TRUNCATED, at
from evidence.papers import BASES, idgi
from evidence.stored import Column, Stored
from evidence.words import label

# What is too small to matter, by measure. Stated after the first version of these pages, before these intervals.
INSERTION = 0.02  # of an area between 0 and 1
AREA = 0.005  # of degradation, where a random order has about 0.12
CORRELATION = 0.05
SHARE = 0.05
TIMES = log10(1.25)  # of the ratio of two errors
FACTOR = log10(2)  # of the ratio of two distances, which are powers of ten apart
RANKINGS = {"signed": "insertion by sign", "absolute": "insertion by magnitude"}
SIC = (("claim-size", "study:png", "SIC, entropy"), ("claim-structure", "study:ms-ssim", "SIC, MS-SSIM"))
STABILITY = {
    "signed": "log10 of the error ratio, signed sum",
    "absolute": "log10 of the error ratio, magnitudes",
    "rank": "rank correlation",
}
GAIN = "insertion gain from 8 to 128 steps"
LATE = "insertion gain after 32 steps, minus a tenth of all"

Values = Callable[[Stored], Any]  # one number per image, as a Series
Terms = list[tuple[float, Column]]


@dataclass(frozen=True, eq=False)
class Primary:
    """One comparison.

    Attributes:
        pair: What is compared, such as ``"IG + IDGI minus IG"``.
        measure: By what, such as ``"insertion by sign"``.
        values: One number per image.
        margin: A mean whose interval is nearer to ``bound`` than this has no relevant effect.
        claims: The claims that are judged by it: 1 where the claim says that the mean is above ``bound``, else -1.
        bound: What the mean is compared with.
        looks: How often the images were looked at: more than once if images were added until it is decided.
    """

    pair: str
    measure: str
    values: Values
    margin: float
    claims: Mapping[str, int]
    bound: float = 0.0
    looks: int = 1


def by_image(*networks: Terms) -> Values:
    """A sum of weighted columns, averaged over the networks that have all of an image's."""
    return lambda stored: mean_over_networks(
        sum(weight * stored.by_image(column) for weight, column in terms) for terms in networks
    )


def mean_over_networks(series: Iterable[Any]) -> Any:
    """The mean over networks, image by image."""
    return pd.concat(list(series), axis=1).mean(axis=1).dropna()


def _less(one: str, other: str) -> str:
    return f"{label(one)} minus {label(other)}"


def _gain(run: str, one: str, other: str, score: str, variant: str) -> Terms:
    return [(1, Column(run, one, score, variant)), (-1, Column(run, other, score, variant))]


def _difference(runs: Sequence[str], one: str, other: str, score: str, variant: str) -> Values:
    return by_image(*(_gain(run, one, other, score, variant) for run in runs))


def _insertion() -> Iterator[Primary]:
    """IDGI beside its base and each base beside a random order, by either ranking; and whether the ranking matters."""
    for base, ranking in product(BASES, ("signed", "absolute")):
        measure, own = RANKINGS[ranking], (idgi(base), base)
        claims = {f"claim-insertion-{ranking}": 1}
        if (base, ranking) == ("blur-ig", "signed"):
            claims["claim-residual"] = -1
        yield Primary(_less(*own), measure, _difference(RUNS, *own, "insertion", ranking), INSERTION, claims)
        values = _difference(RUNS, base, "random", "insertion", ranking)
        yield Primary(_less(base, "random"), measure, values, INSERTION, {f"claim-chance-{ranking}": 1})
        if ranking == "absolute":
            parts = [
                (_gain(run, *own, "insertion", "signed"), _gain(run, *own[::-1], "insertion", ranking)) for run in RUNS
            ]
            values = by_image(*(by_sign + less_by_magnitude for by_sign, less_by_magnitude in parts))
            yield Primary(_less(*own), "insertion by sign minus by magnitude", values, INSERTION, {"claim-ranking": 1})


def _information() -> Iterator[Primary]:
    """The area under an image's own SIC curve, by sign as in the study."""
    for (claim, variant, measure), base in product(SIC, BASES):
        pair = (idgi(base), base)
        yield Primary(_less(*pair), measure, _difference(RUNS, *pair, "sic", variant), INSERTION, {claim: 1})


def _degradation() -> Iterator[Primary]:
    """Areas of the paper's protocol on photographs; a smaller one is steeper."""
    rivals = [method for method in degradation.ELEVEN if method != "pgig"]
    for one, other in [("pgig", rival) for rival in rivals] + [(rival, "random") for rival in rivals[1:]]:
        claims = {"claim-steepest": -1} if one == "pgig" else {}
        claims |= {"claim-random": -1} if other == "random" else {}
        claims |= {"claim-parents": -1} if other in ("ig", "patternattribution") else {}
        values = _difference(degradation.PHOTOGRAPHS, one, other, "degradation", "paper")
        yield Primary(_less(one, other), "degradation area", values, AREA, claims)
    yield Primary("the nine others", "rank correlation with the paper's order", _order, CORRELATION, {"claim-order": 1})


def _order(stored: Stored) -> Any:
    """The rank correlation of the areas with the paper's order, image by image."""
    tiers = pd.Series({method: -k for k, tier in enumerate(degradation.TIERS[1:-1]) for method in tier})
    wide = (
        pd.concat([stored.by_image(degradation.column(run, m, "paper")) for m in tiers.index], axis=1, keys=tiers.index)
        for run in degradation.PHOTOGRAPHS
    )
    return mean_over_networks(areas.dropna().T.corrwith(tiers, method="spearman") for areas in wide)


def _steps() -> Iterator[Primary]:
    """Insertion by sign; a gain is from the first to the last number of steps."""

    def gain(method: str, first: int = 8, last: int = 128, weight: float = 1) -> Terms:
        more, fewer = at(method, ("insertion", "signed"), last, first)
        return [(weight, more), (-weight, fewer)]

    for base in ("ig", "blur-ig"):
        terms = gain(idgi(base)) + gain(base, weight=-1)
        yield Primary(_less(idgi(base), base), GAIN, by_image(terms), INSERTION, {"claim-steps": 1})
    for method in METHODS:
        yield Primary(label(method), GAIN, by_image(gain(method)), INSERTION, {"claim-more-steps": 1})
        late = by_image(gain(method, 32) + gain(method, weight=-LITTLE))
        yield Primary(label(method), LATE, late, INSERTION, {"claim-few-steps": -1})
    pair = ("idgi", "blur-ig+idgi")
    terms = gain(pair[0]) + gain(pair[1], weight=-1)
    yield Primary(_less(*pair), GAIN, by_image(terms), INSERTION, {"claim-ig-gains-more": 1})
    values = _difference(RUNS, *pair, "insertion", "signed")
    yield Primary(_less(*pair), RANKINGS["signed"], values, INSERTION, {"claim-blur-steps": 1})
    for method in ("ig", "idgi"):
        short = [(sign, Column(TRUNCATED, method, "insertion", "signed", count)) for sign, count in ((1, 64), (-1, 8))]
        values = by_image(short + gain(method, 8, 64, -1))
        measure = "insertion gain, paths that stop short minus whole ones"
        yield Primary(label(method), measure, values, INSERTION, {"claim-truncated": 1})


def _paths() -> Iterator[Primary]:
    """Shares of the blur path's tenths."""

    def largest(stored: Stored) -> Any:
        wide = paths.shares(stored, "variation_share")
        return wide["blur"].max(axis=1) - wide["straight"].max(axis=1)

    for column, what in (("image_share", "path"), ("variation_share", "output")):

        def last(stored: Stored, column: str = column) -> Any:
            return paths.shares(stored, column)["blur", 10]

        measure = f"{'F' if what == 'output' else 'the image'}'s change in the last tenth"
        yield Primary("Blur IG's path", measure, last, SHARE, {f"claim-blur-{what}": 1}, paths.HALF)
    pair, measure = "Blur IG's path minus the straight one", "F's change in its largest tenth"
    yield Primary(pair, measure, largest, SHARE, {"claim-steady": 1})


def _stability() -> Iterator[Primary]:
    """JPEG compression: the ratio of two methods' errors, image by image, or the difference of rank correlations."""
    pairs = [(idgi(base), base, "claim-stability", 1) for base in BASES]
    pairs += [("guided-ig", base, "claim-guided-jpeg", -1) for base in ("ig", "blur-ig")]
    for kind, (one, other, claim, sign) in product(STABILITY, pairs):

        def values(stored: Stored, kind: str = kind, pair: tuple[str, str] = (one, other)) -> Any:
            own, its = (stored.by_image(stability.column(method, kind)) for method in pair)
            # Errors: a positive number is in favor of the first method, as it is of correlations.
            return (own - its if kind == "rank" else np.log10(its / own)).dropna()

        if claim == "claim-stability" or kind != "absolute":
            margin = CORRELATION if kind == "rank" else TIMES
            yield Primary(_less(one, other), STABILITY[kind], values, margin, {f"{claim}-{kind}": sign}, looks=2)
    for base in BASES:

        def sizes(stored: Stored, pair: tuple[str, str] = (idgi(base), base)) -> Any:
            own, its = (stored.by_image(stability.sensitivity(method, "absolute")).abs() for method in pair)
            return (own - its).dropna()

        measure = "size of two classes' correlation"
        yield Primary(_less(idgi(base), base), measure, sizes, CORRELATION, {"claim-class": -1})


def _others() -> Iterator[Primary]:
    """Rounding, number formats, randomization and invariance."""

    def moved(stored: Stored) -> Any:
        far = [guided.by_image(stored, m, guided.THREADS).clip(lower=guided.LEAST) for m in ("guided-ig", "ig")]
        return np.log10(far[0] / far[1]).dropna()

    def left(stored: Stored) -> Any:
        kept = [("pgig", "anew", "absolute"), ("ig", "", "absolute")]
        own, its = (randomization.by_image(stored, "efficientnet-lite0", *of).abs().mean(axis=1) for of in kept)
        return (own - its).dropna()

    for method in formats.METHODS:

        def lost(stored: Stored, method: str = method) -> Any:
            return formats.change(stored, method, "bfloat16").dropna()

        yield Primary(f"{label(method)} in bfloat16", formats.MEASURE, lost, INSERTION, {"claim-formats": -1})
    measure = "log10 of the ratio of distances, two threads"
    yield Primary(_less("guided-ig", "ig"), measure, moved, FACTOR, {"claim-guided": 1})
    measure = "size of the correlation, layers random"
    yield Primary(_less("pgig", "ig"), measure, left, CORRELATION, {"claim-randomization": -1})
    for method in ("patternattribution", "pgig"):

        def farthest(stored: Stored, method: str = method) -> Any:
            return np.log10(invariance.farthest(stored, method).clip(lower=invariance.LEAST))

        equal, measure = log10(invariance.EQUAL), "log10 of the farthest twin's distance"
        yield Primary(label(method), measure, farthest, FACTOR, {"claim-invariance": -1}, equal)


PRIMARIES: tuple[Primary, ...] = tuple(
    chain(_insertion(), _information(), _degradation(), _steps(), _paths(), _stability(), _others())
)
