"""Controls: what each question's measure gives for a map that it must score well, and for one without information."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from evidence.claims import formats, guided, invariance, paths
from evidence.stored import Stored

NAME = "controls"
POSITIVE, NULL = "positive control", "null control"


class Control(NamedTuple):
    """One number per image, as a primary has, whose mean is known before it is measured."""

    pair: str
    measure: str
    role: str
    values: Callable[[Stored], Any]


def _stored(measure: str, control: str, other: str = "") -> Callable[[Stored], Any]:
    def values(stored: Stored) -> Any:
        rows = stored.frame(NAME)
        if rows is None:
            return pd.Series(dtype=float)
        wide = rows[rows["measure"] == measure].pivot(index="image", columns="control", values="value")
        return (wide[control] - wide[other] if other else wide[control]).dropna()

    return values


def _maps(*measures: str, best: str = "map found by search") -> list[Control]:
    """A map found by a search for the score itself, and a shuffled one, each beside a random order."""
    return [
        Control(f"{title} minus Random", measure, role, _stored(measure, control, "random"))
        for measure in measures
        for title, role, control in ((best, POSITIVE, "searched"), ("shuffled map", NULL, "shuffled"))
    ]


def _share(path: str) -> Callable[[Stored], Any]:
    return lambda stored: paths.shares(stored, "image_share")[path, 10]


def _change(of: str) -> Callable[[Stored], Any]:
    return lambda stored: formats.change(stored, "ig", of)


_SIGN, _RANK, _SIZE = "insertion by sign", "rank correlation", "size of two classes' correlation"
_LEFT, _LAST = "size of the correlation, layers random", "the image's change in the last tenth"
CONTROLS: dict[str, Sequence[Control]] = {
    "insertion": _maps(_SIGN, "insertion by magnitude"),
    "information": _maps("SIC, entropy", best="map found by search (insertion)"),
    "degradation": _maps("degradation area"),
    "stability": [
        Control("the same map twice", _RANK, POSITIVE, _stored(_RANK, "same")),
        Control("a map and a shuffled one", _RANK, NULL, _stored(_RANK, "shuffled")),
        Control("a map and a shuffled one", _SIZE, POSITIVE, _stored(_SIZE, "shuffled")),
        Control("one map for both classes", _SIZE, NULL, _stored(_SIZE, "same")),
    ],
    "rounding": [
        Control("Guided IG, run again", "distance", NULL, lambda s: guided.by_image(s, "guided-ig", "repeated")),
        Control("IG, run again", formats.MEASURE, NULL, _change("float32 again")),
        Control("IG, pixels shuffled", formats.MEASURE, POSITIVE, _change("shuffled")),
    ],
    "steps": [
        Control("from a shuffled map to one found", "insertion gain", POSITIVE, _stored(_SIGN, "searched", "shuffled")),
        Control("from a random to a shuffled map", "insertion gain", NULL, _stored(_SIGN, "shuffled", "random")),
    ],
    "paths": [
        Control("a path that jumps at its end", _LAST, POSITIVE, _share(paths.JUMP)),
        Control("the straight path", _LAST, NULL, _share("straight")),
    ],
    "patterns": [
        Control("a map of noise", _LEFT, POSITIVE, _stored(_SIZE, "shuffled")),
        Control("a map that ignores the weights", _LEFT, NULL, _stored(_SIZE, "same")),
        Control("IG", "the farthest twin's distance", POSITIVE, lambda s: invariance.farthest(s, "ig")),
    ],
}
