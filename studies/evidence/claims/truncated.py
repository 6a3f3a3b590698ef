"""The study's runs of fewer steps are paths that stop short of the input: what that does to its Fig. 4."""

from itertools import product
from typing import Any

from evidence.claim import Claim
from evidence.claims.stepped import RUN, SCORES, STEPS, at, changes, conditions
from evidence.stored import Column, Stored, change
from evidence.verdicts import Trial, measured
from evidence.words import label, shown, table, trial_table

TRUNCATED = "truncated-lite0"
COARSE = STEPS[:-1]  # the study's 128 steps are a whole path
_ENDS = (COARSE[0], COARSE[-1])
_MEASURED = list(product([score for score in SCORES if score[0].startswith("insertion")], ("ig", "idgi")))


def _short(method: str, score: tuple[str, str], *counts: int) -> list[Column]:
    return [Column(TRUNCATED, method, *score, count) for count in counts]


def _trials(stored: Stored) -> list[Trial]:
    """How much more a method changes over the steps on paths that stop short than on whole ones."""
    return measured(
        (
            stored.combined([*at(method, score, *_ENDS), *_short(method, score, *_ENDS)], changes),
            conditions(score, method),
        )
        for score, method in _MEASURED
    )


def _numbers(stored: Stored) -> list[Any]:
    rows = []
    for score, method in _MEASURED:
        values = stored.together([*at(method, score, *COARSE), *_short(method, score, *COARSE)]) or []
        for kind, some, columns in (("whole", values[:4], at), ("stops short", values[4:], _short)):
            if some:
                cells = (f"{value.value:.3f}" for value in some)
                far = shown(stored.combined(columns(method, score, *_ENDS), change))
                rows.append([SCORES[score], label(method), kind, str(some[0].n), *cells, far])
    heads = ["Score", "Method", "Path", "n", *map(str, COARSE), "change"]
    name = {"Change": "{score}, {ranking}, {method}"}
    differences = trial_table(_trials(stored), name, "stopping short less whole", "more", "less", has_n=False)
    return [table(heads, rows), differences]


CLAIM = Claim("claim-truncated", _trials, _numbers, facts={"whole": RUN, "short": TRUNCATED})
