"""The study's 4.5.2: Guided IG's maps depend on how numbers are rounded."""

from typing import Any

from captum_ext.evaluation import Estimate
from evidence.claim import Claim, Group
from evidence.stored import Stored, over_images
from evidence.verdicts import Trial, measured
from evidence.words import label, shown, table

NAME = "guided_instability"
METHODS = ("ig", "idgi", "guided-ig", "guided-ig+idgi")
NOISES = ("noise 1e-06", "noise 1e-05", "noise 1e-04", "noise 1e-03")
THREADS = "two threads"
CHANGES = {
    **{noise: f"gradients' {noise}" for noise in NOISES},
    "alone": "one image a pass instead of eight",
    THREADS: "two threads instead of one",
    "repeated": "nothing: run again",
}
BOUND = 0.1


def _values(stored: Stored, method: str, change: str, column: str) -> Any:
    rows = stored.frame(NAME)
    return [] if rows is None else rows[(rows["method"] == method) & (rows["change"] == change)][column]


def distance(stored: Stored, method: str, change: str, column: str = "relative_l2") -> Estimate | None:
    """The median over the images of how far maps are from those before a change."""
    values = _values(stored, method, change, column)
    return over_images(values, "median") if len(values) else None


def _trials(stored: Stored) -> list[Trial]:
    """Guided IG's own; IDGI on its path is in the tables."""
    changes = [change for change in CHANGES if change != "repeated"]
    return measured(((distance(stored, "guided-ig", change), {"change": change}) for change in changes), bound=BOUND)


def _numbers(stored: Stored) -> list[Any]:
    tables = []
    for column, title in (("relative_l2", "Distance over the map's norm"), ("spearman", "Rank correlation")):
        rows = []
        for change, words in CHANGES.items():
            cells = [distance(stored, method, change, column) for method in METHODS]
            if any(cells):
                rows.append([words, str(max(cell.n for cell in cells if cell)), *map(shown, cells)])
        tables.append(table([title, "n", *map(label, METHODS)], rows))
    rows = []
    for change, words in CHANGES.items():
        moves = [_values(stored, method, change, "relative_l2") for method in METHODS]
        if len(moves[0]):
            rows.append([words, str(len(moves[0])), *(f"{100 * (values > BOUND).mean():.0f} %" for values in moves)])
    return [*tables, table([f"Images whose map moves by more than {BOUND}", "n", *map(label, METHODS)], rows)]


GROUP = Group(
    "Guided IG: do its maps depend on rounding?",
    [Claim("claim-guided", _trials, _numbers, facts={"bound": BOUND})],
)
