"""The PGIG paper's Fig. 2: two stress tests, a plateau and a distractor."""

from functools import partial
from typing import Any

from captum_ext.evaluation import Estimate
from evidence.claim import Claim, Group
from evidence.stored import Stored, over_images, share
from evidence.verdicts import Trial
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


def _trials(method: str, at_distractor: int, at_plateau: int, stored: Stored) -> list[Trial]:
    """The signs say on which side of the bound the paper puts the method."""
    rows = stored.frame(NAME)
    return [
        Trial(estimate(rows, method, convention), {"test": test, "patterns": convention}, sign, BOUND)
        for convention in (_conventions(method) if rows is not None else [])
        for test, estimate, sign in (("distractor", distractor, at_distractor), ("plateau", plateau, at_plateau))
    ]


def _numbers(method: str, stored: Stored) -> list[Any]:
    rows = stored.frame(NAME)
    lines = [
        [
            label(method),
            "-" if method == "ig" else CONVENTIONS[convention],
            *(shown(estimate(rows, method, convention)) for estimate in (distractor, plateau, distance)),
        ]
        for convention in _conventions(method)
    ]
    heads = ["Method", "Patterns", "distractor's share", "signal on the plateau (y = 1)", "before it: distance from y"]
    return [table(heads, lines)]


GROUP = Group(
    "Two stress tests: the plateau and the distractor",
    [
        Claim(name, partial(_trials, method, *signs), partial(_numbers, method), facts={"bound": BOUND})
        for name, method, signs in (
            ("claim-toy-ig", "ig", (1, 1)),
            ("claim-toy-pa", "patternattribution", (-1, -1)),
            ("claim-toy-pgig", "pgig", (-1, 1)),
        )
    ],
)
