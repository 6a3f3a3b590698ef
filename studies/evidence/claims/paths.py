"""The study's Fig. 5: where on its way Blur IG's path changes."""

from __future__ import annotations

from captum_ext.evaluation.reporting.estimates import Estimate
from evidence.claim import Claim, Figure, Group
from evidence.papers import STUDY
from evidence.stored import Stored, over_images
from evidence.verdicts import Trial
from evidence.words import said, shown, signed, table

NAME = "blur_path"
BLURS = ("blur", "blur, reflected border")
PATHS = ("straight", *BLURS)
SHARES = {"image_share": "the image's way", "variation_share": "F's way, up and down", "change_share": "F's change"}
_JUDGED = ("image_share", "variation_share")
HALF = 0.5


def share(stored: Stored, path: str, column: str, tenth: int) -> Estimate | None:
    """A tenth's share: the median over the images."""
    rows = stored.rows(NAME)
    if rows is None:
        return None
    return over_images(rows[(rows["path"] == path) & (rows["tenth"] == tenth)][column], "median")


def _trials(stored: Stored) -> list[Trial]:
    found = []
    for column in _JUDGED:
        for path in BLURS:
            last = share(stored, path, column, 10)
            if last is not None:
                found.append(Trial(last, {"measure": SHARES[column], "path": path}, bound=HALF))
    return found


def _numbers(stored: Stored) -> list[str]:
    rows = []
    for column, title in SHARES.items():
        for path in PATHS:
            last, before, first = (share(stored, path, column, tenth) for tenth in (10, 9, 1))
            rows.append([title, path, str(last.n if last else "-"), shown(first), shown(before), shown(last)])
    return [table(["Share of", "Path", "n", "first tenth", "ninth tenth", "last tenth"], rows)]


def _largest(stored: Stored, path: str) -> dict[str, float]:
    """By image, the largest tenth's share of F's way."""
    rows = stored.rows(NAME)
    if rows is None:
        return {}
    found = rows[rows["path"] == path].groupby("image")["variation_share"].max()
    return {str(image): float(value) for image, value in found.items()}


def _steady(stored: Stored) -> list[Trial]:
    straight = _largest(stored, "straight")
    found = []
    for path in BLURS:
        blur = _largest(stored, path)
        if blur:
            found.append(Trial(over_images(blur[image] - straight[image] for image in straight), {"path": path}))
    return found


def _steady_numbers(stored: Stored) -> list[str]:
    own = [["straight", shown(over_images(_largest(stored, "straight").values())), "-"]]
    for trial, path in zip(_steady(stored), BLURS, strict=True):
        value = shown(over_images(_largest(stored, path).values()))
        own.append([path, value, f"{signed(trial.found)} {said(trial.outcome, 'less steady', 'steadier')}"])
    return [table(["Path", "largest tenth's share of F's way, mean", "less the straight path's"], own)]


def _run(stored: Stored) -> str:
    given = stored.settings(NAME)
    return (
        f"{given['model']}, {given['images']} photographs, {given['steps']} steps, sigma {given['max_sigma']:g}; F is "
        f"{given['F']}. The image's way is the sum of the L2 norms of its steps, F's way the sum of |F's change|."
    )


GROUP = Group(
    "Where the paths change",
    [
        Claim(
            "claim-blur-path",
            "Blur IG's path changes mostly at its end (Fig. 5)",
            "“As shown in Figure 5, the variation in the image for BlurIG is minimal for most of the path, with "
            "significant sharpening occurring only in the final 10% of the steps.”",
            f"{STUDY}, 4.5.1 and Fig. 5",
            lambda stored: (
                f"{_run(stored)} A comparison holds if more than half is in the last tenth; medians over images."
            ),
            _trials,
            _numbers,
            (
                Figure(
                    "paths",
                    "How much of the image's way, and of F's, is done at each point of the path: medians with 95 % "
                    "bands.",
                ),
            ),
        ),
        Claim(
            "claim-steady",
            "On the straight path F changes more steadily",
            "“In contrast, the image brightness increases uniformly along the IG path, indicating a more steady "
            "change in [F].”",
            f"{STUDY}, 4.5.1",
            _run,
            _steady,
            _steady_numbers,
            remark="In which tenth the straight path's change lies is in the table before.",
        ),
    ],
)
