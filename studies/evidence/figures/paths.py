"""Fig. 5: the way done along the paths."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from captum_ext.evaluation.reporting.estimates import draws, interval
from evidence.claims.paths import NAME, PATHS, SHARES
from evidence.figures.frame import MARKERS, NORMAL, SHADES, blank, head, legend, of_others
from evidence.stored import Stored


def paths(stored: Stored) -> Figure | None:
    """A panel for the image's way and one for F's."""
    rows = stored.rows(NAME)
    if rows is None:
        return None
    figure, panels = blank(1, 2, 3.4, sharey=True)
    for panel, column in zip(panels[0], ("image_share", "variation_share"), strict=True):
        for k, path in enumerate(PATHS):
            wide = rows[rows["path"] == path].pivot_table(index="image", columns="tenth", values=column)
            done = np.concatenate([np.zeros((len(wide), 1)), wide.to_numpy().cumsum(1)], 1)
            band = interval(np.concatenate([np.median(done[drawn], axis=1) for drawn in draws(len(done))]))
            x = np.linspace(0, 1, done.shape[1])
            panel.fill_between(x, *band, color=SHADES[k], alpha=0.15, linewidth=0)
            panel.plot(x, np.median(done, 0), color=SHADES[k], marker=MARKERS[k], markersize=4, linewidth=1.4)
        head(panel, SHARES[column])
        panel.set_xlabel("from the path's start (0) to the image (1)", fontsize=NORMAL)
    panels[0, 0].set_ylabel("share done", fontsize=NORMAL)
    legend(figure, of_others(list(PATHS)), len(PATHS))
    return figure
