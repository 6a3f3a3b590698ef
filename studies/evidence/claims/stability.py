"""The study's Table 5: stability; and how much maps depend on the class."""

from itertools import product
from typing import Any

from evidence.claim import Claim, Group
from evidence.papers import BASES, SIX, idgi
from evidence.stored import Column, Stored, over_images
from evidence.words import label, shown, table

RUN = "stability-lite0"
NORMALIZATIONS = {
    "signed": "signed sum (-log10 MSE)",
    "absolute": "sum of magnitudes (-log10 MSE)",
    "rank": "rank correlation",
}
RANKINGS = ("signed", "absolute")
PUBLISHED = {"ig": (2.619, 8.949), "guided-ig": (0.845, 8.029), "blur-ig": (3.466, 8.778)}  # Table 5


def column(method: str, variant: str) -> Column:
    """The stability: an error, or for ``"rank"`` a correlation."""
    return Column(RUN, method, "stability", variant)


def sensitivity(method: str, ranking: str) -> Column:
    """The rank correlation of the maps of two classes."""
    return Column(RUN, method, "class-sensitivity", ranking)


def largest_share(stored: Stored, method: str, variant: str) -> float:
    """How much of all images' error is that of one."""
    errors = stored.by_image(column(method, variant))
    return float(errors.max() / errors.sum())


def _numbers(stored: Stored) -> list[Any]:
    rows = []
    for (variant, title), method in product(NORMALIZATIONS.items(), SIX):
        value = stored.value(column(method, variant))
        share = "-" if variant == "rank" else f"{largest_share(stored, method, variant):.0%}"
        rows.append([title, label(method), str(value.n if value else "-"), shown(value), share])
    published = [[label(base), *(f"{value:.3f}" for value in pair)] for base, pair in PUBLISHED.items()]
    return [
        table(["Normalization", "Method", "n", "the data set's value", "of the error, one image has"], rows),
        "The study's Table 5, by the signed sum:",
        table(["Base", "alone", "with IDGI"], published),
    ]


def _sensitivity_numbers(stored: Stored) -> list[Any]:
    rows = []
    for ranking, base in product(RANKINGS, BASES):
        columns = [sensitivity(method, ranking) for method in (base, idgi(base))]
        sizes = [stored.by_image(one).abs() for one in columns]
        cells = [
            f"{shown(over_images(size))}<br>({shown(stored.value(one))})"
            for size, one in zip(sizes, columns, strict=True)
        ]
        less = over_images(sizes[1] - sizes[0])
        rows.append([ranking, label(base), str(less.n), *cells, shown(less)])
    heads = ["Ranking", "Base", "n", "alone: size (correlation)", "with IDGI", "size, difference"]
    return [table(heads, rows)]


GROUP = Group(
    "stability",
    "Are IDGI's maps more stable, and do they depend more on the class?",
    [
        Claim("claim-stability-signed", _numbers, runs=(RUN,)),
        *(
            Claim(f"claim-{name}", runs=(RUN,))
            for name in ("stability-absolute", "stability-rank", "guided-jpeg-signed", "guided-jpeg-rank")
        ),
        Claim("claim-class", _sensitivity_numbers, runs=(RUN,)),
    ],
)
