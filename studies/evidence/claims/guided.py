"""The study's 4.5.2: Guided IG's maps depend on how numbers are rounded."""

from __future__ import annotations

from captum_ext.evaluation.reporting.estimates import Estimate
from evidence.claim import Claim, Figure, Group
from evidence.papers import STUDY
from evidence.stored import Stored, over_images
from evidence.verdicts import Trial
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


def distance(stored: Stored, method: str, change: str, column: str = "relative_l2") -> Estimate | None:
    """The median over the images of how far maps are from those before a change."""
    rows = stored.rows(NAME)
    some = [] if rows is None else rows[(rows["method"] == method) & (rows["change"] == change)][column].tolist()
    return over_images(some, "median") if some else None


def _trials(stored: Stored) -> list[Trial]:
    """Guided IG's own; IDGI on its path is in the tables."""
    found = {change: distance(stored, "guided-ig", change) for change in CHANGES if change != "repeated"}
    return [Trial(far, {"change": change}, bound=BOUND) for change, far in found.items() if far is not None]


def _beyond(stored: Stored) -> list[list[str]]:
    """In how many of the images a map moves by more than the bound."""
    rows = stored.rows(NAME)
    cells = []
    for change, words in CHANGES.items():
        some = None if rows is None else rows[rows["change"] == change]
        if some is not None and len(some):
            shares = [over_images(some[some["method"] == m]["relative_l2"] > BOUND) for m in METHODS]
            cells.append([words, str(shares[0].n), *(f"{100 * share.value:.0f} %" for share in shares)])
    return cells


def _numbers(stored: Stored) -> list[str]:
    parts = []
    for column, title in (("relative_l2", "Distance over the map's norm"), ("spearman", "Rank correlation")):
        rows = []
        for change, words in CHANGES.items():
            cells = [distance(stored, method, change, column) for method in METHODS]
            if any(cells):
                rows.append([words, str(max(cell.n for cell in cells if cell)), *map(shown, cells)])
        parts.append(table([title, "n", *map(label, METHODS)], rows))
    return [*parts, table([f"Images whose map moves by more than {BOUND}", "n", *map(label, METHODS)], _beyond(stored))]


def _run(stored: Stored) -> str:
    given = stored.settings(NAME)
    return (
        f"{given['model']}, {given['images']} photographs, {given['steps']} steps, from {given['baseline']}. Maps "
        f"before and after a change that should not matter: {given['noise']}; other batches; other threads. The "
        "distance is the L2 norm of the difference over that of the map; medians over the images. A comparison "
        f"holds if Guided IG's distance is above {BOUND}. IG and IDGI on the straight path are the control."
    )


GROUP = Group(
    "Guided IG: do its maps depend on rounding?",
    [
        Claim(
            "claim-guided",
            "Guided IG's maps change with what should not matter",
            "“During our early experimental stage, we observed that, visually, the saliency maps obtained for GIG "
            "were starkly different when computed on GPU and CPU. This phenomenon is undesirable as it makes the "
            "attribution method unreliable.”",
            f"{STUDY}, 4.5.2",
            _run,
            _trials,
            _numbers,
            (
                Figure(
                    "guided",
                    "How far maps move as gradients get a little noise, with 95 % bands; and by another batch "
                    "shape and number of threads.",
                ),
            ),
        )
    ],
)
