"""Verdicts: rules from numbers to words. No verdict of the page is written by hand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal, NamedTuple

from captum_ext.evaluation import Estimate

Outcome = Literal["holds", "reversed", "undecided"]
HOLDS: Outcome = "holds"
REVERSED: Outcome = "reversed"
UNDECIDED: Outcome = "undecided"
NOT_RUN = "not run"
_MOST_LEVELS = 3  # more conditions than that single out nothing
_OUTCOMES: dict[int, Outcome] = {1: HOLDS, -1: REVERSED, 0: UNDECIDED}


@dataclass(frozen=True)
class Trial:
    """One comparison that a claim makes.

    Attributes:
        estimate: What was measured.
        conditions: Under which it was measured, as ``{"ranking": "signed"}``: a verdict may name them.
        sign: 1 if the claim says that the estimate is above ``bound``, -1 if below.
        bound: What it is compared with.
    """

    estimate: Estimate
    conditions: Mapping[str, str] = field(default_factory=dict)
    sign: int = 1
    bound: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """Decided if the whole interval is on one side of the bound, and if it is over 10 images or more."""
        return _OUTCOMES[self.sign * self.estimate.side(self.bound)]


def measured(
    estimates: Iterable[tuple[Estimate | None, Mapping[str, str]]], sign: int = 1, bound: float = 0.0
) -> list[Trial]:
    """The comparisons whose estimate, with its conditions, is there."""
    return [Trial(estimate, conditions, sign, bound) for estimate, conditions in estimates if estimate is not None]


class Case(NamedTuple):
    """Several comparisons that a claim makes at once, and the conditions that they share."""

    outcome: Outcome
    conditions: Mapping[str, str]


Trials = Sequence[Trial | Case]


class Verdict(NamedTuple):
    """A word or two, and the counts behind them."""

    word: str
    because: str = ""


def verdict(trials: Trials) -> Verdict:
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
    outcomes = [trial.outcome for trial in trials]
    if set(outcomes) == {HOLDS}:
        return Verdict("holds", _counts(trials))
    if HOLDS not in outcomes:
        return Verdict("does not hold" if REVERSED in outcomes else UNDECIDED, _counts(trials))
    if REVERSED not in outcomes:
        partly = "holds where decided"
    else:
        partly = "holds in part" if 2 * outcomes.count(HOLDS) >= len(outcomes) else "mixed"
    under = _purest(trials)
    if under is None:
        return Verdict(partly, _counts(trials))
    names, levels = under
    where = f"{' and '.join(names)} {', '.join(' / '.join(level) for level in levels)}"
    there = [trial for trial in trials if _level(trial, names) in levels]
    rest = [trial for trial in trials if _level(trial, names) not in levels]
    because = f"there {_counts(there)}; elsewhere {_counts(rest)}"
    elsewhere = {trial.outcome for trial in rest}
    if HOLDS in elsewhere:
        return Verdict(f"{partly}: throughout under {where}", because)
    if elsewhere == {UNDECIDED}:
        return Verdict(f"holds under {where}, undecided elsewhere", because)
    return Verdict(f"holds only under {where}", because)


def of_all(trials: Sequence[Trial]) -> Verdict:
    """The verdict on a claim without exceptions, which one comparison against it refutes."""
    if not trials:
        return Verdict(NOT_RUN)
    word = {HOLDS: "holds", REVERSED: "does not hold", UNDECIDED: UNDECIDED}[_of_all(trials)]
    return Verdict(word, _counts(trials))


def of_all_in_each(names: tuple[str, ...], trials: Sequence[Trial]) -> Verdict:
    """The verdict on a claim without exceptions in each of several cases, which the named conditions tell apart."""
    if not trials:
        return Verdict(NOT_RUN)
    cases: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        cases.setdefault(_level(trial, names), []).append(trial)
    word, because = verdict([Case(_of_all(some), dict(zip(names, at, strict=True))) for at, some in cases.items()])
    return Verdict(word, f"by {' and '.join(names)}: {because}; one by one: {_counts(trials)}")


def _of_all(trials: Sequence[Trial]) -> Outcome:
    outcomes = {trial.outcome for trial in trials}
    return REVERSED if REVERSED in outcomes else HOLDS if outcomes == {HOLDS} else UNDECIDED


_Pure = tuple[int, tuple[str, ...], list[tuple[str, ...]]]


def _purest(trials: Trials) -> tuple[tuple[str, ...], list[tuple[str, ...]]] | None:
    """The condition, or two, with all of the support and nothing else at some levels; else that with most of it."""
    every_name = dict.fromkeys(name for trial in trials for name in trial.conditions)
    factors = [name for name in every_name if len({trial.conditions.get(name, "") for trial in trials}) > 1]
    holding = sum(trial.outcome == HOLDS for trial in trials)
    nothing: _Pure = (0, (), [])
    one, two = (
        max((_pure(trials, names) for names in combinations(factors, size)), key=lambda pure: pure[0], default=nothing)
        for size in (1, 2)
    )
    # Two conditions say more only where one says nothing, or not all.
    best = two if two[0] == holding > one[0] or not one[0] else one
    return best[1:] if best[0] and 2 * best[0] >= holding else None


def _pure(trials: Trials, names: tuple[str, ...]) -> _Pure:
    """At which levels of these conditions all are in its favour, and how many comparisons that is; 0 if too many."""
    at = [(_level(trial, names), trial.outcome) for trial in trials]
    impure = {level for level, outcome in at if outcome != HOLDS}
    pure = [level for level in dict.fromkeys(level for level, _ in at) if level not in impure]
    return (sum(level in pure for level, _ in at) if len(pure) <= _MOST_LEVELS else 0), names, pure


def _level(trial: Trial | Case, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(trial.conditions.get(name, "") for name in names)


def _counts(trials: Trials) -> str:
    """Such as ``7 of 9 hold, 1 reversed, 1 undecided``."""
    outcomes = [trial.outcome for trial in trials]
    more = [f", {outcomes.count(of)} {of}" for of in (REVERSED, UNDECIDED) if of in outcomes]
    return f"{outcomes.count(HOLDS)} of {len(trials)} hold{''.join(more)}"
