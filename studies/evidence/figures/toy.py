"""Fig. 2 (d): attributions of the signal and of the distractor."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evidence.claims.toy import METHODS, NAME, column
from evidence.figures.frame import NORMAL, SHADES, blank, head, legend
from evidence.stored import Stored
from evidence.words import label


def toy(stored: Stored) -> Figure | None:
    """A panel a method."""
    rows = stored.rows(NAME)
    if rows is None:
        return None
    figure, panels = blank(1, 3, 3.0, sharey=True)
    z = rows["z"].to_numpy()
    for panel, method in zip(panels[0], METHODS, strict=True):
        panel.plot(z, np.minimum(z, 1), color="black", linewidth=1)
        for colour, part in zip(SHADES, ("signal", "distractor"), strict=False):
            panel.plot(z, column(rows, method, "preactivation", part), ".", color=colour, markersize=2.5)
        head(panel, label(method))
        panel.set_xlabel("z; y is on its plateau from 1 on", fontsize=NORMAL)
    panels[0, 0].set_ylabel("attribution", fontsize=NORMAL)
    handles = [
        Line2D([], [], color=SHADES[0], marker=".", linestyle="", label="signal, x1"),
        Line2D([], [], color=SHADES[1], marker=".", linestyle="", label="distractor, x2"),
        Line2D([], [], color="black", linewidth=1, label="y = 1 - relu(1 - z)"),
    ]
    legend(figure, handles, 3)
    return figure
