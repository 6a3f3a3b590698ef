"""The sections of a report, with their tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from captum_ext.evaluation.reporting import figures
from captum_ext.evaluation.reporting.figures import Drawing
from captum_ext.evaluation.reporting.tables import Table, differences, methods_across, methods_down, spread
from captum_ext.evaluation.scores import ScoreTable, ScoreVariant


class Figure(NamedTuple):
    """One file per model: ``draw`` takes the numbers and the model; ``None`` if there is nothing to draw."""

    name: str
    draw: Callable[[ScoreTable, str], Drawing | None]


class Section(NamedTuple):
    """Tables that belong together, and the figures after them."""

    title: str
    tables: list[Table | None]
    figures: list[Figure]


class _ScoreSection(NamedTuple):
    """A section with a table of methods across, a figure of their values, and the curves of some scores."""

    name: str
    title: str
    scores: tuple[str, ...]
    has_curves: bool = True
    uses_ms_ssim: bool | None = None

    def scores_in(self, table: ScoreTable) -> list[ScoreVariant]:
        return [
            score
            for score in table.scores
            if score.name in self.scores and self.uses_ms_ssim in (None, "MS-SSIM" in score.title)
        ]

    def section(self, table: ScoreTable) -> Section:
        scores = self.scores_in(table)
        drawings = [Figure(f"{self.name}-methods", partial(figures.methods, scores=scores))]
        if self.has_curves:
            drawings += [Figure(f"{score}-curves", partial(figures.score_curves, name=score)) for score in self.scores]
        return Section(self.title, [methods_across(table, self.name, self.title, scores)], drawings)


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


def sections(table: ScoreTable) -> list[Section]:
    """All sections that have a table, in order."""
    papers = [score for plan in _PAPERS for score in plan.scores_in(table)]
    others = [score for score in table.scores if score not in papers]
    parts = [Section("Differences with IDGI", [differences(table, "differences", "Differences with IDGI")], [])]
    parts += [plan.section(table) for plan in _PAPERS]
    for name, title, scores in (
        ("table-4-steps", "Change with the number of steps (Table 4)", papers),
        ("steps-others", "Change with the number of steps: other metrics", others),
    ):
        changes = methods_down(table, name, title, scores, partial(spread, table), arrows=False)
        parts.append(Section(title, [changes], [Figure(name, partial(figures.steps, scores=scores))]))
    name, title = "table-5-stability", "Stability under JPEG compression (Table 5)"
    scores = [score for score in table.scores if score.name == "stability"]
    stability = methods_down(table, name, title, scores, table.estimate)
    parts.append(Section(title, [stability], [Figure(f"{name}-methods", partial(figures.methods, scores=scores))]))
    parts += [plan.section(table) for plan in _OTHERS]
    known = {name for plan in (*_PAPERS, *_OTHERS) for name in plan.scores} | {"stability"}
    rest = {score.name for score in table.scores} - known
    parts += [_ScoreSection("others", "Other scores", tuple(rest)).section(table), _appendix(table)]
    parts = [part._replace(tables=[item for item in part.tables if item is not None]) for part in parts]
    return [part for part in parts if part.tables]


def _appendix(table: ScoreTable) -> Section:
    """Tables 1 to 3 for each smaller step count, from the largest."""
    counts = sorted({steps for counts in table.steps.values() for steps in counts}, reverse=True)
    tables = []
    for steps in counts[1:]:
        for plan in _PAPERS:
            name = f"steps-{steps}-{plan.name.split('-', 2)[2]}"
            title = f"{plan.title.split(' (')[0]}, {steps} steps"
            tables.append(methods_across(table, name, title, plan.scores_in(table), steps))
    return Section("Appendix: fewer steps", tables, [])
