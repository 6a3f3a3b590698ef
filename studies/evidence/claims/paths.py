"""The study's Fig. 5: where on its way Blur IG's path changes."""

from itertools import product
from typing import Any

from captum_ext.evaluation import Estimate
from evidence.claim import Claim, Group
from evidence.stored import Stored, over_images
from evidence.verdicts import Trial, measured
from evidence.words import compared, shown, table

NAME = "blur_path"
BLURS = ("blur", "blur, reflected border")
PATHS = ("straight", *BLURS)
SHARES = {"image_share": "the image's way", "variation_share": "F's way, up and down", "change_share": "F's change"}
_JUDGED = ("image_share", "variation_share")
HALF = 0.5


def share(stored: Stored, path: str, column: str, tenth: int) -> Estimate | None:
    """A tenth's share: the median over the images."""
    rows = stored.frame(NAME)
    if rows is None:
        return None
    return over_images(rows[(rows["path"] == path) & (rows["tenth"] == tenth)][column], "median")


def _trials(stored: Stored) -> list[Trial]:
    shares = (
        (share(stored, path, column, 10), {"measure": SHARES[column], "path": path})
        for column, path in product(_JUDGED, BLURS)
    )
    return measured(shares, bound=HALF)


def _numbers(stored: Stored) -> list[Any]:
    rows = []
    for (column, title), path in product(SHARES.items(), PATHS):
        first, before, last = (share(stored, path, column, tenth) for tenth in (1, 9, 10))
        rows.append([title, path, str(last.n if last else "-"), shown(first), shown(before), shown(last)])
    return [table(["Share of", "Path", "n", "first tenth", "ninth tenth", "last tenth"], rows)]


def _largest(stored: Stored) -> Any:
    """By image and path, the largest tenth's share of F's way; ``None`` if it was not run."""
    rows = stored.frame(NAME)
    return None if rows is None else rows.pivot_table("variation_share", "image", "path", "max")


def _steady(stored: Stored) -> list[Trial]:
    largest = _largest(stored)
    paths = () if largest is None else BLURS
    return [Trial(over_images(largest[path] - largest["straight"]), {"path": path}) for path in paths]


def _steady_numbers(stored: Stored) -> list[Any]:
    largest, less = _largest(stored), [compared(trial, "less steady", "steadier") for trial in _steady(stored)]
    rows = [[path, shown(over_images(largest[path])), text] for path, text in zip(PATHS, ["-", *less], strict=True)]
    return [table(["Path", "largest tenth's share of F's way, mean", "less the straight path's"], rows)]


GROUP = Group(
    "Where the paths change",
    [Claim("claim-blur-path", _trials, _numbers), Claim("claim-steady", _steady, _steady_numbers)],
)
