"""The study's Tables 1 to 3: IDGI improves Integrated Gradients, Guided IG and Blur IG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from statistics import mean
from typing import NamedTuple

from evidence.claim import Claim, Figure, Group
from evidence.papers import BASES, RESIDUAL, STUDY, idgi, study
from evidence.stored import Column, Stored
from evidence.verdicts import Trial
from evidence.words import MODELS, NONE, label, said, shown, signed, table, told

RUNS = ("study-lite0", "study-lite1", "study-lite2")


class Score(NamedTuple):
    """A score of a run, the ranking of the pixels behind it, and its name in the study's tables."""

    title: str
    ranking: str
    name: str
    variant: str
    paper: str


def _both(title: str, name: str, prefix: str, paper: str, signed_variant: str) -> list[Score]:
    return [
        Score(title, "signed", name, signed_variant, paper),
        Score(title, "absolute", name, f"{prefix}absolute", ""),
    ]


INSERTION = _both("Insertion", "insertion", "", "insertion", "signed")
INSERTION += _both("Insertion, ratio", "insertion-ratio", "", "insertion-ratio", "signed")
SIZE = [one for s in ("aic", "sic") for one in _both(s.upper(), s, "study:png:", f"{s} size", "study:png")]
STRUCTURE = [Score(s.upper(), "signed", s, "study:ms-ssim", f"{s} ms-ssim") for s in ("aic", "sic")]


def trials(scores: list[Score], stored: Stored, bases: tuple[str, ...] = BASES, sign: int = 1) -> list[Trial]:
    """IDGI's score less its base's, over the same images."""
    found = []
    for score, run, base in _each(scores, bases):
        difference = stored.difference(
            *(Column(run, method, score.name, score.variant) for method in (idgi(base), base))
        )
        if difference is not None:
            where = {"ranking": score.ranking, "method": label(base), "model": MODELS[run], "score": score.title}
            found.append(Trial(difference, where, sign))
    return found


def _each(scores: list[Score], bases: tuple[str, ...]) -> Iterator[tuple[Score, str, str]]:
    return ((score, run, base) for score in scores for run in RUNS for base in bases)


def numbers(scores: list[Score], stored: Stored) -> list[str]:
    """A row a score, ranking and model: alone, with IDGI, and the difference; above them the study's own."""
    rows = []
    for score in scores:
        head = f"{score.title}, {score.ranking}"
        if score.paper:
            rows.append([head, "*the study's ten*", "-", *(_study(score.paper, base) for base in BASES), NONE])
        for run in RUNS:
            cells = [_cell(stored, run, score, base) for base in BASES]
            if any(cell != NONE for cell in cells):
                random = stored.value(Column(run, "random", score.name, score.variant))
                n = stored.value(Column(run, "ig", score.name, score.variant))
                rows.append([head, MODELS[run], str(n.n if n else NONE), *cells, shown(random)])
    heads = ["Score, ranking", "Model", "n", *(f"{label(base)}: alone → with IDGI" for base in BASES), "Random"]
    return [table(heads, rows)]


def _cell(stored: Stored, run: str, score: Score, base: str) -> str:
    alone, both = (Column(run, method, score.name, score.variant) for method in (base, idgi(base)))
    change = stored.difference(both, alone)
    if change is None:
        return NONE
    values = f"{shown(stored.value(alone))} → {shown(stored.value(both))}"
    return f"{values}<br>{signed(change)} {said(Trial(change).outcome, 'better', 'worse')}"


def _study(score: str, base: str) -> str:
    """Means over the study's models, and in how many IDGI is better."""
    models = study()[score, 128].values()
    better = sum(values[idgi(base)] > values[base] for values in models)
    alone, both = (mean(values[method] for values in models) for method in (base, idgi(base)))
    return f"{alone:.3f} → {both:.3f}<br>better in {better} of {len(models)}"


def _residual(stored: Stored) -> list[Trial]:
    return trials([*INSERTION[:2], *SIZE], stored, ("blur-ig",), -1)


def _residual_numbers(stored: Stored) -> list[str]:
    """The study's own tables once more, by kind of net; and ours."""
    rows = []
    for score in (*INSERTION[:2], *SIZE):
        head = f"{score.title}, {score.ranking}"
        for kind in (True, False) if score.paper else ():
            models = {m: v for m, v in study()[score.paper, 128].items() if (m in RESIDUAL) == kind}
            cells = [f"{sum(v[idgi(b)] < v[b] for v in models.values())} of {len(models)}" for b in BASES]
            rows.append([head, f"study, {'with' if kind else 'without'} residual connections", *cells])
        for run in RUNS:
            found = [trials([score], stored, (base,), -1) for base in BASES]
            cells = [
                said(t.outcome, "worse", "better") for f in found for t in f if t.conditions["model"] == MODELS[run]
            ]
            if cells:
                rows.append([head, f"{MODELS[run]} (residual)", *cells])
    heads = ["Score, ranking", "Models", *(f"{label(base)} + IDGI worse" for base in BASES)]
    return [table(heads, rows)]


_STEPS = "Straight and guided paths start from black; images are those that all three models classify correctly."


_METHODS = [method for base in BASES for method in (base, idgi(base))]
_OF_ALL = (*INSERTION[:2], *SIZE, *(one._replace(title=f"{one.title}, MS-SSIM") for one in STRUCTURE))
FLOOR = 0.005  # SIC's where the median image is never the class's


def _random(stored: Stored) -> list[Trial]:
    """Each method's score less a random order's, but where both are at SIC's floor."""
    found = []
    for score, run, method in product(_OF_ALL, RUNS, _METHODS):
        pair = [Column(run, name, score.name, score.variant) for name in (method, "random")]
        values, less = stored.together(pair), stored.difference(*pair)
        floor = score.name == "sic" and values is not None and max(value.value for value in values) <= 2 * FLOOR
        if less is not None and not floor:
            where = {"ranking": score.ranking, "method": label(method), "model": MODELS[run]}
            found.append(Trial(less, {**where, "score": score.title}))
    return found


def _random_numbers(stored: Stored) -> list[str]:
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for trial in _random(stored):
        where = trial.conditions
        key = (f"{where['score']}, {where['ranking']}", where["model"])
        rows.setdefault(key, {"n": str(trial.found.n)})[where["method"]] = (
            f"{signed(trial.found)} {said(trial.outcome, 'better', 'worse')}"
        )
    heads = [label(method) for method in _METHODS]
    body = [[*key, cells["n"], *(cells.get(head, NONE) for head in heads)] for key, cells in rows.items()]
    return [table(["Less random: score, ranking", "Model", "n", *heads], body)]


def _run(scores: Sequence[Score], stored: Stored) -> str:
    """Of the runs that have any of these scores."""
    some = [run for run in RUNS for s in scores if stored.sample(Column(run, "ig", s.name, s.variant)) is not None]
    return f"{told(stored, tuple(dict.fromkeys(some)) or RUNS)} {_STEPS}"


GROUP = Group(
    "IDGI: does it improve its base?",
    [
        Claim(
            "claim-insertion",
            "IDGI improves the insertion score (Table 1)",
            "“Based on our results, we find that our results mostly match the claims made in the original paper "
            "[that IDGI improves its base] ... However, we observed that for MobileNetv2, ResNet50v2, and "
            "ResNet101v2, IDGI worsens the insertion scores for BlurIG.” InceptionV3: IG .135, + IDGI .419.",
            f"{STUDY}, 4.2 and Table 1",
            partial(_run, INSERTION),
            partial(trials, INSERTION),
            partial(numbers, INSERTION),
            (
                Figure(
                    "insertion",
                    "Insertion with 95 % intervals, by ranking: the same maps, ranked with their sign and "
                    "by magnitude.",
                ),
                Figure("insertion-curves", "The curves behind it on one model, with 95 % bands."),
                Figure(
                    "idgi",
                    "What IDGI adds to each method, in every score, ranking and model: differences over the same "
                    "images with 95 % intervals. Right of 0 IDGI is better.",
                ),
            ),
            "By sign, pixels that speak against the class come last; by magnitude, early. IDGI's map has hardly a "
            "sign to lose (it is of one sign wherever F rises), so a signed ranking compares rankings as much as "
            "attributions.",
        ),
        Claim(
            "claim-size",
            "IDGI improves SIC and AIC with normalised entropy (Table 2)",
            "“our results match the claims made in the original paper (Yang et al., 2023) for the most part ... "
            "However, we observed that for ResNet152v2, IDGI worsens the area under the AIC and SIC curves for IG; "
            "and, for MobileNetv2, ResNet50v2, and ResNet101v2, BlurIG + IDGI also underperforms BlurIG.” "
            "InceptionV3's SIC: IG .016, + IDGI .527.",
            f"{STUDY}, 4.3 and Table 2",
            partial(_run, SIZE),
            partial(trials, SIZE),
            partial(numbers, SIZE),
            remark="SIC is the area under the images' median curve: an all-zero median has .005, which is a floor "
            "and no score. The entropy is that of PNG files, as in the study's code.",
        ),
        Claim(
            "claim-structure",
            "IDGI improves SIC and AIC with MS-SSIM, ranked by sign (Table 3)",
            "“Based on the results we obtained, we find that our results match the claims made in the original "
            "paper (Yang et al., 2023) consistently. ... However, for ResNet152V2, the area under SIC for IG is "
            "equal to that for IG + IDGI.” InceptionV3's SIC: IG .137, + IDGI .308.",
            f"{STUDY}, 4.4 and Table 3",
            partial(_run, STRUCTURE),
            partial(trials, STRUCTURE),
            partial(numbers, STRUCTURE),
        ),
        Claim(
            "claim-beats-random",
            "Every method is better than a random order",
            "Asked by this project: a comparison of two methods means little where neither is better than chance.",
            "This project",
            lambda stored: (
                f"{_run(_OF_ALL, stored)} SIC is left out where both are below {2 * FLOOR}: {FLOOR} is its floor."
            ),
            _random,
            _random_numbers,
        ),
        Claim(
            "claim-residual",
            "The exception: on nets with residual connections IDGI makes Blur IG worse",
            "“A common trait observed in the models that exhibit anomalies is that they all implement residual "
            "connections in their architecture. ... it is a plausible hypothesis that the residual connections "
            "might interact with the IDGI framework in ways that are not fully understood.”",
            f"{STUDY}, 4.3",
            lambda stored: (
                f"{told(stored, RUNS)} All three have residual connections, so the exception concerns every one of "
                "them. Tested: Blur IG + IDGI is worse than Blur IG in insertion, AIC and SIC, ranked by sign as in "
                "the study, and by magnitude."
            ),
            _residual,
            _residual_numbers,
            remark="No net without residual connections is among these, so what is tested is whether such nets show "
            "the anomaly, not whether residual connections cause it.",
        ),
    ],
)
