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


_RANK, _SIZE = "rank correlation", "size of two classes' correlation"
_LAST = "the image's change in the last tenth"
_BY_SIGN, _BY_MAGNITUDE = "insertion by sign", "insertion by magnitude"
CONTROLS: dict[str, Sequence[Control]] = {
    "insertion": _maps(_BY_SIGN, _BY_MAGNITUDE),
    "information": _maps("SIC, entropy", best="map found by search (insertion)"),
    "stability": [
        Control("the same map twice", _RANK, POSITIVE, _stored(_RANK, "same")),
        Control("a map and a shuffled one", _RANK, NULL, _stored(_RANK, "shuffled")),
        Control("a map and a shuffled one", _SIZE, POSITIVE, _stored(_SIZE, "shuffled")),
        Control("one map for both classes", _SIZE, NULL, _stored(_SIZE, "same")),
    ],
    "rounding": [
        Control("Guided IG, run again", "distance", NULL, lambda s: guided.by_image(s, "guided-ig", "repeated")),
        Control("IG, run again", formats.MEASURE, NULL, lambda s: formats.change(s, "ig", "float32 again")),
        Control("IG, pixels shuffled", formats.MEASURE, POSITIVE, lambda s: formats.change(s, "ig", "shuffled")),
    ],
    "steps": [
        Control("from a shuffled map to one found by search", "insertion gain", POSITIVE, _stored(_BY_SIGN, "searched", "shuffled")),
        Control("from a random order to a shuffled map", "insertion gain", NULL, _stored(_BY_SIGN, "shuffled", "random")),
    ],
    "degradation": _maps("degradation area"),
    "paths": [
        Control("a path that jumps at its end", _LAST, POSITIVE, lambda s: paths.shares(s, "image_share")[paths.JUMP, 10]),
        Control("the straight path", _LAST, NULL, lambda s: paths.shares(s, "image_share")["straight", 10]),
    ],
    "patterns": [
        Control("a map of noise", "size of the correlation, layers random", POSITIVE, _stored(_SIZE, "shuffled")),
        Control("a map that ignores the weights", "size of the correlation, layers random", NULL, _stored(_SIZE, "same")),
        Control("IG", "the farthest twin's distance", POSITIVE, lambda s: invariance.farthest(s, "ig")),
    ],
}
