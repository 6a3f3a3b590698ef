"""What the pages say beyond claims: methods x questions, and how far networks correlate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from captum_ext.evaluation import Estimate
from evidence.claims import degradation, guided, idgi, randomization, stability, steps
from evidence.plan import by_image
from evidence.stored import Column, Stored, over_images
from evidence.words import shown

_N = 25  # steps, as in the degradation runs
GRADIENTS = {
    **{"ig": _N, "idgi": _N + 1, "guided-ig": _N, "guided-ig+idgi": _N + 1, "blur-ig": _N, "blur-ig+idgi": _N + 1},
    **{"pgig": _N, "smoothgrad-squared": 25, "vargrad": 25, "smoothgrad-ig": 2 * _N, "expected-gradients": 49},
    **dict.fromkeys(("patternattribution", "gradient", "gradient-x-input", "guided-backprop"), 1),
    "random": 0,
}


@dataclass(frozen=True)
class Question:
    """A column of the first page.

    Attributes:
        title: Two or three short lines.
        better: 1 if higher is better, -1 if lower.
        values: By method.
        decimals: How many the heat map shows.
    """

    title: str
    better: int
    values: Mapping[str, Estimate]
    decimals: int = 2

    def short(self, method: str) -> str:
        """A method's value alone."""
        return f"{self.values[method].value:.{self.decimals}f}"

    def cell(self, method: str) -> str:
        """A method's value and its interval, if it is an estimate."""
        is_exact = method in self.values and not self.decimals
        return self.short(method) if is_exact else shown(self.values.get(method))


def table_of_methods(stored: Stored) -> list[Question]:
    """Methods x questions; what was not run is left out."""

    def column(score: str, variant: str, runs: Sequence[str] = (stability.RUN,)) -> Callable[[str], Any]:
        return lambda method: by_image(*([(1.0, Column(run, method, score, variant))] for run in runs))(stored)

    def left(method: str) -> Any:
        kind = randomization.kinds(method)[-1] if method in randomization.METHODS else ""
        return randomization.by_image(stored, "efficientnet-lite0", method, kind, "absolute").abs().mean(axis=1)

    sources: list[tuple[str, int, Callable[[str], Any], int]] = [
        ("insertion\nby sign \u2191", 1, column("insertion", "signed", idgi.RUNS), 2),
        ("insertion by\nmagnitude \u2191", 1, column("insertion", "absolute", idgi.RUNS), 2),
        ("degradation\n(Lite0) \u2193", -1, column("degradation", "paper", degradation.PHOTOGRAPHS[1:]), 3),
        ("stability\nby rank \u2191", 1, column("stability", "rank"), 2),
        ("same map for\ntwo classes \u2193", -1, lambda m: column("class-sensitivity", "absolute")(m).abs(), 2),
        ("same map if\nrandomized \u2193", -1, left, 2),
        ("moved by\nrounding \u2193", -1, lambda m: guided.by_image(stored, m, guided.THREADS), 2),
    ]
    questions = []
    for title, better, values, decimals in sources:
        series = {method: values(method).dropna() for method in GRADIENTS}
        known = {method: over_images(some) for method, some in series.items() if len(some)}
        if known:
            questions.append(Question(title, better, known, decimals))
    cost = {method: Estimate(count, count, count, 1) for method, count in GRADIENTS.items()}
    return [*questions, Question("gradients at\n25 steps \u2193", -1, cost, 0)] if questions else []


def networks(stored: Stored) -> dict[str, float]:
    """How IDGI's gain correlates between pairs of networks, and how many independent ones they are worth."""
    pairs = ([stored.by_image(Column(run, m, "insertion", "signed")) for m in ("idgi", "ig")] for run in idgi.RUNS)
    wide = pd.concat([own - base for own, base in pairs], axis=1).dropna(axis=1, how="all")
    if wide.shape[1] < 2:
        return {}
    count = wide.shape[1]
    between = [wide.corr().iloc[i, j] for i in range(count) for j in range(i)]
    worth = count / (1 + (count - 1) * sum(between) / len(between))
    return {"least": min(between), "most": max(between), "count": count, "worth": worth}


def facts(stored: Stored) -> dict[str, Any]:
    """What the templates ask of the results."""
    return {
        "moved": lambda method, change: guided.distance(stored, method, change),
        "late": lambda method: stored.difference(*steps.at(method, ("insertion", "signed"), 128, 32)),
        "largest_share": lambda method: stability.largest_share(stored, method, "signed"),
        "networks": networks(stored),
    }
