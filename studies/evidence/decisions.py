"""Verdicts: the one rule from the plan's primaries to words. No verdict of the pages is written by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from statistics import NormalDist

import numpy as np
from scipy import stats

from captum_ext.evaluation import Estimate, holm_coverages, sign_flip_test, t_interval, t_test
from evidence.plan import PRIMARIES, Primary
from evidence.stored import Stored

REPRODUCED, CONTRADICTED, UNRESOLVED, NO_EFFECT = "reproduced", "contradicted", "unresolved", "no relevant effect"
WORDS = (REPRODUCED, CONTRADICTED, NO_EFFECT, UNRESOLVED)
FEWEST = 10  # images; fewer decide nothing
ALPHA, _POWER = 0.05, 0.8
NONE = -1  # no number of photographs


@dataclass(frozen=True)
class Decision:
    """A primary's result.

    Attributes:
        primary: What was compared.
        estimate: The mean over the images, and its 95% interval.
        adjusted: The same with the Holm-adjusted interval, which the verdict is made from.
        coverage: Of the adjusted interval.
        p: Student's t, unadjusted.
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

    def told(self, above: str, below: str) -> str:
        """The verdict in a sentence, such as ``"better than"``."""
        side = self.adjusted.side(self.primary.bound)
        equal = self.verdict(next(iter(self.primary.claims))) == NO_EFFECT
        return "about equal to" if equal else {1: above, -1: below, 0: "not told apart from"}[side]


def decide(samples: Sequence[tuple[Primary, np.ndarray]], n_flips: int = 9999) -> list[Decision]:
    """All primaries at once, for each one's interval depends on the others.

    Args:
        samples: Primaries with one number per image.
        n_flips: Of the permutation test.
    """
    p_values = [t_test(values - primary.bound) for primary, values in samples]
    decisions = []
    for (primary, values), p, coverage in zip(samples, p_values, holm_coverages(p_values), strict=True):
        centered = values - primary.bound
        flips = sign_flip_test(centered, n_flips) if n_flips else float("nan")
        needed = _needed(centered, coverage, primary.margin)
        decisions.append(
            Decision(primary, t_interval(values), t_interval(values, coverage), coverage, p, flips, needed)
        )
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


def null_rates(stored: Stored, trials: int = 2000) -> dict[str, float]:
    """How often any primary would be decided if no claim were true, by two nulls.

    Something is decided only if the smallest p-value is at most 5% over the number of primaries. ``"flipped"``: each
    image's outcomes change sign together at random. ``"resampled"``: each primary's images are drawn anew, moved to a
    mean of 0, so that outcomes stay as skewed as they are.
    """
    series = [values for values in (one.values(stored) - one.bound for one in PRIMARIES) if len(values) >= FEWEST]
    random, names = np.random.default_rng(0), sorted({name for values in series for name in values.index})
    signs = dict(zip(names, random.choice([-1.0, 1.0], (len(names), trials)), strict=True))
    smallest = np.ones((2, trials))
    for values in series:
        numbers = values.to_numpy(np.float64)
        flipped = numbers * np.stack([signs[name] for name in values.index], axis=1)
        resampled = random.choice(numbers - numbers.mean(), (trials, len(numbers)))
        p = [stats.ttest_1samp(null, 0, axis=1).pvalue for null in (flipped, resampled)]
        smallest = np.fmin(smallest, p)
    rates = (smallest <= ALPHA / max(len(series), 1)).mean(axis=1)
    return dict(zip(("flipped", "resampled"), map(float, rates), strict=True))
