"""The study's Table 5: stability; and how much maps depend on the class."""

from __future__ import annotations

from evidence.claim import Claim, Figure, Group
from evidence.papers import BASES, STUDY, idgi
from evidence.stored import Column, Stored
from evidence.verdicts import Trial
from evidence.words import label, said, shown, signed, table, told

RUN = "stability-lite0"
NORMALISATIONS = {
    "signed": "signed sum (-log10 MSE)",
    "absolute": "sum of magnitudes (-log10 MSE)",
    "rank": "rank correlation",
}
PUBLISHED = {"ig": (2.619, 8.949), "guided-ig": (0.845, 8.029), "blur-ig": (3.466, 8.778)}  # Table 5


def _difference(stored: Stored, score: str, variant: str, base: str) -> Trial | None:
    change = stored.difference(*(Column(RUN, method, score, variant) for method in (idgi(base), base)))
    if change is None:
        return None
    kind = "normalisation" if score == "stability" else "ranking"
    return Trial(change, {kind: variant, "method": label(base)}, 1 if score == "stability" else -1)


def trials(stored: Stored, score: str, variants: tuple[str, ...]) -> list[Trial]:
    """IDGI's value less its base's; for class sensitivity a lower correlation is more sensitive."""
    found = [_difference(stored, score, variant, base) for variant in variants for base in BASES]
    return [trial for trial in found if trial is not None]


def _numbers(stored: Stored, score: str, variants: dict[str, str], better: str, worse: str) -> list[str]:
    rows = []
    for variant, title in variants.items():
        for base in BASES:
            trial = _difference(stored, score, variant, base)
            if trial is not None:
                alone, both = (stored.value(Column(RUN, method, score, variant)) for method in (base, idgi(base)))
                cells = [shown(alone), shown(both), f"{signed(trial.found)} {said(trial.outcome, better, worse)}"]
                rows.append([title, label(base), str(trial.found.n), *cells])
    head = {"stability": "Normalisation", "class-sensitivity": "Ranking"}[score]
    return [table([head, "Base", "n", "alone", "with IDGI", "difference"], rows)]


def _published(stored: Stored) -> list[str]:
    quoted = [[label(base), *(f"{value:.3f}" for value in pair)] for base, pair in PUBLISHED.items()]
    return [
        *_numbers(stored, "stability", NORMALISATIONS, "more stable", "less stable"),
        "The study's Table 5, by the signed sum:",
        table(["Base", "alone", "with IDGI"], quoted),
    ]


GROUP = Group(
    "Stability and class sensitivity",
    [
        Claim(
            "claim-stability",
            "IDGI makes maps more stable under JPEG compression (Table 5)",
            "“- log MSE”: IG 2.619, + IDGI 8.949; Guided IG .845, + IDGI 8.029; Blur IG 3.466, + IDGI 8.778.",
            f"{STUDY}, 4.5.2 and Table 5",
            lambda stored: (
                told(stored, [RUN])
                + " Maps of the image and of its JPEG file of quality 75. -log10 of the mean over the images of the "
                "pixels' mean squared difference, each map divided by its signed sum (the study's) or by its sum "
                "of magnitudes; and Spearman's rank correlation."
            ),
            lambda stored: trials(stored, "stability", tuple(NORMALISATIONS)),
            _published,
            (
                Figure(
                    "stability",
                    "Stability under JPEG compression by three normalisations, with 95 % intervals. Further "
                    "right is more stable.",
                ),
            ),
            "A signed sum that is near 0 blows a map up, however alike the maps are. IDGI's maps sum to F's change by "
            "construction, so the signed normalisation favours them whatever they show.",
        ),
        Claim(
            "claim-class",
            "IDGI's maps depend more on the class than its base's",
            "Asked by this project; neither paper says so. A map that is the same for every class shows the "
            "picture, not what speaks for the class.",
            "This project",
            lambda stored: (
                told(stored, [RUN])
                + " The rank correlation of the maps of the labelled and of the next best class: near 0 is "
                "sensitive to the class, and so is noise."
            ),
            lambda stored: trials(stored, "class-sensitivity", ("signed", "absolute")),
            lambda stored: _numbers(
                stored,
                "class-sensitivity",
                {"signed": "signed", "absolute": "absolute"},
                "more sensitive",
                "less sensitive",
            ),
        ),
    ],
)
