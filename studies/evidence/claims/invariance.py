"""What the PGIG paper leaves open: implementation invariance."""

from __future__ import annotations

from captum_ext.evaluation.reporting.estimates import Estimate
from evidence.claim import Claim
from evidence.papers import PGIG
from evidence.stored import Stored, over_images
from evidence.verdicts import Trial, of_all
from evidence.words import label, said, shown, table

INVARIANCE = "invariance"
METHODS = ("ig", "patternnet", "patternattribution", "pgig")
_JUDGED = ("patternattribution", "pgig")
EQUAL = 1e-6


def distance(stored: Stored, network: str, twin: str, method: str) -> Estimate | None:
    """The median over the images of how far the twin's map is, over the map's norm."""
    rows = stored.rows(INVARIANCE)
    if rows is None:
        return None
    some = rows[(rows["network"] == network) & (rows["twin"] == twin) & (rows["method"] == method)]
    return over_images(some["relative_l2"], "median") if len(some) else None


def _twins(stored: Stored) -> list[str]:
    rows = stored.rows(INVARIANCE)
    return [] if rows is None else list(dict.fromkeys(rows["twin"]))


def _trials(stored: Stored) -> list[Trial]:
    found = []
    for twin in _twins(stored):
        for method in _JUDGED:
            far = distance(stored, "mnist", twin, method)
            if far is not None:
                found.append(Trial(far, {"twin": twin, "method": label(method)}, -1, EQUAL))
    return found


def _numbers(stored: Stored) -> list[str]:
    rows = []
    for network in ("mnist", "toy"):
        for twin in _twins(stored):
            cells = [distance(stored, network, twin, method) for method in METHODS]
            given = [cell for cell in cells if cell is not None]
            if given:
                judged = [Trial(cell, sign=-1, bound=EQUAL).outcome for cell in cells[2:] if cell is not None]
                alike = " and ".join(said(outcome, "equal", "not equal") for outcome in dict.fromkeys(judged))
                verdict = alike if network == "mnist" else "-"
                rows.append([network, twin, str(given[0].n), *map(shown, cells), verdict])
    return [table(["Network", "Twin", "n", *map(label, METHODS), "PA and PGIG"], rows)]


def _run(stored: Stored) -> str:
    given = stored.settings(INVARIANCE)
    added = given.get("noise added to them")
    noise = f" with noise of {added}, or maxima would be equal and rounding pick one" if added else ""
    return (
        f"A network and twins of it that compute the same function, {given['dtype']}, {given['steps']} steps from "
        f"{given['baseline']}; the small network on MNIST ({given['digits']} test digits{noise}), and Fig. 2's, whose "
        "points are one map and which is not judged. Patterns of each are fitted on the same data. Medians of the "
        f"L2 distance of the maps over the map's norm; maps are equal below {EQUAL:g}. IG, which is invariant, is the "
        "control. The claim has no exceptions, so one twin with another map refutes it."
    )


CLAIM = Claim(
    "claim-invariance",
    "Are PatternAttribution and PGIG implementation invariant?",
    "“Implementation Invariance ... demands that two networks that are functionally equivalent - regardless "
    "of implementation - should always yield identical attribution maps. ... Regarding implementation "
    "invariance, we leave it to future work to prove or disprove this property for PGIG.”",
    f"{PGIG}, Sections 2.1 and 4.1",
    _run,
    _trials,
    _numbers,
    rule=of_all,
)
