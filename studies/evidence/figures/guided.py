"""Guided IG under noise."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from captum_ext.evaluation.reporting.figures import style
from captum_ext.evaluation.reporting.methods import looks
from evidence.claims.guided import CHANGES, METHODS, NAME, NOISES, distance
from evidence.figures.frame import NORMAL, blank, head, legend, of_methods
from evidence.stored import Stored

_OTHERS = ("alone", "two threads")
_LEAST = 1e-8  # maps that are equal bit for bit lie here, below everything


def guided(stored: Stored) -> Figure | None:
    """The median distance by noise at the left, by batch shape and threads at the right."""
    if stored.rows(NAME) is None:
        return None
    figure, panels = blank(1, 2, 3.3, sharey=True)
    noise, others = panels[0]
    look = looks(METHODS)
    for k, method in enumerate(METHODS):
        for panel, changes in ((noise, NOISES), (others, _OTHERS)):
            found = [(x, value) for x, change in enumerate(changes) if (value := distance(stored, method, change))]
            if not found:
                continue
            x = np.array([at for at, _ in found]) + (0.12 * (k - 1.5) if panel is others else 0)
            low, mid, high = np.maximum([[v.low, v.value, v.high] for _, v in found], _LEAST).T
            drawn = style(look[method])
            if panel is noise:
                panel.fill_between(x, low, high, color=drawn["color"], alpha=0.15, linewidth=0)
            else:
                panel.vlines(x, low, high, color=drawn["color"], linewidth=1.4)
            panel.plot(x, mid, **{**drawn, "linestyle": drawn["linestyle"] if panel is noise else ""})
    noise.set_yscale("log")
    noise.set_xticks(range(len(NOISES)), [f"1e-{int(name[-2:])}" for name in NOISES])
    noise.set_xlabel("relative noise in the gradients", fontsize=NORMAL)
    noise.set_ylabel("distance of the maps, relative", fontsize=NORMAL)
    others.set_xticks(range(len(_OTHERS)), [CHANGES[name].replace(" instead", "\ninstead") for name in _OTHERS])
    others.set_xlim(-0.5, len(_OTHERS) - 0.5)
    head(noise, "noise")
    head(others, "rounding only")
    legend(figure, of_methods(METHODS), len(METHODS))
    return figure
