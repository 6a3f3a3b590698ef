"""Verdicts: rules from numbers to words. No verdict of the page is written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from captum_ext.evaluation.reporting.estimates import NOTHING, Estimate
from captum_ext.evaluation.reporting.tables import FEWEST

Outcome = Literal["holds", "reversed", "undecided"]
HOLDS: Outcome = "holds"
REVERSED: Outcome = "reversed"
UNDECIDED: Outcome = "undecided"
NOT_RUN = "not run"
_MOST_LEVELS = 3  # more conditions than that single out nothing


@dataclass(frozen=True)
class Trial:
    """One comparison that a claim makes.

    Attributes:
        found: The estimate.
        conditions: Under which it was made, as ``{"ranking": "signed", "model": "Lite0"}``: what a verdict may name.
        sign: 1 if the claim says that the estimate is above ``bound``, -1 if below.
        bound: What it is compared with.
    """

    found: Estimate
    conditions: Mapping[str, str] = field(default_factory=dict)
    sign: int = 1
    bound: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """Decided where the whole interval is on one side of the bound, and there are images enough for one."""
        low, high = sorted((self.sign * (self.found.low - self.bound), self.sign * (self.found.high - self.bound)))
        if self.found.n < FEWEST:
            return UNDECIDED
        if low > NOTHING:
            return HOLDS
        return REVERSED if high < -NOTHING else UNDECIDED


@dataclass(frozen=True)
class Case:
    """Several comparisons that a claim makes at once, and the conditions that they share."""

    outcome: Outcome
    conditions: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """A word or two, and the counts behind them."""

    word: str
    because: str = ""

    def __str__(self) -> str:
        """Both."""
        return f"{self.word} ({self.because})" if self.because else self.word


def verdict(trials: Sequence[Trial | Case]) -> Verdict:
    """What the comparisons of a claim say together.

    - None: not run.
    - All are in its favour: holds.
    - None is, and some are against it: does not hold. None is, and none against it: undecided.
    - Some are: if one condition, or two together, single out those in its favour, it holds only under these. If not, it
      holds where decided, if none is against it; else it is mixed, or holds in part if at least half are in its favour.
      Named is then where all comparisons are in its favour, if these are at least half of those that are.
    """
    if not trials:
        return Verdict(NOT_RUN)
    holding = [trial for trial in trials if trial.outcome == HOLDS]
    if len(holding) == len(trials):
        return Verdict("holds", _counts(trials))
    if not holding:
        against = any(trial.outcome == REVERSED for trial in trials)
        return Verdict("does not hold" if against else UNDECIDED, _counts(trials))
    under = _purest(trials)
    if under is None:
        return Verdict(_partly(trials), _counts(trials))
    names, levels = under
    where = f"{' and '.join(names)} {', '.join(' / '.join(level) for level in levels)}"
    rest = [trial for trial in trials if _level(trial, names) not in levels]
    there = [trial for trial in trials if _level(trial, names) in levels]
    because = f"there {_counts(there)}; elsewhere {_counts(rest)}"
    if any(trial.outcome == HOLDS for trial in rest):
        return Verdict(f"{_partly(trials)}: throughout under {where}", because)
    if all(trial.outcome == UNDECIDED for trial in rest):
        return Verdict(f"holds under {where}, undecided elsewhere", because)
    return Verdict(f"holds only under {where}", because)


def _partly(trials: Sequence[Trial | Case]) -> str:
    """In a word, where some comparisons are in its favour and no condition singles them out."""
    outcomes = [trial.outcome for trial in trials]
    if REVERSED not in outcomes:
        return "holds where decided"
    return "holds in part" if 2 * outcomes.count(HOLDS) >= len(outcomes) else "mixed"


def of_all(trials: Sequence[Trial]) -> Verdict:
    """What they say of a claim without exceptions, which one comparison against it refutes."""
    if not trials:
        return Verdict(NOT_RUN)
    word = {HOLDS: "holds", REVERSED: "does not hold", UNDECIDED: UNDECIDED}[_of_all(trials)]
    return Verdict(word, _counts(trials))


def of_all_in_each(names: tuple[str, ...], trials: Sequence[Trial]) -> Verdict:
    """What they say of a claim without exceptions in each of several cases, told apart by the named conditions."""
    if not trials:
        return Verdict(NOT_RUN)
    cases: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        cases.setdefault(_level(trial, names), []).append(trial)
    found = verdict([Case(_of_all(some), dict(zip(names, level, strict=True))) for level, some in cases.items()])
    return Verdict(found.word, f"by {' and '.join(names)}: {found.because}; one by one: {_counts(trials)}")


def _of_all(trials: Sequence[Trial]) -> Outcome:
    outcomes = {trial.outcome for trial in trials}
    return REVERSED if REVERSED in outcomes else HOLDS if outcomes == {HOLDS} else UNDECIDED


def _purest(trials: Sequence[Trial | Case]) -> tuple[tuple[str, ...], list[tuple[str, ...]]] | None:
    """The condition, or two, with all of the support and nothing else at some levels; else that with most of it."""
    every_name = dict.fromkeys(name for trial in trials for name in trial.conditions)
    factors = [name for name in every_name if len({trial.conditions.get(name, "") for trial in trials}) > 1]
    holding = sum(trial.outcome == HOLDS for trial in trials)
    one, two = (_most([_pure(trials, names) for names in combinations(factors, size)]) for size in (1, 2))
    # Two conditions say more only where one says nothing, or not all.
    best = two if two[0] == holding > one[0] or not one[0] else one
    return best[1:] if best[0] and 2 * best[0] >= holding else None


_Pure = tuple[int, tuple[str, ...], list[tuple[str, ...]]]


def _pure(trials: Sequence[Trial | Case], names: tuple[str, ...]) -> _Pure:
    """At which levels of these conditions all are in its favour, and how many comparisons that is; 0 if too many."""
    pure = [level for level in dict.fromkeys(_level(t, names) for t in trials) if _all_hold(trials, names, level)]
    covered = sum(_level(trial, names) in pure for trial in trials) if len(pure) <= _MOST_LEVELS else 0
    return covered, names, pure


def _most(found: Sequence[_Pure]) -> _Pure:
    return max(found, key=lambda pure: pure[0], default=(0, (), []))


def _all_hold(trials: Sequence[Trial | Case], names: tuple[str, ...], level: tuple[str, ...]) -> bool:
    return all(trial.outcome == HOLDS for trial in trials if _level(trial, names) == level)


def _level(trial: Trial | Case, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(trial.conditions.get(name, "") for name in names)


def _counts(trials: Sequence[Trial | Case]) -> str:
    """Such as ``7 of 9 hold, 1 reversed, 1 undecided``."""
    counts = {outcome: sum(trial.outcome == outcome for trial in trials) for outcome in (HOLDS, REVERSED, UNDECIDED)}
    text = f"{counts[HOLDS]} of {len(trials)} hold"
    for outcome in (REVERSED, UNDECIDED):
        text += f", {counts[outcome]} {outcome}" if counts[outcome] else ""
    return text
