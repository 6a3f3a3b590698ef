"""What is left of the maps as a network forgets."""

from __future__ import annotations

from matplotlib.figure import Figure

from captum_ext.evaluation.reporting.figures import style
from captum_ext.evaluation.reporting.methods import looks
from evidence.claims.randomization import METHODS, NETWORKS, kinds, layers, similarity
from evidence.figures.frame import NORMAL, blank, head, legend, of_methods
from evidence.stored import Stored


def randomization(stored: Stored) -> Figure | None:
    """A panel a network, lines over the layers."""
    networks = [network for network in NETWORKS if layers(stored, network)]
    if not networks:
        return None
    figure, panels = blank(1, len(networks), 3.8, sharey=True)
    look = looks(METHODS)
    for panel, network in zip(panels[0], networks, strict=True):
        states = layers(stored, network)
        panel.axhline(0, color="0.3", linewidth=1)
        for method in METHODS:
            for kind in kinds(method):
                found = [similarity(stored, network, method, kind, layer, "absolute") for layer in states]
                points = [(x, value) for x, value in enumerate(found, 1) if value is not None]
                if not points:
                    continue
                x, y = [at for at, _ in points], [value for _, value in points]
                drawn = style(look[method])
                line = {**drawn, "linestyle": ":" if kind == "anew" else drawn["linestyle"]}
                colour = drawn["color"]
                panel.fill_between(x, [v.low for v in y], [v.high for v in y], color=colour, alpha=0.12, linewidth=0)
                panel.plot(x, [v.value for v in y], **line)
        head(panel, NETWORKS[network])
        is_cascade = len(states) > 2
        panel.set_xticks(range(1, len(states) + 1), None if is_cascade else states)
        panel.margins(x=0.05 if is_cascade else 0.3)
        panel.set_xlabel("layers made random" if is_cascade else "made random", fontsize=NORMAL)
    panels[0, 0].set_ylabel("rank correlation", fontsize=NORMAL)
    legend(figure, of_methods(METHODS), 3)
    return figure
