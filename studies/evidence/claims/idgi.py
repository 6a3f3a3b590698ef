"""The study's Tables 1 to 3: IDGI improves Integrated Gradients, Guided IG and Blur IG."""

from collections.abc import Sequence
from functools import partial
from itertools import product
from statistics import mean
from typing import Any, NamedTuple

from evidence.claim import Claim, Group
from evidence.papers import BASES, idgi, study
from evidence.stored import Column, Stored, over_images
from evidence.words import MODELS, NONE, label, runs_in_words, shown, signed, table

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
    return f"{values}<br>{signed(change)}"


def _study(score: str, base: str) -> str:
    """Means over the study's models, and in how many IDGI is better."""
    models = study()[score, 128].values()
    better = sum(values[idgi(base)] > values[base] for values in models)
    alone, both = (mean(values[method] for values in models) for method in (base, idgi(base)))
    return f"{alone:.3f} → {both:.3f}<br>better in {better} of {len(models)}"


def selection(stored: Stored) -> Any:
    """What IDGI gains in insertion on the photographs that SIC and AIC keep, and on the others."""
    rows = []
    for run, (ranking, words) in product(RUNS, (("signed", "by sign"), ("absolute", "by magnitude"))):
        pair = [stored.by_image(Column(run, method, "insertion", ranking)) for method in ("idgi", "ig")]
        gain = (pair[0] - pair[1]).dropna()
        is_kept = gain.index.isin(stored.by_image(Column(run, "ig", "sic", "study:png")).index)
        cells = [
            cell for part in map(over_images, (gain[is_kept], gain[~is_kept])) for cell in (str(part.n), signed(part))
        ]
        rows += [[MODELS[run], words, *cells]] * bool(len(gain))
    return table(["Network", "Ranking", "n kept", "gain, kept", "n others", "gain, others"], rows)


_DONE = partial(runs_in_words, names=RUNS)
GROUP = Group(
    "insertion",
    "Does IDGI improve insertion, and does IG beat a random order?",
    [
        Claim("claim-insertion-signed", partial(numbers, INSERTION), {"done": _DONE}, RUNS),
        Claim("claim-insertion-absolute", runs=RUNS),
        Claim("claim-ranking", runs=RUNS),
        Claim("claim-chance-signed", facts={"done": _DONE}, runs=RUNS),
        Claim("claim-chance-absolute", runs=RUNS),
        Claim("claim-residual", facts={"names": RUNS}, runs=RUNS),
    ],
)
INFORMATION = Group(
    "information",
    "Does IDGI improve SIC and AIC?",
    [
        Claim("claim-size", partial(numbers, SIZE), {"done": _DONE}, RUNS),
        Claim("claim-structure", partial(numbers, STRUCTURE), {"done": _DONE}, RUNS),
    ],
)
