"""The study's Table 5: stability; and how much maps depend on the class."""

from itertools import product
from typing import Any

from captum_ext.evaluation import Estimate
from evidence.claim import Claim, Group
from evidence.papers import BASES, idgi
from evidence.stored import Column, Stored, over_images
from evidence.verdicts import Trial, measured
from evidence.words import compared, label, shown, table

RUN = "stability-lite0"
NORMALISATIONS = {
    "signed": "signed sum (-log10 MSE)",
    "absolute": "sum of magnitudes (-log10 MSE)",
    "rank": "rank correlation",
}
RANKINGS = ("signed", "absolute")
PUBLISHED = {"ig": (2.619, 8.949), "guided-ig": (0.845, 8.029), "blur-ig": (3.466, 8.778)}  # Table 5


def column(method: str, variant: str) -> Column:
    """The stability."""
    return Column(RUN, method, "stability", variant)


def _correlation(method: str, ranking: str) -> Column:
    return Column(RUN, method, "class-sensitivity", ranking)


def trials(stored: Stored) -> list[Trial]:
    """IDGI's stability less its base's."""
    pairs = [(variant, idgi(base), base) for variant in NORMALISATIONS for base in BASES]
    return measured((_less(stored, *of), {"normalisation": of[0], "method": label(of[2])}) for of in pairs)


def guided(stored: Stored) -> list[Trial]:
    """Guided IG's stability less those of the other bases."""
    pairs = [(variant, "guided-ig", base) for variant in NORMALISATIONS for base in BASES if base != "guided-ig"]
    less = ((_less(stored, *of), {"normalisation": of[0], "rival": label(of[2])}) for of in pairs)
    return measured(less, -1)


def _less(stored: Stored, variant: str, one: str, other: str) -> Estimate | None:
    return stored.difference(column(one, variant), column(other, variant))


def sensitivity(stored: Stored) -> list[Trial]:
    """How far IDGI's correlation between two classes is from 0, less how far its base's is."""
    far = [
        ([stored.by_image(_correlation(m, ranking)).abs() for m in (idgi(base), base)], ranking, base)
        for ranking, base in product(RANKINGS, BASES)
    ]
    return [
        Trial(over_images(own - other), {"ranking": ranking, "method": label(base)}, -1)
        for (own, other), ranking, base in far
        if len(own) and len(other)
    ]


def _base(trial: Trial) -> str:
    return next(base for base in BASES if label(base) == trial.conditions["method"])


def _stability_numbers(stored: Stored) -> list[Any]:
    rows = []
    for trial in trials(stored):
        variant, base = trial.conditions["normalisation"], _base(trial)
        values = [shown(stored.value(column(method, variant))) for method in (base, idgi(base))]
        less = compared(trial, "more stable", "less stable")
        rows.append([NORMALISATIONS[variant], label(base), str(trial.estimate.n), *values, less])
    published = [[label(base), *(f"{value:.3f}" for value in pair)] for base, pair in PUBLISHED.items()]
    return [
        table(["Normalisation", "Base", "n", "alone", "with IDGI", "difference"], rows),
        "The study's Table 5, by the signed sum:",
        table(["Base", "alone", "with IDGI"], published),
    ]


def _guided_numbers(stored: Stored) -> list[Any]:
    rows = [
        [
            NORMALISATIONS[of.conditions["normalisation"]],
            of.conditions["rival"],
            compared(of, "less stable", "more stable"),
        ]
        for of in guided(stored)
    ]
    return [table(["Normalisation", "Rival", "Guided IG less it"], rows)]


def _sensitivity_numbers(stored: Stored) -> list[Any]:
    rows = []
    for trial in sensitivity(stored):
        ranking, base = trial.conditions["ranking"], _base(trial)
        columns = [_correlation(method, ranking) for method in (base, idgi(base))]
        cells = [f"{shown(over_images(stored.by_image(c).abs()))}<br>({shown(stored.value(c))})" for c in columns]
        less = compared(trial, "more sensitive", "less sensitive")
        rows.append([ranking, label(base), str(trial.estimate.n), *cells, less])
    heads = ["Ranking", "Base", "n", "alone: distance from 0 (correlation)", "with IDGI", "distance, difference"]
    return [table(heads, rows)]


GROUP = Group(
    "Stability and class sensitivity",
    [
        Claim("claim-stability", trials, _stability_numbers),
        Claim("claim-guided-jpeg", guided, _guided_numbers),
        Claim("claim-class", sensitivity, _sensitivity_numbers),
    ],
)
