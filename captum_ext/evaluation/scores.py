"""Descriptions of all scores, and the scores of an evaluation as samples over its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from captum_ext._utils.optional import optional
from captum_ext.evaluation.estimates import Estimate, ScoreSample, Statistic, combine
from captum_ext.evaluation.store import ResultRow, Results
from captum_ext.metrics._information_curves import CurveStatistic
from captum_ext.metrics._protocols import PROTOCOLS
from captum_ext.visualization import sorted_methods

if TYPE_CHECKING:
    import pandas as pd

_HIGHER, _LOWER = 1, -1
_INFORMATION_TITLES = {"webp": "WebP", "png": "PNG", "ms-ssim": "MS-SSIM"}
_TENTHS = [point / 10 for point in range(10)]
_VARIANTS = ("signed", "absolute", "positive", "rank", "paper", "code", *PROTOCOLS)


def _fractions(points: int) -> list[float]:
    return [point / max(points - 1, 1) for point in range(points)]


@dataclass(frozen=True)
class ScoreVariant:
    """A score with one variant of its metric.

    Attributes:
        title: Such as ``"AIC (study, PNG)"``.
        better: 1 if higher is better, -1 if lower is better, 0 if unknown.
        xlabel: The horizontal axis of the score's curve; empty without a curve.
        ylabel: The vertical axis of the curve.
        positions: Maps a curve's number of points to their positions.
        statistic: The statistic for the data set's value, as for :class:`ScoreSample`.
        curve: The statistic for the data set's curve.
        name: The results' column ``score``.
        variant: The results' column ``variant``.
    """

    title: str
    better: int = 0
    xlabel: str = ""
    ylabel: str = ""
    positions: Callable[[int], Sequence[float]] = _fractions
    statistic: Statistic = "mean"
    curve: CurveStatistic = "mean"
    name: str = ""
    variant: str = ""

    @property
    def direction(self) -> str:
        """Such as ``"higher is better"``; empty if unknown."""
        return {_HIGHER: "higher is better", _LOWER: "lower is better", 0: ""}[self.better]

    @property
    def arrow(self) -> str:
        """The title and an arrow for the direction."""
        return self.title + {_HIGHER: " ↑", _LOWER: " ↓", 0: ""}[self.better]


_PROBABILITY, _INFORMATION = "probability of the target", "information in the picture"
_INSERTED_FRACTION = "fraction of pixels inserted"
_SCORES = {
    "insertion": ScoreVariant("Insertion, probability", _HIGHER, _INSERTED_FRACTION, _PROBABILITY),
    "insertion-ratio": ScoreVariant(
        "Insertion, probability ratio", _HIGHER, _INSERTED_FRACTION, "probability / that of the whole image"
    ),
    "aic": ScoreVariant("AIC", _HIGHER, _INFORMATION, "fraction of images classified correctly"),
    "sic": ScoreVariant("SIC", _HIGHER, _INFORMATION, "normalized probability"),
    "deletion": ScoreVariant("Deletion, probability", _LOWER, "fraction of pixels removed", _PROBABILITY),
    "road": ScoreVariant(
        "ROAD, most relevant first", _LOWER, "fraction of pixels imputed", _PROBABILITY, lambda points: _TENTHS[:points]
    ),
    "road-lerf": ScoreVariant(
        "ROAD, least relevant first",
        _HIGHER,
        "fraction of pixels imputed",
        _PROBABILITY,
        lambda points: _TENTHS[:points],
    ),
    "diffid": ScoreVariant("DiffID", _HIGHER),
    "degradation": ScoreVariant("Degradation", _LOWER, "patches replaced", _PROBABILITY, range),
    "stability": ScoreVariant("Stability", _HIGHER),
    "completeness": ScoreVariant("Completeness, error", _LOWER, statistic="median"),
    "class-sensitivity": ScoreVariant("Class sensitivity", _LOWER),
    "randomization": ScoreVariant(
        "Model randomization",
        _LOWER,
        "randomized layers, starting at the output",
        "rank correlation",
        lambda points: range(1, points + 1),
    ),
    "localization-auc": ScoreVariant("AUC of the mask", _HIGHER),
    "best-f1": ScoreVariant("Best F1", _HIGHER),
    "pointing-game": ScoreVariant("Pointing game", _HIGHER),
    "relevance-mass-accuracy": ScoreVariant("Relevance mass accuracy", _HIGHER),
    "relevance-rank-accuracy": ScoreVariant("Relevance rank accuracy", _HIGHER),
    "localization-iou": ScoreVariant("IoU at 0.5", _HIGHER),
    "map-mae": ScoreVariant("MAE of the mask", _LOWER),
    "grid-pointing-game": ScoreVariant("Grid pointing game", _HIGHER),
}


def score_variant(name: str, variant: str) -> ScoreVariant:
    """The score of rows with this name and variant; unknown ones are averaged, without a direction."""
    score = replace(_SCORES.get(name, ScoreVariant(name)), name=name, variant=variant)
    if name in ("sic", "aic") and variant.split(":")[0] in PROTOCOLS:
        protocol_name, code, ranking = (*variant.split(":"), "", "")[:3]
        protocol = PROTOCOLS[protocol_name]
        code = code or protocol.information
        details = (protocol_name, _INFORMATION_TITLES.get(code, code), *filter(None, (ranking,)))
        title = f"{score.title} ({', '.join(details)})"
        if protocol.aggregates[("sic", "aic").index(name)] == "median":
            return replace(score, title=title, statistic="area_under_median", curve="median")
        return replace(score, title=title)  # the mean of the areas is the area under the mean curve
    if name == "stability":
        if variant == "rank":
            return replace(score, title="Stability, rank correlation")
        return replace(score, title=f"Stability, -log10 MSE ({variant})", statistic="minus_log10_mean")
    return replace(score, title=f"{score.title} ({variant})" if variant else score.title)


def sorted_scores(pairs: Iterable[tuple[str, str]]) -> list[ScoreVariant]:
    """The scores with these names and variants, in the papers' order."""
    names = list(_SCORES)

    def key(pair: tuple[str, str]) -> tuple[int, str, int, str]:
        name, variant = pair
        first = variant.split(":")[0]
        return (
            names.index(name) if name in names else len(names),
            name,
            _VARIANTS.index(first) if first in _VARIANTS else len(_VARIANTS),
            variant,
        )

    return [score_variant(*pair) for pair in sorted(set(pairs), key=key)]


_KEY = ["model", "method", "score", "variant", "steps"]


@dataclass(frozen=True)
class ScoreIndex:
    """The measured samples of all models.

    Attributes:
        models: In the settings' order.
        methods: In the papers' order, each method before its IDGI.
        steps: The step counts of each method with a path, ascending; empty for the others.
        scores: In the papers' order.
        measured: The model, method, score, variant and steps of each sample.
    """

    models: list[str]
    methods: list[str]
    steps: dict[str, list[int]]
    scores: list[ScoreVariant]
    measured: frozenset[tuple[str, str, str, str, int]]

    @classmethod
    def of(cls, frame: pd.DataFrame, settings: dict[str, Any]) -> ScoreIndex:
        """From rows, of which only the columns of names and ``steps`` are read."""
        scored = frame[frame["score"] != "image"]
        keys: list[tuple[str, str, str, str, int]] = [
            (str(model), str(method), str(score), str(variant), int(steps))
            for model, method, score, variant, steps in scored[_KEY].drop_duplicates().to_numpy().tolist()
        ]
        measured = [key[1] for key in keys]
        methods = sorted_methods([*(method for method in settings["methods"] if method in measured), *measured])
        steps = {method: sorted({key[-1] for key in keys if key[1] == method and key[-1]}) for method in methods}
        scores = sorted_scores((score, variant) for _, _, score, variant, _ in keys)
        models = list(dict.fromkeys([*settings["models"], *frame["model"].unique()]))
        return cls(models, methods, steps, scores, frozenset(keys))

    def largest(self, method: str) -> int:
        """The method's largest step count; 0 without a path."""
        return max(self.steps[method], default=0)

    def methods_with(self, model: str, score: str) -> set[str]:
        """The methods of which a model has rows of a score, of any variant."""
        return {key[1] for key in self.measured if (key[0], key[2]) == (model, score)}

    def is_measured(self, method: str, score: ScoreVariant, steps: int | None = None) -> bool:
        """Whether any model has rows of a score, with ``steps`` steps or the method's largest count."""
        key = (method, score.name, score.variant, self.largest(method) if steps is None else steps)
        return any((model, *key) in self.measured for model in self.models)


def score_index(results: Results) -> ScoreIndex:
    """The index of an evaluation, read with one model in memory at a time.

    Raises:
        ResultsError: If there are no results.
    """
    frames = [results.read(_KEY, model, categorical=True).drop_duplicates() for model in results.models()]
    if not frames:
        results.read(_KEY)  # which raises
    frame = optional("pandas", "evaluation").concat([frame.astype(object) for frame in frames])
    return ScoreIndex.of(frame, results.settings())


class ModelScores(NamedTuple):
    """The scores of one model, and the rows that count images: those of their status, and those without a value."""

    table: ScoreTable
    image_rows: pd.DataFrame


def model_scores(results: Results, index: ScoreIndex, has_curves: bool = True) -> Iterator[ModelScores]:
    """The scores of each model, one model in memory at a time; with ``has_curves=False`` without the images' curves.

    Raises:
        ResultsError: If a file is damaged, foreign or a copy.
    """
    columns = ["model", *(field.name for field in fields(ResultRow) if has_curves or field.name != "curve")]
    finished = results.models()
    for model in index.models:
        if model in finished:
            frame = results.read(columns, model, categorical=True)
        else:
            frame = optional("pandas", "evaluation").DataFrame(columns=columns)
        rows = frame[(frame["score"] == "image") | frame["value"].isna()].drop(columns="curve", errors="ignore")
        frame = frame if has_curves else frame.assign(curve=None)
        yield ModelScores(ScoreTable(frame, {"models": [model]}, index), rows.astype(object))


class ScoreTable:
    """The scores of an evaluation as samples over its images.

    Args:
        frame: The rows, from :meth:`captum_ext.evaluation.Results.read`.
        settings: From :meth:`captum_ext.evaluation.Results.settings`.

    Attributes:
        models: In the settings' order.
        methods: In the papers' order, each method before its IDGI.
        steps: The step counts of each method with a path, ascending; empty for the others.

    Example:
        >>> import pandas as pd
        >>> from captum_ext.evaluation import ScoreTable, combine
        >>> rows = [("net", f"{k}.png", m, 8, "insertion", "signed", v + k, None) for k in range(12)
        ...         for m, v in (("ig", 0.1), ("idgi", 0.3))]
        >>> columns = ["model", "image", "method", "steps", "score", "variant", "value", "curve"]
        >>> table = ScoreTable(pd.DataFrame(rows, columns=columns), {"models": ["net"], "methods": ["ig", "idgi"]})
        >>> pair = [table.sample("net", method, "insertion", "signed") for method in ("idgi", "ig")]
        >>> str(combine(pair, lambda values: values[0] - values[1]))
        '0.200 [0.200, 0.200]'
    """

    def __init__(self, frame: pd.DataFrame, settings: dict[str, Any], index: ScoreIndex | None = None) -> None:
        """Group the rows.

        Args:
            frame: See the class.
            settings: See the class.
            index: What other models have too, so that tables of single models fit together. Default ``None``: these
                rows are all.
        """
        self.index = ScoreIndex.of(frame, settings) if index is None else index
        self.models = self.index.models if index is None else settings["models"]
        self.methods, self.steps = self.index.methods, self.index.steps
        self._samples: dict[tuple[str, str, str, str, int], ScoreSample] = {}
        scored = frame[frame["score"] != "image"]
        for (model, *names, steps), rows in scored.groupby(_KEY, observed=True):
            method, name, variant = names
            sample = _score_sample(rows, score_variant(name, variant).statistic)
            self._samples[model, method, name, variant, int(steps)] = sample

    @property
    def scores(self) -> list[ScoreVariant]:
        """All scores, in the papers' order."""
        return self.index.scores

    def largest(self, method: str) -> int:
        """The method's largest step count; 0 without a path."""
        return self.index.largest(method)

    def sample(self, model: str, method: str, score: str, variant: str, steps: int | None = None) -> ScoreSample | None:
        """The values of one score of one method.

        Args:
            model: A name of ``models``.
            method: A name of ``methods``.
            score: The results' column ``score``.
            variant: The results' column ``variant``.
            steps: The step count. Default ``None``: the method's largest.

        Returns:
            The sample; ``None`` if it was not measured.
        """
        if method not in self.steps:
            return None
        return self._samples.get((model, method, score, variant, self.largest(method) if steps is None else steps))

    def estimate(self, model: str, method: str, score: ScoreVariant, steps: int | None = None) -> Estimate | None:
        """The data set's value of a score; ``None`` if it was not measured."""
        return combine([self.sample(model, method, score.name, score.variant, steps)], lambda values: values[0])


def _score_sample(rows: pd.DataFrame, statistic: Statistic) -> ScoreSample:
    rows = rows[rows["value"].notna()]
    rows = rows.iloc[np.argsort(rows["image"].to_numpy(dtype=str), kind="stable")]
    curves = [curve for curve in rows["curve"] if curve is not None]
    are_complete = len(rows) > 0 and len(curves) == len(rows) and len({len(curve) for curve in curves}) == 1
    return ScoreSample(
        rows["image"].to_numpy(dtype=str),
        rows["value"].to_numpy(dtype=np.float64),
        np.stack(curves) if are_complete else None,
        statistic,
    )
