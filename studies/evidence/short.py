"""The page in a few sentences, whose numbers and verbs come from the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from captum_ext.evaluation.reporting.estimates import Estimate
from evidence.claims import degradation, guided, idgi, stepped
from evidence.stored import Column, Stored
from evidence.verdicts import HOLDS, REVERSED, Trial
from evidence.words import MODELS, label, shown, signed


class Verbs(NamedTuple):
    """What is said of a difference."""

    above: str
    below: str
    open: str

    def of(self, difference: Estimate) -> str:
        """By its interval."""
        return {HOLDS: self.above, REVERSED: self.below}.get(Trial(difference).outcome, self.open)


_BETTER = Verbs("better than", "worse than", "not told apart from")


def _insertion(method: str, ranking: str) -> Column:
    return Column(idgi.RUNS[0], method, "insertion", ranking)


def _ranking(stored: Stored) -> str | None:
    """Integrated Gradients against chance, and against IDGI, by either ranking."""
    told, n = [], 0
    for ranking, words in (("signed", "by sign"), ("absolute", "by magnitude")):
        own, chance = (stored.value(_insertion(method, ranking)) for method in ("ig", "random"))
        to_chance = stored.difference(_insertion("ig", ranking), _insertion("random", ranking))
        to_idgi = stored.difference(_insertion("idgi", ranking), _insertion("ig", ranking))
        if own is None or chance is None or to_chance is None or to_idgi is None:
            return None
        n = to_idgi.n
        told.append(
            f"ranked {words}, IG is {_BETTER.of(to_chance)} a random order ({own.value:.3f} and {chance.value:.3f}), "
            f"and IDGI is {_BETTER.of(to_idgi)} IG ({signed(to_idgi)})"
        )
    return f"**Rankings.** In insertion (Lite0, n = {n}), " + "; ".join(told) + "."


def _pgig(stored: Stored) -> str | None:
    """PGIG's place among the eleven, and against its parents."""
    told = []
    for run in degradation.RUNS:
        areas = {m: stored.value(degradation.column(run, m, "paper")) for m in degradation.ELEVEN}
        known = sorted((value.value, method) for method, value in areas.items() if value is not None)
        if not any(method == "pgig" for _, method in known):
            continue
        place = [method for _, method in known].index("pgig") + 1
        decided = [
            Trial(change, sign=-1).outcome
            for _, rival in known
            if rival != "pgig"
            and (change := stored.difference(*(degradation.column(run, m, "paper") for m in ("pgig", rival))))
        ]
        told.append(
            f"on the {MODELS[run]} {place} of {len(known)} (steeper than {decided.count(HOLDS)}, flatter than "
            f"{decided.count(REVERSED)}, the rest undecided); the lowest area has {label(known[0][1])}"
        )
    return f"**PGIG's place** in the degradation order, by the paper's protocol: {'; '.join(told)}." if told else None


def _stability(stored: Stored) -> str | None:
    """IDGI less IG by the three normalisations."""
    verbs = Verbs("more stable than", "less stable than", "not told apart from")
    told = []
    for variant, words in (("signed", "by the signed sum"), ("absolute", "by magnitudes"), ("rank", "by rank")):
        pair = [Column("stability-lite0", method, "stability", variant) for method in ("idgi", "ig")]
        change = stored.difference(*pair)
        if change is None:
            return None
        told.append(f"{words} IDGI is {verbs.of(change)} IG ({signed(change)})")
    return f"**Stability** under JPEG compression: {', '.join(told)}."


def _guided(stored: Stored) -> str | None:
    """What rounding does to the maps."""
    told, n = [], 0
    for change, words in (
        (guided.THREADS, "two threads instead of one"),
        (guided.NOISES[0], "gradients' noise of 1e-6"),
    ):
        own, control = (guided.distance(stored, method, change) for method in ("guided-ig", "ig"))
        if own is None or control is None:
            return None
        told.append(f"by {words} Guided IG's maps move by {shown(own)} of their norm, IG's by {shown(control)}")
        n = own.n
    return f"**Guided IG and rounding** (medians, n = {n}): {'; '.join(told)}."


def _steps(stored: Stored) -> str | None:
    """From 32 to 128 steps."""
    told, n = [], 0
    for method in ("ig", "idgi", "blur-ig", "blur-ig+idgi"):
        change = stored.difference(*stepped.at(method, ("insertion", "signed"), 128, 32))
        if change is None:
            return None
        told.append(f"{label(method)} {signed(change)}")
        n = change.n
    return f"**Steps.** From 32 to 128 the insertion area (signed, n = {n}) changes: {', '.join(told)}."


_EACH: tuple[Callable[[Stored], str | None], ...] = (_ranking, _pgig, _stability, _guided, _steps)


def parts(stored: Stored) -> list[str]:
    """A list of what there is."""
    found = [text for each in _EACH if (text := each(stored)) is not None]
    return ["## In short", "\n".join(f"- {text}" for text in found)] if found else []
