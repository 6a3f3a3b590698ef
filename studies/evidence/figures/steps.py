"""Fig. 4: scores over the number of steps."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from captum_ext.evaluation.reporting.figures import style
from captum_ext.evaluation.reporting.methods import looks
from evidence.claims.stepped import BASES, RUN, SCORES, STEPS, columns
from evidence.figures.frame import NORMAL, blank, head, legend, of_methods
from evidence.papers import idgi
from evidence.stored import Stored

_METHODS = [method for base in BASES for method in (base, idgi(base))]


def steps(stored: Stored) -> Figure | None:
    """A panel a score."""
    shown = [score for score in SCORES if stored.run(RUN) and stored.value(columns("ig", score)[0])]
    if not shown:
        return None
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure, panels = blank(down, across, 2.5 * down + 0.5)
    look = looks(_METHODS)
    for panel in panels.flat[len(shown) :]:
        panel.set_axis_off()
    for panel, score in zip(panels.flat, shown, strict=False):
        for method in _METHODS:
            found = [stored.value(column) for column in columns(method, score)]
            # Of other photographs a point would move for that alone.
            found = [value if value and found[0] and value.n == found[0].n else None for value in found]
            x = [count for count, value in zip(STEPS, found, strict=True) if value is not None]
            y = np.array([[value.low, value.value, value.high] for value in found if value is not None]).T
            if len(x) > 1:
                panel.fill_between(x, y[0], y[2], color=look[method].colour, alpha=0.12, linewidth=0)
                panel.plot(x, y[1], **style(look[method]))
        panel.set_xscale("log", base=2)
        panel.set_xticks(STEPS, [str(count) for count in STEPS])
        panel.minorticks_off()
        head(panel, SCORES[score])
        panel.set_xlabel("steps", fontsize=NORMAL)
    legend(figure, of_methods(_METHODS), len(_METHODS))
    return figure
