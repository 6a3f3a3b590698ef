"""The questions' figures, drawn from stored results."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from captum_ext import visualization
from captum_ext.visualization import COLORS, legend, set_title
from evidence.decisions import CONTRADICTED, NO_EFFECT, REPRODUCED, UNRESOLVED, Decision, of_claim
from evidence.stored import Stored

_WIDTH = 8.0  # inches; shown at 800 pixels, 9 points are 12.5 of them
_VERDICTS = {REPRODUCED: COLORS[2], CONTRADICTED: COLORS[1], NO_EFFECT: COLORS[0], UNRESOLVED: "0.45"}


def forest(stored: Stored, claims: Sequence[str]) -> Figure | None:
    """The primaries that judge some claims: a panel a measure, adjusted intervals, the margin in gray."""
    judged: dict[Decision, str] = {}
    measures: dict[str, list[tuple[str, Decision]]] = {}
    for name in claims:
        for decision in of_claim(stored, name):
            if judged.setdefault(decision, name) == name:
                measures.setdefault(decision.primary.measure, []).append((name, decision))
    if not measures:
        return None
    sizes = [len(some) + 1.6 for some in measures.values()]
    figure, panels = visualization.panels(len(sizes), 1, (_WIDTH, 0.24 * sum(sizes) + 0.4))
    panels[0, 0].get_gridspec().set_height_ratios(sizes)
    for panel, (measure, some) in zip(panels[:, 0], measures.items(), strict=True):
        bound, margin = some[0][1].primary.bound, some[0][1].primary.margin
        panel.axvspan(bound - margin, bound + margin, color="0.9", linewidth=0)
        panel.axvline(bound, color="0.3", linewidth=1)
        for y, (claim, decision) in enumerate(some):
            visualization.draw_interval(
                panel, decision.adjusted, y, color=_VERDICTS[decision.verdict(claim)], marker="o"
            )
        visualization.name_rows(panel, [decision.primary.pair for _, decision in some])
        set_title(panel, measure)
    legend(figure, {word: {"color": color, "marker": "o"} for word, color in _VERDICTS.items()}, len(_VERDICTS))
    return figure
