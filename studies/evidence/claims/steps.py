"""The study's Fig. 4, Table 4 and the appendix: what the number of steps changes."""

from itertools import product
from typing import Any

from evidence.claim import Claim, Group
from evidence.papers import idgi
from evidence.stored import Column, Stored
from evidence.words import label, shown, signed, table

RUN = "steps-lite0"
FINEST = "study-lite0"  # has the 128 steps, over the same images
STEPS = (8, 16, 32, 64, 128)
BASES = ("ig", "blur-ig")
METHODS = ("ig", "idgi", "blur-ig", "blur-ig+idgi")
SCORES = {
    ("insertion", "signed"): "Insertion, signed",
    ("insertion", "absolute"): "Insertion, absolute",
    ("insertion-ratio", "signed"): "Insertion ratio, signed",
    ("insertion-ratio", "absolute"): "Insertion ratio, absolute",
    ("aic", "study:png"): "AIC (PNG), signed",
    ("sic", "study:png"): "SIC (PNG), signed",
}
TRUNCATED = "truncated-lite0"
LITTLE = 0.1  # a share of the gain from 8 to 128 steps, this project's measure of "marginal"


def at(method: str, score: tuple[str, str], *counts: int) -> list[Column]:
    """A score at these numbers of steps, of whole paths."""
    return [Column(FINEST if count == STEPS[-1] else RUN, method, *score, count) for count in counts]


def _numbers(stored: Stored) -> list[Any]:
    rows, gains = [], []
    for (score, title), method in product(SCORES.items(), METHODS):
        every = stored.together(at(method, score, *STEPS))
        if every:
            rows.append([title, label(method), str(every[0].n), *map(shown, every)])
            parts = ((8, 32), (32, 128), (8, 128))
            gains.append(
                [title, label(method), *(signed(stored.difference(*at(method, score, b, a))) for a, b in parts)]
            )
    return [
        table(["Score", "Method", "n", *(f"{count} steps" for count in STEPS)], rows),
        table(["Gain", "Method", "8 to 32", "32 to 128", "8 to 128"], gains),
    ]


def equal_cost(stored: Stored) -> list[Any]:
    """IDGI at fewer steps beside its base at 128, and at as many: insertion by sign."""
    rows = []
    for base, count in product(BASES, STEPS):
        pair = [*at(idgi(base), ("insertion", "signed"), count), *at(base, ("insertion", "signed"), 128)]
        less = stored.difference(*pair)
        if less:
            rows.append([label(base), f"{count + 1} for IDGI, 128 for {label(base)}", str(less.n), signed(less)])
    return [table(["Base", "gradients per image", "n", "with IDGI minus alone"], rows)]


def _truncated_numbers(stored: Stored) -> list[Any]:
    rows = []
    for (score, title), method in product(SCORES.items(), ("ig", "idgi")):
        whole = at(method, score, *STEPS[:-1])
        values = stored.together([*whole, *(column._replace(run=TRUNCATED) for column in whole)]) or []
        for kind, some in (("whole", values[:4]), ("stops short", values[4:])):
            if some:
                rows.append([title, label(method), kind, str(some[0].n), *map(shown, some)])
    return [table(["Score", "Method", "Path", "n", *(f"{count} steps" for count in STEPS[:-1])], rows)]


_FACTS = {"whole": RUN, "finest": FINEST, "little": LITTLE, "short": TRUNCATED}
GROUP = Group(
    "steps",
    "How many steps does a method need?",
    [
        Claim("claim-steps", _numbers, _FACTS, (RUN,)),
        *(Claim(f"claim-{name}", facts=_FACTS, runs=(RUN,)) for name in ("more-steps", "few-steps", "ig-gains-more")),
        Claim("claim-blur-steps", facts=_FACTS, runs=(FINEST,)),
        Claim("claim-truncated", _truncated_numbers, _FACTS, (RUN, TRUNCATED)),
    ],
)
