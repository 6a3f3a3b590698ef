"""Tables 1 to 3 and 5: dots with intervals, method by method."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from captum_ext.evaluation.reporting.figures import style
from captum_ext.evaluation.reporting.methods import looks
from evidence.claims import idgi, stability
from evidence.figures.frame import (
    MARKERS,
    NORMAL,
    SHADES,
    blank,
    curve,
    dot,
    head,
    legend,
    of_methods,
    of_others,
    rows,
    zero,
)
from evidence.papers import BASES
from evidence.papers import idgi as with_idgi
from evidence.stored import Column, Stored
from evidence.words import MODELS, label

_METHODS = [method for base in BASES for method in (base, with_idgi(base))]


def insertion(stored: Stored) -> Figure | None:
    """Every method's insertion area, rankings down and models across."""
    models = [run for run in idgi.RUNS if stored.run(run)]
    if not models:
        return None
    figure, panels = blank(2, len(models), 5.2, sharex=True, sharey=True)
    for line, ranking in zip(panels, ("signed", "absolute"), strict=True):
        for panel, run in zip(line, models, strict=True):
            _dots(panel, stored, run, "insertion", ranking, [*_METHODS, "random"])
            head(panel, f"{MODELS[run]}, {ranking} ranking")
    for panel in panels[-1]:
        panel.set_xlabel("insertion, higher is better", fontsize=NORMAL)
    return figure


def curves(stored: Stored) -> Figure | None:
    """The probability of the target as pixels are put in, by either ranking, on the first model that there is."""
    models = [run for run in idgi.RUNS if stored.run(run)]
    if not models:
        return None
    figure, panels = blank(1, 2, 3.6, sharey=True)
    methods = [*_METHODS, "random"]
    look = looks(methods)
    for panel, ranking in zip(panels[0], ("signed", "absolute"), strict=True):
        for method in methods:
            sample = stored.sample(Column(models[0], method, "insertion", ranking))
            if sample is not None and sample.curves is not None:
                x = np.linspace(0, 1, sample.curves.shape[1])
                curve(panel, x, sample.curves, 4, **style(look[method]))
        head(panel, f"{MODELS[models[0]]}, {ranking} ranking")
        panel.set_xlabel("share of the pixels inserted", fontsize=NORMAL)
    panels[0, 0].set_ylabel("probability of the target", fontsize=NORMAL)
    legend(figure, of_methods(methods), 4)
    return figure


def added(stored: Stored) -> Figure | None:
    """What IDGI adds, scores down and bases across."""
    scores = [*idgi.INSERTION[:2], *idgi.SIZE, *idgi.STRUCTURE]
    models = [run for run in idgi.RUNS if stored.run(run)]
    if not models:
        return None
    figure, panels = blank(1, len(BASES), 4.6, sharex=True, sharey=True)
    names = [f"{score.title}{' MS-SSIM' if score in idgi.STRUCTURE else ''}, {score.ranking}" for score in scores]
    for panel, base in zip(panels[0], BASES, strict=True):
        zero(panel)
        for k, run in enumerate(models):
            for y, score in enumerate(scores):
                pair = (Column(run, method, score.name, score.variant) for method in (with_idgi(base), base))
                change = stored.difference(*pair)
                if change is not None:
                    dot(panel, change, y + 0.24 * (k - (len(models) - 1) / 2), color=SHADES[k], marker=MARKERS[k])
        rows(panel, names)
        head(panel, f"{label(base)} + IDGI less {label(base)}")
        panel.set_xlabel("right of 0: IDGI is better", fontsize=NORMAL)
    legend(figure, of_others([MODELS[run] for run in models]), len(models))
    return figure


def stable(stored: Stored) -> Figure | None:
    """Table 5 by three normalisations."""
    if stored.run(stability.RUN) is None:
        return None
    figure, panels = blank(1, 3, 2.9, sharey=True)
    for panel, (variant, title) in zip(panels[0], stability.NORMALISATIONS.items(), strict=True):
        _dots(panel, stored, stability.RUN, "stability", variant, _METHODS)
        name, _, unit = title.partition(" (")
        head(panel, f"by {name}" if unit else title)
        panel.set_xlabel(unit.rstrip(")") or "Spearman's", fontsize=NORMAL)
    return figure


def _dots(panel: object, stored: Stored, run: str, score: str, variant: str, methods: list[str]) -> None:
    look = looks(methods)
    for y, method in enumerate(methods):
        found = stored.value(Column(run, method, score, variant))
        if found is not None:
            dot(panel, found, y, **style(look[method]))  # type: ignore[arg-type]
    rows(panel, [look[method].label for method in methods])  # type: ignore[arg-type]
