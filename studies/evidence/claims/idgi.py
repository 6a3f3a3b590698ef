"""The study's Tables 1 to 3: IDGI improves Integrated Gradients, Guided IG and Blur IG."""

from collections.abc import Sequence
from functools import partial
from itertools import product
from statistics import mean
from typing import Any, NamedTuple

from evidence.claim import Claim, Group
from evidence.papers import BASES, RESIDUAL, SIX, idgi, study
from evidence.stored import Column, Stored
from evidence.verdicts import Trial, measured
from evidence.words import MODELS, NONE, compared, label, outcome_word, runs_in_words, shown, table

RUNS = ("study-lite0", "study-lite1", "study-lite2")


class Score(NamedTuple):
    """A score of a run, the ranking of the pixels behind it, and its name in the study's tables."""

    title: str
    ranking: str
    name: str
    variant: str
    paper: str

    def column(self, run: str, method: str) -> Column:
        return Column(run, method, self.name, self.variant)


def _both(title: str, name: str, prefix: str, paper: str, signed_variant: str) -> list[Score]:
    return [
        Score(title, "signed", name, signed_variant, paper),
        Score(title, "absolute", name, f"{prefix}absolute", ""),
    ]


INSERTION = _both("Insertion", "insertion", "", "insertion", "signed")
INSERTION += _both("Insertion, ratio", "insertion-ratio", "", "insertion-ratio", "signed")
SIZE = [one for s in ("aic", "sic") for one in _both(s.upper(), s, "study:png:", f"{s} size", "study:png")]
STRUCTURE = [Score(s.upper(), "signed", s, "study:ms-ssim", f"{s} ms-ssim") for s in ("aic", "sic")]
_ALL = (*INSERTION[:2], *SIZE, *(score._replace(title=f"{score.title}, MS-SSIM") for score in STRUCTURE))
_RESIDUAL = (*INSERTION[:2], *SIZE)
FLOOR = 0.005  # SIC's where the median image is never the class's


def trials(scores: Sequence[Score], stored: Stored, bases: Sequence[str] = BASES, sign: int = 1) -> list[Trial]:
    """IDGI's score less its base's, over the same images."""
    differences = (
        (
            stored.difference(score.column(run, idgi(base)), score.column(run, base)),
            {"ranking": score.ranking, "method": label(base), "model": MODELS[run], "score": score.title},
        )
        for score, run, base in product(scores, RUNS, bases)
    )
    return measured(differences, sign)


def numbers(scores: Sequence[Score], stored: Stored) -> list[Any]:
    """A row a score, ranking and model: alone, with IDGI, and the difference; above them the study's own."""
    rows = []
    for score in scores:
        head = f"{score.title}, {score.ranking}"
        if score.paper:
            rows.append([head, "*the study's ten*", "-", *(_study(score.paper, base) for base in BASES), NONE])
        for run in RUNS:
            cells = [_cell(stored, score.column(run, base), score.column(run, idgi(base))) for base in BASES]
            if any(cell != NONE for cell in cells):
                random, n = (stored.value(score.column(run, method)) for method in ("random", "ig"))
                rows.append([head, MODELS[run], str(n.n if n else NONE), *cells, shown(random)])
    heads = ["Score, ranking", "Model", "n", *(f"{label(base)}: alone → with IDGI" for base in BASES), "Random"]
    return [table(heads, rows)]


def _cell(stored: Stored, alone: Column, both: Column) -> str:
    change = stored.difference(both, alone)
    if change is None:
        return NONE
    values = f"{shown(stored.value(alone))} → {shown(stored.value(both))}"
    return f"{values}<br>{compared(Trial(change), 'better', 'worse')}"


def _study(score: str, base: str) -> str:
    """Means over the study's models, and in how many IDGI is better."""
    models = study()[score, 128].values()
    better = sum(values[idgi(base)] > values[base] for values in models)
    alone, both = (mean(values[method] for values in models) for method in (base, idgi(base)))
    return f"{alone:.3f} → {both:.3f}<br>better in {better} of {len(models)}"


def _residual(stored: Stored) -> list[Trial]:
    return trials(_RESIDUAL, stored, ("blur-ig",), -1)


def _residual_numbers(stored: Stored) -> list[Any]:
    """The study's own tables once more, by kind of net; and ours."""
    rows = []
    for score in _RESIDUAL:
        head = f"{score.title}, {score.ranking}"
        for is_residual in (True, False) if score.paper else ():
            nets = [v for model, v in study()[score.paper, 128].items() if (model in RESIDUAL) == is_residual]
            cells = [f"{sum(net[idgi(base)] < net[base] for net in nets)} of {len(nets)}" for base in BASES]
            rows.append([head, f"study, {'with' if is_residual else 'without'} residual connections", *cells])
        outcomes = trials([score], stored, sign=-1)
        for run in RUNS:
            cells = [
                outcome_word(trial.outcome, "worse", "better")
                for trial in outcomes
                if trial.conditions["model"] == MODELS[run]
            ]
            if cells:
                rows.append([head, f"{MODELS[run]} (residual)", *cells])
    return [table(["Score, ranking", "Models", *(f"{label(base)} + IDGI worse" for base in BASES)], rows)]


def _random(stored: Stored) -> list[Trial]:
    """Each method's score less a random order's, but where both are at SIC's floor."""
    differences = []
    for score, run, method in product(_ALL, RUNS, SIX):
        pair = [score.column(run, name) for name in (method, "random")]
        values = stored.together(pair)
        is_floor = score.name == "sic" and values is not None and max(value.value for value in values) <= 2 * FLOOR
        if not is_floor:
            where = {"ranking": score.ranking, "method": label(method), "model": MODELS[run], "score": score.title}
            differences.append((stored.difference(*pair), where))
    return measured(differences)


def _random_numbers(stored: Stored) -> list[Any]:
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for trial in _random(stored):
        where = trial.conditions
        row = rows.setdefault((f"{where['score']}, {where['ranking']}", where["model"]), {"n": str(trial.estimate.n)})
        row[where["method"]] = compared(trial, "better", "worse")
    heads = ["n", *map(label, SIX)]
    body = [[*key, *(cells.get(head, NONE) for head in heads)] for key, cells in rows.items()]
    return [table(["Less random: score, ranking", "Model", *heads], body)]


def _runs(scores: Sequence[Score], stored: Stored) -> str:
    """The runs that have any of these scores, in words."""
    present = [run for run in RUNS if any(stored.sample(score.column(run, "ig")) is not None for score in scores)]
    return runs_in_words(stored, *(present or RUNS))


GROUP = Group(
    "IDGI: does it improve its base?",
    [
        *(
            Claim(name, partial(trials, scores), partial(numbers, scores), facts={"done": partial(_runs, scores)})
            for name, scores in (("claim-insertion", INSERTION), ("claim-size", SIZE), ("claim-structure", STRUCTURE))
        ),
        Claim("claim-beats-random", _random, _random_numbers, facts={"done": partial(_runs, _ALL), "floor": FLOOR}),
        Claim("claim-residual", _residual, _residual_numbers, facts={"names": RUNS}),
    ],
)
