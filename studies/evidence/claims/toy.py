"""The PGIG paper's Fig. 2: two stress tests, a plateau and a distractor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from captum_ext.evaluation.reporting.estimates import Estimate
from evidence.claim import Claim, Figure, Group
from evidence.papers import PGIG
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


def column(rows: Any, method: str, convention: str, part: str) -> list[float]:
    """Attributions of each of the 400 points; IG's have no convention."""
    name = method if method == "ig" else f"{method}:{convention}"
    values: list[float] = rows[f"{name}:{part}"].tolist()
    return values


def distractor(rows: Any, method: str, convention: str) -> Estimate:
    """The distractor's share of all magnitude that is attributed."""
    own = [abs(value) for value in column(rows, method, convention, "distractor")]
    other = [abs(value) for value in column(rows, method, convention, "signal")]
    return share(own, [a + b for a, b in zip(own, other, strict=True)])


def plateau(rows: Any, method: str, convention: str) -> Estimate:
    """What the signal gets where y = 1 and no gradient is left: the mean."""
    every = zip(rows["z"], column(rows, method, convention, "signal"), strict=True)
    return over_images(value for z, value in every if z > START)


def distance(rows: Any, method: str, convention: str) -> Estimate:
    """How far the signal's attribution is from y = z before the plateau: the mean magnitude."""
    every = zip(rows["z"], column(rows, method, convention, "signal"), strict=True)
    return over_images(abs(value - z) for z, value in every if z <= START)


def _trials(stored: Stored, method: str, at_distractor: int, at_plateau: int) -> list[Trial]:
    """The signs say on which side of the bound the paper puts the method."""
    rows, found = stored.rows(NAME), []
    conventions = [] if rows is None else list(CONVENTIONS)[: 1 if method == "ig" else None]
    for convention in conventions:
        for test, of, sign in (("distractor", distractor, at_distractor), ("plateau", plateau, at_plateau)):
            where = {"test": test, "patterns": convention}
            found.append(Trial(of(rows, method, convention), where, sign, BOUND))
    return found


def _numbers(stored: Stored, methods: Sequence[str]) -> list[str]:
    rows = stored.rows(NAME)
    lines: list[list[str]] = []
    for method in methods:
        for convention, title in CONVENTIONS.items():
            if method == "ig" and lines:
                continue
            cells = [shown(of(rows, method, convention)) for of in (distractor, plateau, distance)]
            lines.append([label(method), "-" if method == "ig" else title, *cells])
    heads = ["Method", "Patterns", "distractor's share", "signal on the plateau (y = 1)", "before it: distance from y"]
    return [table(heads, lines)]


def _run(stored: Stored) -> str:
    given = stored.settings(NAME)
    return (
        f"The paper's network and its data as in its code (numpy seed 42, noise .3, 400 points), {given['steps']} "
        f"steps, {given['rule']}, from 0. Bounds: {BOUND} of all magnitude attributed, and {BOUND} where y = 1. "
        "Intervals are over the points."
    )


def _claim(name: str, title: str, quote: str, method: str, signs: tuple[int, int], **more: Any) -> Claim:
    return Claim(
        name,
        title,
        quote,
        f"{PGIG}, Section 3.4 and Fig. 2",
        _run,
        lambda stored: _trials(stored, method, *signs),
        lambda stored: _numbers(stored, [method]),
        **more,
    )


GROUP = Group(
    "Two stress tests: the plateau and the distractor",
    [
        _claim(
            "claim-toy-ig",
            "IG passes the plateau, and gives to the distractor (Fig. 2)",
            "“IG follows the function in the signal dimension (x1) including the plateau after z > 1 ... It does, "
            "however, attribute a significant portion of importance to inputs from the distractor dimension, which "
            "only carries noise and is cancelled by the model.”",
            "ig",
            (1, 1),
            figures=(
                Figure(
                    "toy",
                    "Attributions over z of the signal (x1) and the distractor (x2), and the output y. The pattern "
                    "methods take the first author's convention.",
                ),
            ),
        ),
        _claim(
            "claim-toy-pa",
            "PatternAttribution avoids the distractor, and starves at the plateau (Fig. 2)",
            "“PA successfully avoids the noise, i.e. its attribution scores in the distractor dimension are low, "
            "but it suffers from the saturation problem at the plateau in the signal dimension due to a "
            "zero-gradient.”",
            "patternattribution",
            (-1, -1),
        ),
        _claim(
            "claim-toy-pgig",
            "PGIG does neither (Fig. 2)",
            "“Only the proposed method attributes importance to the signal in x1 at the non-zero plateau (despite a "
            "zero-gradient) and bypasses the noise from the distractor in x2.”",
            "pgig",
            (-1, 1),
            remark="The distractor's noise is in x1 too, and there PGIG passes it on as IG does: see the last "
            "column, where PatternAttribution is nearer to y.",
        ),
    ],
)
