"""The figures' frame: panels, axes, one legend, and files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captum_ext._utils.optional import optional
from captum_ext.evaluation.reporting.methods import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL, LEGEND = (4.4, 3.6), 2.3  # inches


@dataclass(frozen=True)
class Drawing:
    """A figure, and what it shows."""

    title: str
    figure: Figure

    def png(self) -> bytes:
        """The file."""
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=110)
        return file.getvalue()


def blank(
    panels: int, across: int, title: str, subject: str, size: tuple[float, float] = PANEL, legend: float = LEGEND
) -> Any:
    """A figure with room for a legend at its right, and so many panels, each with a thin frame.

    Returns:
        The figure, and its panels in reading order.
    """
    figures, agg = (optional(f"matplotlib.{name}", "evaluation") for name in ("figure", "backends.backend_agg"))
    across = min(across, panels)
    down = -(-panels // across)
    figure = figures.Figure(figsize=(size[0] * across + legend, size[1] * down + 0.7), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, wspace=0.02)
    agg.FigureCanvasAgg(figure)
    every = list(figure.subplots(down, across, squeeze=False).flat)
    for panel in every[panels:]:
        panel.set_axis_off()
    for panel in every[:panels]:
        panel.grid(color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    # At the left, so that it does not meet the legend where there is one panel only.
    figure.suptitle(f"{title}\n{_short(subject)}", x=0.01, ha="left", fontsize=11).set_parse_math(False)
    return figure, every[:panels]


def _short(text: str, most: int = 55) -> str:
    """The end of a long name, which tells more."""
    return text if len(text) <= most else f"...{text[3 - most :]}"


def head(panel: Axes, title: str, direction: str) -> None:
    """A panel's title, and below it what is good."""
    text = f"{title}\n{direction}" if direction else title
    panel.set_title(text, fontsize=10, loc="left", parse_math=False)


def style(look: Look) -> dict[str, Any]:
    """Of a line: IDGI is dashed and its markers hollow."""
    return {
        "color": look.colour,
        "marker": look.marker,
        "markersize": 5,
        "markerfacecolor": "white" if look.dashed else look.colour,
        "linestyle": "--" if look.dashed else "-",
        "linewidth": 1.6,
    }


def legend(figure: Figure, looks: list[Look]) -> None:
    """One for all panels, outside of them."""
    lines = optional("matplotlib.lines", "evaluation")
    handles = [lines.Line2D([], [], **style(look)) for look in looks]
    found = figure.legend(
        handles, [look.label for look in looks], loc="outside right upper", fontsize=9, frameon=False, handlelength=3.2
    )
    for text in found.get_texts():
        text.set_parse_math(False)
