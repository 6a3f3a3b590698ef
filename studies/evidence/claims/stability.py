"""The study's Table 5: stability; and how much maps depend on the class."""

from __future__ import annotations

from evidence.claim import Claim, Figure, Group
from evidence.papers import BASES, STUDY, idgi
from evidence.stored import Column, Stored, over_images
from evidence.verdicts import Trial
from evidence.words import label, said, shown, signed, table, told

RUN = "stability-lite0"
NORMALISATIONS = {
    "signed": "signed sum (-log10 MSE)",
    "absolute": "sum of magnitudes (-log10 MSE)",
    "rank": "rank correlation",
}
RANKINGS = ("signed", "absolute")
PUBLISHED = {"ig": (2.619, 8.949), "guided-ig": (0.845, 8.029), "blur-ig": (3.466, 8.778)}  # Table 5


def _less(stored: Stored, variant: str, one: str, other: str, about: dict[str, str], sign: int = 1) -> list[Trial]:
    """The stability of the one less that of the other."""
    found = stored.difference(*(Column(RUN, method, "stability", variant) for method in (one, other)))
    return [] if found is None else [Trial(found, {"normalisation": variant, **about}, sign)]


def trials(stored: Stored) -> list[Trial]:
    """IDGI's stability less its base's."""
    return [t for v in NORMALISATIONS for base in BASES for t in _less(stored, v, idgi(base), base, _of(base))]


def guided(stored: Stored) -> list[Trial]:
    """Guided IG's stability less those of the other bases."""
    others = [base for base in BASES if base != "guided-ig"]
    return [
        t
        for variant in NORMALISATIONS
        for base in others
        for t in _less(stored, variant, "guided-ig", base, {"rival": label(base)}, -1)
    ]


def sensitivity(stored: Stored) -> list[Trial]:
    """How far IDGI's correlation between two classes is from 0, less how far its base's is."""
    found = []
    for ranking in RANKINGS:
        for base in BASES:
            own, other = (_far_from_0(stored, ranking, method) for method in (idgi(base), base))
            if own and other:
                less = over_images(own[image] - other[image] for image in own if image in other)
                found.append(Trial(less, {"ranking": ranking, **_of(base)}, -1))
    return found


def _of(base: str) -> dict[str, str]:
    return {"method": label(base)}


def _base(trial: Trial) -> str:
    """The base that :func:`_of` named."""
    return next(base for base in BASES if _of(base).items() <= trial.conditions.items())


def _correlation(ranking: str, method: str) -> Column:
    return Column(RUN, method, "class-sensitivity", ranking)


def _far_from_0(stored: Stored, ranking: str, method: str) -> dict[str, float]:
    return {image: abs(value) for image, value in stored.by_image(_correlation(ranking, method)).items()}


def _stability_numbers(stored: Stored) -> list[str]:
    rows = []
    for trial in trials(stored):
        variant, base = trial.conditions["normalisation"], _base(trial)
        alone, both = (stored.value(Column(RUN, method, "stability", variant)) for method in (base, idgi(base)))
        less = f"{signed(trial.found)} {said(trial.outcome, 'more stable', 'less stable')}"
        rows.append([NORMALISATIONS[variant], label(base), str(trial.found.n), shown(alone), shown(both), less])
    return [table(["Normalisation", "Base", "n", "alone", "with IDGI", "difference"], rows)]


def _guided_numbers(stored: Stored) -> list[str]:
    rows = []
    for trial in guided(stored):
        less = f"{signed(trial.found)} {said(trial.outcome, 'less stable', 'more stable')}"
        rows.append([NORMALISATIONS[trial.conditions["normalisation"]], trial.conditions["rival"], less])
    return [table(["Normalisation", "Rival", "Guided IG less it"], rows)]


def _sensitivity_numbers(stored: Stored) -> list[str]:
    rows = []
    for trial in sensitivity(stored):
        ranking, base = trial.conditions["ranking"], _base(trial)
        cells = []
        for method in (base, idgi(base)):
            far = over_images(_far_from_0(stored, ranking, method).values())
            cells.append(f"{shown(far)}<br>({shown(stored.value(_correlation(ranking, method)))})")
        less = f"{signed(trial.found)} {said(trial.outcome, 'more sensitive', 'less sensitive')}"
        rows.append([ranking, label(base), str(trial.found.n), *cells, less])
    heads = ["Ranking", "Base", "n", "alone: distance from 0 (correlation)", "with IDGI", "distance, difference"]
    return [table(heads, rows)]


def _published(stored: Stored) -> list[str]:
    quoted = [[label(base), *(f"{value:.3f}" for value in pair)] for base, pair in PUBLISHED.items()]
    return [
        *_stability_numbers(stored),
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
            trials,
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
            "claim-guided-jpeg",
            "Guided IG is the least stable of the three under JPEG compression",
            "“Also, GIG shows poor numerical stability, as we had anticipated from visual observations.” Table 5: "
            "Guided IG .845, IG 2.619, Blur IG 3.466.",
            f"{STUDY}, 4.5.2 and Table 5",
            lambda stored: f"As above: {told(stored, [RUN])} A comparison holds if Guided IG is the less stable one.",
            guided,
            _guided_numbers,
        ),
        Claim(
            "claim-class",
            "IDGI's maps depend more on the class than its base's",
            "“Applying IDGI makes the baseline method more class-sensitive, a desirable property.” No numbers are "
            "given.",
            f"{STUDY}, Section 5",
            lambda stored: (
                told(stored, [RUN])
                + " The rank correlation of the maps of the labelled and of the next best class; what is compared is "
                "its distance from 0, for a map that is the same picture for every class, with either sign, shows the "
                "picture and not what speaks for the class."
            ),
            sensitivity,
            _sensitivity_numbers,
            remark="Noise is near 0 as well. By sign, IG's maps of the two classes are each other's opposite more "
            "than unrelated: the two probabilities share one total.",
        ),
    ],
)
