"""What a report has: sections of tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from captum_ext.evaluation.reporting import dots
from captum_ext.evaluation.reporting.curves import curves
from captum_ext.evaluation.reporting.figures import Drawing
from captum_ext.evaluation.reporting.findings import Findings
from captum_ext.evaluation.reporting.measures import Measure
from captum_ext.evaluation.reporting.tables import Table, differences, methods_across, methods_down


@dataclass(frozen=True)
class Figure:
    """One file a model: ``draw`` takes the findings and the model; ``None`` if there is nothing to draw."""

    name: str
    draw: Callable[[Findings, str], Drawing | None]


@dataclass(frozen=True)
class Section:
    """Tables that belong together, and the figures after them."""

    title: str
    tables: list[Table]
    figures: list[Figure]


@dataclass(frozen=True)
class _Plan:
    """A section with one table of methods across, a figure of their values, and one of each score's curves."""

    name: str
    title: str
    caption: str
    scores: tuple[str, ...]
    chosen: Callable[[Measure], bool] = lambda _: True
    has_curves: bool = True

    def measures(self, findings: Findings) -> list[Measure]:
        return [m for m in findings.measures if m.score in self.scores and self.chosen(m)]


_INFORMATION = ("aic", "sic")
_PAPERS = (
    _Plan(
        "table-1-insertion",
        "Insertion (Table 1)",
        "The area under the target's probability as pixels are put into black, those with the highest "
        "attribution first. The ratio is to the whole image's probability. Ranked by sign, what speaks against the "
        "class comes last; by magnitude, early.",
        ("insertion", "insertion-ratio"),
    ),
    _Plan(
        "table-2-information-by-size",
        "AIC and SIC by file size (Table 2)",
        "The area under the curve of all images: their median or mean curve, by the protocol. On P points no area is "
        "below .5 / (P - 1), that of a curve that is 0 but for its end: .005 for the study's and .0005 for the others "
        "are floors, not scores.",
        _INFORMATION,
        lambda measure: not measure.by_structure,
    ),
    _Plan(
        "table-3-information-by-ms-ssim",
        "AIC and SIC by MS-SSIM (Table 3)",
        "As before, with the picture's likeness to the original in place of its file's size. The curves are above.",
        _INFORMATION,
        lambda measure: measure.by_structure,
        has_curves=False,
    ),
)
_OTHERS = (
    _Plan(
        "degradation",
        "Degradation (PGIG's Fig. 3)",
        "The area under the target's probability as patches are replaced by their mean, those with the highest "
        "attribution first. A steeper fall is better.",
        ("degradation",),
    ),
    _Plan(
        "deletion",
        "Deletion",
        "The area under the target's probability as pixels are replaced by black, those with the highest "
        "attribution first.",
        ("deletion",),
    ),
    _Plan(
        "completeness",
        "Completeness",
        "By how much the attributions' sum misses the change of the output, as a share of that change: the median over "
        "the images. IDGI's is near 0 by construction and says nothing about accuracy.",
        ("completeness",),
        has_curves=False,
    ),
    _Plan(
        "class-sensitivity",
        "Class sensitivity",
        "The rank correlation of the maps of two classes. Near 0 is sensitive to the class; so is a map of noise.",
        ("class-sensitivity",),
        has_curves=False,
    ),
    _Plan(
        "randomization",
        "Model randomisation",
        "The rank correlation with the model's own maps as its layers are made random, from the output on: the mean "
        "over the layers. A map that stays as it is does not show what the model learned.",
        ("randomization",),
    ),
)
_DIFFERENCES = (
    "The value with IDGI less that without, over the images that both have, each resampled together, at the largest "
    "step count. *better* and *worse* mark intervals over 10 images or more that leave out 0;"
    " of 20 comparisons of equals, one is marked by "
    "chance."
)
_SPREAD = (
    "The largest less the smallest value over the step counts, over the images that all have. The interval is of the "
    "difference between these two step counts; it does not allow for their having been picked."
)
_STABILITY = (
    "Maps of the image and of its JPEG compressed version. The mean squared difference after each map was divided by "
    "its signed sum (the study's) mostly tells how near that sum is to 0; by the sum of magnitudes, and by rank, it "
    "tells of the maps."
)


def sections(findings: Findings) -> list[Section]:
    """All that there is something in, in order."""
    papers = [measure for plan in _PAPERS for measure in plan.measures(findings)]
    others = [measure for measure in findings.measures if measure not in papers]
    found = [_section("What IDGI adds", [differences(findings, "differences", "What IDGI adds", _DIFFERENCES)])]
    found += [_across(findings, plan) for plan in _PAPERS]
    titles = ("Change with the number of steps (Table 4)", "Change with the number of steps: other measures")
    for name, title, some in zip(("table-4-steps", "steps-others"), titles, (papers, others), strict=True):
        table = methods_down(findings, name, title, _SPREAD, some, findings.spread, arrows=False)
        found.append(_section(title, [table], [Figure(name, partial(dots.steps, measures=some))]))
    name, title = "table-5-stability", "Stability under JPEG compression (Table 5)"
    chosen = [measure for measure in findings.measures if measure.score == "stability"]
    table = methods_down(findings, name, title, _STABILITY, chosen, findings.at_most)
    found.append(_section(title, [table], [Figure(f"{name}-methods", partial(dots.methods, measures=chosen))]))
    found += [_across(findings, plan) for plan in _OTHERS]
    known = {score for plan in (*_PAPERS, *_OTHERS) for score in plan.scores} | {"stability"}
    rest = tuple({measure.score for measure in findings.measures} - known)
    found.append(_across(findings, _Plan("others", "Other scores", "The mean over the images.", rest)))
    found.append(_appendix(findings))
    return [section for section in found if section.tables]


def _across(findings: Findings, plan: _Plan) -> Section:
    chosen = plan.measures(findings)
    figures = [Figure(f"{plan.name}-methods", partial(dots.methods, measures=chosen))]
    if plan.has_curves:
        figures += [Figure(f"{score}-curves", partial(curves, score=score)) for score in plan.scores]
    return _section(plan.title, [methods_across(findings, plan.name, plan.title, plan.caption, chosen)], figures)


def _appendix(findings: Findings) -> Section:
    """Tables 1 to 3 for each smaller step count, from the largest."""
    counts = sorted({steps for every in findings.steps.values() for steps in every}, reverse=True)
    tables = []
    for steps in counts[1:]:
        for plan in _PAPERS:
            name = f"steps-{steps}-{plan.name.split('-', 2)[2]}"
            title = f"{plan.title.split(' (')[0]}, {steps} steps"
            tables.append(methods_across(findings, name, title, "", plan.measures(findings), steps))
    return _section("Appendix: fewer steps", tables)


def _section(title: str, tables: list[Table | None], figures: list[Figure] | None = None) -> Section:
    return Section(title, [table for table in tables if table is not None], figures or [])
