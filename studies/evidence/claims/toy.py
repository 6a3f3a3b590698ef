"""The PGIG paper's Fig. 2: two stress tests, a plateau and a distractor."""

from functools import partial
from typing import Any

from captum_ext.evaluation import Estimate
from evidence.claim import Claim
from evidence.stored import Stored, over_images, share
from evidence.words import label, shown, table

NAME = "toy"
METHODS = ("ig", "patternattribution", "pgig")
CONVENTIONS = {
    "preactivation": "E[y] of pre-activations (nn-patterns)",
    "rectified": "E[y] of outputs (the paper's code)",
}
BOUND = 0.05  # of all that is attributed; and of y = 1 on the plateau
START = 1.005


def column(rows: Any, method: str, convention: str, part: str) -> Any:
    """Attributions of each of the 400 points; IG's have no convention."""
    return rows[f"{method if method == 'ig' else f'{method}:{convention}'}:{part}"]


def distractor(rows: Any, method: str, convention: str) -> Estimate:
    """The distractor's share of all magnitude that is attributed."""
    own, other = (column(rows, method, convention, part).abs() for part in ("distractor", "signal"))
    return share(own, own + other)


def plateau(rows: Any, method: str, convention: str) -> Estimate:
    """What the signal gets where y = 1 and no gradient is left: the mean."""
    return over_images(column(rows, method, convention, "signal")[rows["z"] > START])


def distance(rows: Any, method: str, convention: str) -> Estimate:
    """How far the signal's attribution is from y = z before the plateau: the mean magnitude."""
    return over_images((column(rows, method, convention, "signal") - rows["z"]).abs()[rows["z"] <= START])


def _conventions(method: str) -> list[str]:
    return list(CONVENTIONS)[: 1 if method == "ig" else None]


def agrees(method: str, stored: Stored) -> list[bool]:
    """Whether the method is where the paper puts it, above (1) or below (-1) the bound, test by test."""
    rows = stored.frame(NAME)
    tests = tuple(zip((distractor, plateau), SIGNS[method], strict=True))
    return [
        sign * (estimate(rows, method, convention).value - BOUND) > 0
        for convention in (_conventions(method) if rows is not None else [])
        for estimate, sign in tests
    ]


def _numbers(method: str, stored: Stored) -> list[Any]:
    rows = stored.frame(NAME)
    measures = (distractor, plateau, distance)
    lines = [
        [
            label(method),
            "-" if method == "ig" else CONVENTIONS[kind],
            *(shown(measure(rows, method, kind)) for measure in measures),
        ]
        for kind in _conventions(method)
    ]
    heads = ["Method", "Patterns", "distractor's share", "signal on the plateau (y = 1)", "before it: distance from y"]
    return [table(heads, lines)]


SIGNS = {"ig": (1, 1), "patternattribution": (-1, -1), "pgig": (-1, 1)}
CLAIMS = [
    Claim(f"claim-toy-{name}", partial(_numbers, method), {"bound": BOUND, "agree": partial(agrees, method)}, (NAME,))
    for name, method in (("ig", "ig"), ("pa", "patternattribution"), ("pgig", "pgig"))
]
