"""The sections of a report: which tables and figures it has, and how they are made from the scores of one model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from captum_ext.evaluation.reporting import figures
from captum_ext.evaluation.reporting.figures import Drawing
from captum_ext.evaluation.reporting.tables import Table, differences, methods_across, methods_down, spread
from captum_ext.evaluation.scores import ScoreIndex, ScoreTable, ScoreVariant


class Figure(NamedTuple):
    """One file per model: ``draw`` takes the numbers and the model; ``None`` if there is nothing to draw."""

    name: str
    draw: Callable[[ScoreTable, str], Drawing | None]


class Section(NamedTuple):
    """Tables that belong together, and the figures after them.

    Attributes:
        title: The heading.
        tables: Each returns the rows of the models of a table of scores; those of several models are joined.
        figures: Of each model.
    """

    title: str
    tables: list[Callable[[ScoreTable], Table]]
    figures: list[Figure]


class _ScoreSection(NamedTuple):
    """A section with a table of methods across, a figure of their values, and the curves of some scores."""

    name: str
    title: str
    scores: tuple[str, ...]
    has_curves: bool = True
    uses_ms_ssim: bool | None = None

    def scores_in(self, index: ScoreIndex) -> list[ScoreVariant]:
        return [
            score
            for score in index.scores
            if score.name in self.scores and self.uses_ms_ssim in (None, "MS-SSIM" in score.title)
        ]

    def section(self, index: ScoreIndex) -> Section:
        scores = self.scores_in(index)
        drawings = [Figure(f"{self.name}-methods", partial(figures.methods, scores=scores))]
        if self.has_curves:
            drawings += [Figure(f"{score}-curves", partial(figures.score_curves, name=score)) for score in self.scores]
        across = partial(methods_across, name=self.name, title=self.title, scores=scores)
        return Section(self.title, [across], drawings)


_LOCALIZATION = (
    *("localization-auc", "best-f1", "pointing-game", "relevance-mass-accuracy", "relevance-rank-accuracy"),
    *("localization-iou", "map-mae"),
)
_PAPERS = (
    _ScoreSection("table-1-insertion", "Insertion (Table 1)", ("insertion", "insertion-ratio")),
    _ScoreSection(
        "table-2-information-by-size", "AIC and SIC by file size (Table 2)", ("aic", "sic"), uses_ms_ssim=False
    ),
    _ScoreSection("table-3-information-by-ms-ssim", "AIC and SIC by MS-SSIM (Table 3)", ("aic", "sic"), False, True),
)
_OTHERS = (
    _ScoreSection("degradation", "Degradation (PGIG's Fig. 3)", ("degradation",)),
    _ScoreSection("deletion", "Deletion", ("deletion",)),
    _ScoreSection("road", "ROAD", ("road", "road-lerf")),
    _ScoreSection("diffid", "DiffID", ("diffid",), False),
    _ScoreSection("localization", "Localization", _LOCALIZATION, False),
    _ScoreSection("grid-pointing-game", "Grid pointing game", ("grid-pointing-game",), False),
    _ScoreSection("completeness", "Completeness", ("completeness",), False),
    _ScoreSection("class-sensitivity", "Class sensitivity", ("class-sensitivity",), False),
    _ScoreSection("randomization", "Model randomization", ("randomization",)),
)


def sections(index: ScoreIndex) -> list[Section]:
    """All sections, in order, for results with these scores. Some have no table with a row."""
    papers = [score for plan in _PAPERS for score in plan.scores_in(index)]
    others = [score for score in index.scores if score not in papers]
    title = "Differences with IDGI"
    parts = [Section(title, [partial(differences, name="differences", title=title)], [])]
    parts += [plan.section(index) for plan in _PAPERS]
    for name, title, scores in (
        ("table-4-steps", "Change with the number of steps (Table 4)", papers),
        ("steps-others", "Change with the number of steps: other metrics", others),
    ):
        changes = partial(methods_down, name=name, title=title, scores=scores, value=spread, arrows=False)
        parts.append(Section(title, [changes], [Figure(name, partial(figures.steps, scores=scores))]))
    name, title = "table-5-stability", "Stability under JPEG compression (Table 5)"
    scores = [score for score in index.scores if score.name == "stability"]
    stability = partial(methods_down, name=name, title=title, scores=scores, value=ScoreTable.estimate)
    parts.append(Section(title, [stability], [Figure(f"{name}-methods", partial(figures.methods, scores=scores))]))
    parts += [plan.section(index) for plan in _OTHERS]
    known = {name for plan in (*_PAPERS, *_OTHERS) for name in plan.scores} | {"stability"}
    rest = {score.name for score in index.scores} - known
    return [*parts, _ScoreSection("others", "Other scores", tuple(rest)).section(index), _appendix(index)]


def score_captions(index: ScoreIndex) -> list[tuple[str, str]]:
    """The names, which captions have, and titles of the sections on scores that were measured."""
    captions = [(plan.name, plan.title) for plan in (*_PAPERS, *_OTHERS) if plan.scores_in(index)]
    if any(score.name == "stability" for score in index.scores):
        captions.append(("table-5-stability", "Stability"))
    return captions


def _appendix(index: ScoreIndex) -> Section:
    """Tables 1 to 3 for each smaller step count, from the largest."""
    counts = sorted({steps for counts in index.steps.values() for steps in counts}, reverse=True)
    tables: list[Callable[[ScoreTable], Table]] = []
    for steps in counts[1:]:
        for plan in _PAPERS:
            name = f"steps-{steps}-{plan.name.split('-', 2)[2]}"
            title = f"{plan.title.split(' (')[0]}, {steps} steps"
            scores = plan.scores_in(index)
            tables.append(partial(methods_across, name=name, title=title, scores=scores, steps=steps))
    return Section("Appendix: fewer steps", tables, [])
