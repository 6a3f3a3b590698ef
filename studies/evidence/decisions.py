"""Verdicts: the one rule from the plan's primaries to words. No verdict of the pages is written by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy import stats

from captum_ext.evaluation import Estimate, holm_coverages, sign_flip_test, t_interval, t_test
from evidence.plan import PRIMARIES, Primary
from evidence.stored import Stored

REPRODUCED, CONTRADICTED, UNRESOLVED, NO_EFFECT = "reproduced", "contradicted", "unresolved", "no relevant effect"
WORDS = (REPRODUCED, CONTRADICTED, NO_EFFECT, UNRESOLVED)
FEWEST = 10  # images; fewer decide nothing
# Of all primaries together: at this level, simulated nulls decide anything at all in at most 5% of pages.
LEVEL, _POWER = 0.025, 0.8
ROUNDING_ERROR = 1e-9
NONE = -1  # no number of photographs


@dataclass(frozen=True)
class Decision:
    """A primary's result.

    Attributes:
        primary: What was compared.
        estimate: The mean over the images, and its 95% interval.
        adjusted: The same with the Holm-adjusted interval, which the verdict is made from.
        coverage: Of the adjusted interval.
        p: Of the rule, times the looks.
        sign_flip_p: By flipping signs, unadjusted.
        needed: How many images would decide it with a power of 80%, if mean and spread stay: by excluding the bound or
            by lying within the margin, whichever takes fewer.
    """

    primary: Primary
    estimate: Estimate
    adjusted: Estimate
    coverage: float
    p: float
    sign_flip_p: float
    needed: int

    def verdict(self, claim: str) -> str:
        """The word for a claim that the primary judges."""
        bound, margin, interval = self.primary.bound, self.primary.margin, self.adjusted
        if interval.n < FEWEST:
            return UNRESOLVED
        if bound - margin < interval.low and interval.high < bound + margin:
            return NO_EFFECT
        side = self.primary.claims[claim] * interval.side(bound)
        return {1: REPRODUCED, -1: CONTRADICTED, 0: UNRESOLVED}[side]

    @property
    def is_significant(self) -> bool:
        """Whether the adjusted interval excludes the bound."""
        return self.adjusted.side(self.primary.bound) != 0

    def relation(self, above: str, below: str) -> str:
        """The verdict in a sentence, such as ``"better than"``."""
        side = self.adjusted.side(self.primary.bound)
        equal = self.verdict(next(iter(self.primary.claims))) == NO_EFFECT
        return "about equal to" if equal else {1: above, -1: below, 0: "indistinguishable from"}[side]


def skew_test(values: Any) -> Any:
    """Two-sided p-values of the means of samples (..., n), corrected for skewness (Hall, JRSS B 1992)."""
    n, skew = values.shape[-1], stats.skew(values, axis=-1)
    w = values.mean(-1) / values.std(-1, ddof=1)
    corrected = w + skew * w**2 / 3 + skew**2 * w**3 / 27 + skew / (6 * n)
    return 2 * stats.t.sf(np.abs(np.sqrt(n) * corrected), n - 1)


def interval(values: np.ndarray, coverage: float) -> Estimate:
    """Student's t interval and that of :func:`skew_test`, whichever reaches further at each end."""
    one, n, spread = t_interval(values, coverage), len(values), values.std(ddof=1) if len(values) > 1 else 0.0
    skew = float(stats.skew(values)) if spread > ROUNDING_ERROR else 0.0
    if abs(skew) < ROUNDING_ERROR:
        return one
    reach = stats.t.isf((1 - coverage) / 2, n - 1) / np.sqrt(n)
    ends = [3 / skew * (np.cbrt(1 + skew * (end - skew / (6 * n))) - 1) for end in (reach, -reach)]
    low, high = (one.value - spread * end for end in ends)
    return Estimate(one.value, float(min(one.low, low)), float(max(one.high, high)), n)


def test(values: np.ndarray) -> float:
    """The p-value at which :func:`interval` ends at 0."""
    return float(np.fmax(t_test(values), skew_test(values) if np.ptp(values) > ROUNDING_ERROR else 0.0))


def decide(samples: Sequence[tuple[Primary, np.ndarray]], n_flips: int = 9999) -> list[Decision]:
    """All primaries at once, for each one's interval depends on the others.

    Args:
        samples: Primaries with one number per image.
        n_flips: Of the permutation test.
    """
    p_values = [min(1.0, primary.looks * test(values - primary.bound)) for primary, values in samples]
    decisions, coverages = [], holm_coverages(p_values, 1 - LEVEL)
    for (primary, values), p, together in zip(samples, p_values, coverages, strict=True):
        coverage = 1 - (1 - together) / primary.looks
        centered = values - primary.bound
        flips = sign_flip_test(centered, n_flips) if n_flips else float("nan")
        needed = _needed(centered, coverage, primary.margin)
        decisions.append(Decision(primary, t_interval(values), interval(values, coverage), coverage, p, flips, needed))
    return decisions


@cache
def decided(stored: Stored) -> dict[Primary, Decision]:
    """The decisions of all primaries whose results there are."""
    series = [(primary, primary.values(stored)) for primary in PRIMARIES]
    samples = [(primary, values.to_numpy(np.float64)) for primary, values in series if len(values)]
    return {decision.primary: decision for decision in decide(samples)}


def of_claim(stored: Stored, claim: str) -> list[Decision]:
    """The decisions that judge a claim, in the plan's order."""
    return [decision for primary, decision in decided(stored).items() if claim in primary.claims]


def _needed(centered: np.ndarray, coverage: float, margin: float) -> int:
    if len(centered) < 2:
        return NONE
    mean, spread = abs(centered.mean()), centered.std(ddof=1)
    reach = NormalDist().inv_cdf((1 + coverage) / 2) + NormalDist().inv_cdf(_POWER)
    distances = [mean, margin - mean]  # from the bound, and into the margin
    return min((ceil((reach * spread / far) ** 2) for far in distances if far > 0), default=NONE)


RULES = {  # of the simulation: by name, the level of all primaries together, and the p-values that must all be below it
    "Student's t": (0.05, ["t"]),
    "sign flips": (0.05, ["flips"]),
    "Student's t and sign flips": (0.05, ["t", "flips"]),
    "Student's t and its correction for skewness": (0.05, ["t", "skew"]),
    "the same, the rule of these pages": (LEVEL, ["t", "skew"]),
}


@cache
def null_rates(stored: Stored, trials: int = 2000) -> dict[str, list[float]]:
    """How often each rule would decide any primary if no claim were true, by two nulls.

    In the first, each image's outcomes change sign together at random. In the second, each primary's images are drawn
    anew, moved to a mean of 0, so that outcomes stay as skewed as they are.
    """
    series = [values for values in (one.values(stored) - one.bound for one in PRIMARIES) if len(values) >= FEWEST]
    random, names = np.random.default_rng(0), sorted({name for values in series for name in values.index})
    signs = dict(zip(names, random.choice([-1.0, 1.0], (len(names), trials)), strict=True))
    smallest = {rule: np.ones((2, trials)) for rule in RULES}
    for values in series:
        numbers = values.to_numpy(np.float64)
        flipped = numbers * np.stack([signs[name] for name in values.index], axis=1)
        for k, null in enumerate((flipped, random.choice(numbers - numbers.mean(), flipped.shape))):
            p = {"t": stats.ttest_1samp(null, 0, axis=1).pvalue, "skew": skew_test(null), "flips": np.ones(trials)}
            for at in np.flatnonzero(p["t"] < 0.01):  # above, flips don't decide either
                p["flips"][at] = sign_flip_test(null[at], 2999)
            for rule, (_, kinds) in RULES.items():
                smallest[rule][k] = np.fmin(smallest[rule][k], np.max([p[kind] for kind in kinds], axis=0))
    return {
        rule: [float((p <= RULES[rule][0] / max(len(series), 1)).mean()) for p in two] for rule, two in smallest.items()
    }
