"""The study's 4.5.2: Guided IG's maps depend on how numbers are rounded."""

from typing import Any

import pandas as pd

from captum_ext.evaluation import Estimate
from evidence.claim import Claim, Group
from evidence.claims import formats
from evidence.stored import Stored, over_images
from evidence.words import pivot

NAME = "guided_instability"
METHODS = ("ig", "idgi", "guided-ig", "guided-ig+idgi")
NOISES = ("noise 1e-06", "noise 1e-05", "noise 1e-04", "noise 1e-03")
THREADS = "two threads"
CHANGES = {
    **{noise: f"gradients' {noise}" for noise in NOISES},
    "alone": "one image per pass instead of eight",
    THREADS: "two threads instead of one",
    "repeated": "nothing: run again",
}
LEAST = 1e-8  # maps that are equal bit for bit lie here, below everything


def by_image(stored: Stored, method: str, change: str, column: str = "relative_l2") -> Any:
    """How far each image's map is from that before a change, as a Series; empty if it was not run."""
    rows = stored.frame(NAME)
    if rows is None:
        return pd.Series(dtype=float)
    return rows[(rows["method"] == method) & (rows["change"] == change)].set_index("image")[column]


def distance(stored: Stored, method: str, change: str, column: str = "relative_l2") -> Estimate | None:
    """The median over the images."""
    values = by_image(stored, method, change, column)
    return over_images(values, "median") if len(values) else None


def _numbers(stored: Stored) -> list[Any]:
    rows = stored.frame(NAME)
    rows = rows.assign(change=rows["change"].map(CHANGES))
    tables = []
    for column, title in (("relative_l2", "The distance over the map's norm"), ("spearman", "The rank correlation")):
        tables += [f"{title}, medians:", pivot(rows, ["change"], "method", column)]
    return tables


GROUP = Group(
    "rounding",
    "Does rounding change maps, and the ranking of methods?",
    [Claim("claim-guided", _numbers, runs=(NAME,)), formats.CLAIM],
)
