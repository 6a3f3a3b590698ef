"""The study's runs of fewer steps are paths that stop short of the input: what that does to its Fig. 4."""

from __future__ import annotations

from evidence.claim import Claim
from evidence.claims.stepped import RUN, SCORES, STEPS, at, changes, where
from evidence.stored import Column, Stored, change
from evidence.verdicts import Trial
from evidence.words import label, said, shown, signed, table, told

TRUNCATED = "truncated-lite0"
COARSE = STEPS[:-1]  # the study's 128 steps are a whole path
METHODS = ("ig", "idgi")
_SCORES = [score for score in SCORES if score[0].startswith("insertion")]


def _short(method: str, score: tuple[str, str], *counts: int) -> list[Column]:
    return [Column(TRUNCATED, method, *score, count) for count in counts]


def _ends(method: str, score: tuple[str, str]) -> list[Column]:
    """At the fewest and the most steps of whole paths, and of those that stop short."""
    ends = (COARSE[0], COARSE[-1])
    return [*at(method, score, *ends), *_short(method, score, *ends)]


def _trials(stored: Stored) -> list[Trial]:
    """How much more a method changes over the steps on paths that stop short than on whole ones."""
    found = []
    for score in _SCORES:
        for method in METHODS:
            more = stored.combined(_ends(method, score), changes)
            if more is not None:
                found.append(Trial(more, where(score, method)))
    return found


def _numbers(stored: Stored) -> list[str]:
    rows, compared = [], []
    for score in _SCORES:
        for method in METHODS:
            cells = stored.together([*at(method, score, *COARSE), *_short(method, score, *COARSE)]) or []
            ends = _ends(method, score)
            for kind, some, two in (("whole", cells[:4], ends[:2]), ("stops short", cells[4:], ends[2:])):
                if some:
                    values = (f"{cell.value:.3f}" for cell in some)
                    far = shown(stored.combined(two, change))
                    rows.append([SCORES[score], label(method), kind, str(some[0].n), *values, far])
    for trial in _trials(stored):
        of = trial.conditions
        name = f"{of['score']}, {of['ranking']}, {of['method']}"
        compared.append([name, f"{signed(trial.found)} {said(trial.outcome, 'more', 'less')}"])
    heads = ["Score", "Method", "Path", "n", *(f"{steps}" for steps in COARSE), "change"]
    return [table(heads, rows), table(["Change", "stopping short less whole"], compared)]


CLAIM = Claim(
    "claim-truncated",
    "Part of that sensitivity is the study's coarse paths, which stop short of the input",
    "Asked by this project, for the study's code takes its runs of 8 to 64 steps as every k-th point of the "
    "128: with 8 the last gradient is at alpha = .88. Tested, with slices of 64 points (8: .89): from 8 to 64 "
    "steps a method changes more on such paths than on whole ones.",
    "The study's code; see the evaluation's `--steps-protocol reference`",
    lambda stored: f"Whole: {told(stored, [RUN])} Stopping short: {told(stored, [TRUNCATED])}",
    _trials,
    _numbers,
)
