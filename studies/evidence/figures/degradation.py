"""Fig. 3: degradation curves, and PGIG against each other method."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from captum_ext.evaluation.reporting.estimates import Draws, Floats, mean_curve
from captum_ext.evaluation.reporting.figures import style
from captum_ext.evaluation.reporting.methods import looks
from evidence.claims.degradation import ELEVEN, PROTOCOLS, RUNS, column
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
from evidence.stored import Stored
from evidence.words import MODELS, label

_SHOWN = ("pgig", "patternattribution", "ig", "random")


def curves(stored: Stored) -> Figure | None:
    """Models down and protocols across: PGIG, its parents and random in colour, the others grey."""
    models = [run for run in RUNS if stored.run(run)]
    if not models:
        return None
    figure, panels = blank(len(models), 2, 2.5 * len(models) + 0.6, sharey="row")
    for line, run in zip(panels, models, strict=True):
        for panel, protocol in zip(line, PROTOCOLS, strict=True):
            for method in [*(m for m in ELEVEN if m not in _SHOWN), *reversed(_SHOWN)]:
                _curve(panel, stored, run, method, protocol)
            head(panel, f"{MODELS[run]}, protocol `{protocol}`".replace("`", ""))
        line[0].set_ylabel("mean probability, over the start's", fontsize=NORMAL)
    for panel in panels[-1]:
        panel.set_xlabel("patches replaced", fontsize=NORMAL)
    legend(figure, [*of_methods(_SHOWN), *_grey()], len(_SHOWN) + 1)
    return figure


def _grey() -> list[Any]:
    (handle,) = of_methods(["random"])
    handle.set(color="0.75", marker="", label="the seven others")
    return [handle]


def _curve(panel: Any, stored: Stored, run: str, method: str, protocol: str) -> None:
    sample = stored.sample(column(run, method, protocol))
    if sample is None or sample.curves is None:
        return
    points = sample.curves.shape[1]
    settings = stored.settings(run)
    each = settings.get("patches_per_point", 1)
    x = np.minimum(np.arange(points) * each, settings.get("n_patches", points - 1))
    if method not in _SHOWN:
        panel.plot(x, _relative(sample.curves, np.arange(len(sample.curves))[None])[0], color="0.75", linewidth=1)
        return
    curve(panel, x, sample.curves, max(1, points // 6), _relative, **style(looks([method])[method]))


def _relative(curves: Floats | None, drawn: Draws) -> Floats:
    """The mean curve over its start: images that start high are not what the band is about."""
    lines = mean_curve(curves, drawn)
    relative: Floats = lines / lines[:, :1]
    return relative


def against(stored: Stored) -> Figure | None:
    """PGIG's area less each other's."""
    models = [run for run in RUNS if stored.run(run)]
    rivals = [method for method in ELEVEN if method != "pgig"]
    if not models:
        return None
    figure, panels = blank(1, len(models), 4.0, sharey=True)
    for panel, run in zip(panels[0], models, strict=True):
        zero(panel)
        for k, protocol in enumerate(PROTOCOLS):
            for y, rival in enumerate(rivals):
                change = stored.difference(column(run, "pgig", protocol), column(run, rival, protocol))
                if change is not None:
                    dot(panel, change, y + 0.26 * (k - 0.5), color=SHADES[k], marker=MARKERS[k])
        rows(panel, [label(rival) for rival in rivals])
        head(panel, MODELS[run])
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.set_xlabel("left of 0: PGIG is steeper", fontsize=NORMAL)
    legend(figure, of_others([f"protocol {protocol}" for protocol in PROTOCOLS]), 2)
    return figure
