"""The library's defaults, in the light of the results: each is kept or questioned by a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from evidence.claims import guided, stepped
from evidence.claims.idgi import INSERTION, SIZE, trials
from evidence.stored import Column, Stored
from evidence.verdicts import HOLDS, REVERSED, Outcome, Trial
from evidence.words import label, shown, signed, table


class Default(NamedTuple):
    """What is the default, what the results say, and what follows."""

    what: str
    seen: str
    follows: str


def _steps(stored: Stored) -> list[Default]:
    found = []
    for method in ("ig", "idgi", "blur-ig", "blur-ig+idgi"):
        late = stored.difference(*stepped.at(method, ("insertion", "signed"), 128, 32))
        if late is not None:
            gains = Trial(late).outcome == HOLDS
            follows = 'take more where the price allows, or `n_steps="auto"`' if gains else "kept"
            seen = f"insertion (signed) changes by {signed(late)} from 32 to 128 steps, n = {late.n}"
            found.append(Default(f"`n_steps=50`, {label(method)}", seen, follows))
    return found


def _ranking(stored: Stored) -> list[Default]:
    """Whether any comparison of the tables depends on the ranking."""
    found = trials([*INSERTION, *SIZE], stored)
    by_ranking: dict[str, dict[tuple[str, ...], Outcome]] = {"signed": {}, "absolute": {}}
    for trial in found:
        where = trial.conditions
        by_ranking[where["ranking"]][where["score"], where["model"], where["method"]] = trial.outcome
    signs, sizes = by_ranking.values()
    pairs = [(outcome, sizes[where]) for where, outcome in signs.items() if where in sizes]
    if not pairs:
        return []
    differ, turned = sum(a != b for a, b in pairs), sum({a, b} == {HOLDS, REVERSED} for a, b in pairs)
    seen = (
        f"{differ} of {len(pairs)} comparisons of IDGI with its base come out otherwise by the other ranking, "
        f"{turned} of them reversed"
    )
    chance = [Column("study-lite0", method, "insertion", "signed") for method in ("ig", "random")]
    to_chance = stored.difference(*chance)
    follows = "kept, for it is the study's; report both rankings" if differ else "kept"
    if to_chance is not None and Trial(to_chance).outcome != HOLDS:
        seen += f"; by sign IG's insertion less a random order's is {signed(to_chance)}"
        follows = "questioned: IG is not shown to beat chance by it. Kept for the papers' sake; report both rankings"
    return [Default('`ranking="signed"` of `insertion`', seen, follows)]


def _normalisation(stored: Stored) -> list[Default]:
    pairs = [
        [Column("stability-lite0", m, "stability", variant) for m in ("idgi", "ig")]
        for variant in ("signed", "absolute")
    ]
    by_signed, by_absolute = (stored.difference(*pair) for pair in pairs)
    if by_signed is None or by_absolute is None:
        return []
    seen = (
        f"IDGI less IG: {signed(by_signed)} by the signed sum, {signed(by_absolute)} by the sum of magnitudes, n = "
        f"{by_signed.n}"
    )
    same = Trial(by_signed).outcome == Trial(by_absolute).outcome
    return [
        Default(
            "stability's three normalisations, all reported",
            seen,
            "kept: one would do" if same else "kept: they disagree",
        )
    ]


def _guided(stored: Stored) -> list[Default]:
    far = guided.distance(stored, "guided-ig", guided.THREADS)
    if far is None:
        return []
    follows = "kept as published, with a warning" if Trial(far, bound=guided.BOUND).outcome == HOLDS else "kept"
    return [
        Default(
            "Guided IG's `fraction=0.25, max_dist=0.02`",
            f"two threads instead of one move the map by {shown(far)}, n = {far.n}",
            follows,
        )
    ]


_EACH: tuple[Callable[[Stored], list[Default]], ...] = (_steps, _ranking, _normalisation, _guided)


def parts(stored: Stored) -> list[str]:
    """The table."""
    found = [default for each in _EACH for default in each(stored)]
    if not found:
        return []
    return ["## The defaults, revisited", table(["Default", "What was seen", "What follows"], found)]
