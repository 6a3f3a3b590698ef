"""What the PGIG paper leaves open: implementation invariance."""

from itertools import product
from typing import Any

from captum_ext.evaluation import Estimate
from evidence.claim import Claim
from evidence.stored import Stored, over_images
from evidence.verdicts import Trial, measured, of_all
from evidence.words import label, outcome_word, shown, table

INVARIANCE = "invariance"
METHODS = ("ig", "patternnet", "patternattribution", "pgig")
_JUDGED = ("patternattribution", "pgig")
EQUAL = 1e-6


def distance(stored: Stored, network: str, twin: str, method: str) -> Estimate | None:
    """The median over the images of how far the twin's map is, over the map's norm."""
    rows = stored.frame(INVARIANCE)
    if rows is None:
        return None
    some = rows[(rows["network"] == network) & (rows["twin"] == twin) & (rows["method"] == method)]
    return over_images(some["relative_l2"], "median") if len(some) else None


def _twins(stored: Stored) -> list[str]:
    rows = stored.frame(INVARIANCE)
    return [] if rows is None else list(rows["twin"].unique())


def _trials(stored: Stored) -> list[Trial]:
    pairs = product(_twins(stored), _JUDGED)
    distances = ((distance(stored, "mnist", twin, m), {"twin": twin, "method": label(m)}) for twin, m in pairs)
    return measured(distances, -1, EQUAL)


def _numbers(stored: Stored) -> list[Any]:
    rows = []
    for network, twin in product(("mnist", "toy"), _twins(stored)):
        cells = [distance(stored, network, twin, method) for method in METHODS]
        present = [cell for cell in cells if cell is not None]
        if present:
            outcomes = dict.fromkeys(Trial(cell, sign=-1, bound=EQUAL).outcome for cell in cells[2:] if cell)
            words = " and ".join(outcome_word(outcome, "equal", "not equal") for outcome in outcomes)
            verdict = words if network == "mnist" else "-"
            rows.append([network, twin, str(present[0].n), *map(shown, cells), verdict])
    return [table(["Network", "Twin", "n", *map(label, METHODS), "PA and PGIG"], rows)]


CLAIM = Claim("claim-invariance", _trials, _numbers, of_all, {"equal": f"{EQUAL:g}"})
