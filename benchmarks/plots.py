"""The plots of docs/benchmark.md."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from pathlib import Path
from statistics import median

from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.contenders import BARE
from benchmarks.fewer import COMPLETENESS, MAP, Photograph, measured, of
from benchmarks.figures import Results, a_point, entries, ratio, summary
from captum_ext.visualization import COLORS, SMALL, name_rows, panels, png, set_title

BLUE, RED, GREEN, _ = COLORS
ORANGE, GRAY = "#E69F00", "0.8"
RULE_COLORS = {
    "gausslegendre": ORANGE,
    "trapezoid": BLUE,
    "right": RED,
    "auto": "black",
    "idgi": RED,
    "idgi trapezoid": BLUE,
    "auto idgi": "black",
}
CONTENDER_COLORS = {"IG": BLUE, BARE: "black", "zennit IG": GREEN, "Captum IG": RED}
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def times(results: Results, file: Path) -> None:
    """How many times as long as this library everyone takes, for the same maps."""
    bars = []
    for part, comparison, own in (
        ("centre", "IG, as many as Captum has room for", "IG"),
        ("centre", "IG, few photographs", "IG"),
        ("centre", "IG", "IG"),
        ("centre", "IDGI", "IDGI"),
        ("paths", "Guided IG", "Guided IG"),
        ("paths", "Blur IG", "Blur IG"),
    ):
        for entry in entries(results, part, comparison=comparison):
            others = ["IDGI's formula"] if own == "IDGI" else [name for name in entry["seconds"] if name != own]
            size = f"{entry['images']} x {entry['steps']}"
            bars += [
                (f"{other} over this library's {own}, {size}", other, ratio(entry, other, own)) for other in others
            ]
    if not bars:
        return
    figure, ((panel,),) = panels(1, 1, (9, 0.42 * len(bars) + 1.2))
    for row, (_, name, found) in enumerate(bars):
        panel.barh(row, found.median, color=GRAY if name == BARE else ORANGE)
        panel.plot([found.low, found.high], [row, row], color="black", linewidth=1)
        label = panel.annotate(
            f"{found.median:.2f}", (found.high, row), (5, 0), textcoords="offset points", va="center"
        )
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # readable across the line at 1
    panel.axvline(1, color=BLUE, linewidth=2)
    name_rows(panel, [label for label, _, _ in bars])
    panel.set_xlim(0, 1.15 * max(found.high for _, _, found in bars))
    panel.set_xlabel("times as long as this library (blue line); thin lines: all rounds")
    file.write_bytes(png(figure))


def fewer(results: Mapping[str, Photograph], file: Path) -> None:
    """Errors over the number of gradients: medians over the photographs, thin lines for each."""
    wanted = [
        ("straight", "IG: completeness error", COMPLETENESS, ("gausslegendre", "right", "trapezoid", "auto")),
        ("straight", "IG: the map's error", MAP, ("gausslegendre", "right", "trapezoid", "auto")),
        ("straight", "IDGI: the map's error", MAP, ("idgi", "idgi trapezoid", "auto idgi")),
        ("blur", "Blur IG: the map's error", MAP, ("right", "trapezoid", "gausslegendre", "auto")),
    ]
    wanted = [one for one in wanted if of(results, one[0])]
    figure, (places,) = panels(1, len(wanted), (4 * len(wanted), 4))
    budgets = [2**k for k in range(2, 11)]
    for place, (path, title, column, names) in zip(places, wanted, strict=True):
        for name in names:
            color = RULE_COLORS[name]
            known = [
                one["curves"].get(name)
                for one in of(results, path)
                if column == COMPLETENESS or "right" in one["curves"]
            ]
            lines = [[_by(rows, column, most) for most in budgets] for rows in known if rows]
            for line in lines:
                place.plot(budgets, line, color=color, alpha=0.2, linewidth=0.8)
            place.plot(budgets, [median(at) for at in zip(*lines, strict=True)], color=color, label=name, linewidth=2)
        set_title(place, title)
        place.set(xlabel="gradients", xscale="log", yscale="log")
        place.xaxis.set_major_formatter(_PLAIN)
        place.legend(fontsize=SMALL, frameon=False)
    places[0].set_ylabel("relative error; bold: median over photographs")
    file.write_bytes(png(figure))


def _by(rows: list[list[float]], column: int, most: int) -> float:
    """The error with the gradients of a budget, most of it spent."""
    # 2^k steps of a closed rule have one point more.
    affordable = [row for row in measured(rows, column) if row[0] <= most + 1]
    return max(affordable)[column] if affordable else nan


def axes(results: Results, file: Path) -> None:
    """Milliseconds a point of IG, one thing at a time."""
    figure, (places,) = panels(1, 3, (12, 4), sharey=True)
    titles = {"photographs": "photographs in the call", "steps": "steps", "side": "side of the images in pixels"}
    for panel, (axis, title) in zip(places, titles.items(), strict=True):
        found = entries(results, "axes", axis=axis)
        for name, color in CONTENDER_COLORS.items():
            points = [(entry["value"], summary(a_point(entry, name))) for entry in found if name in entry["seconds"]]
            if points:
                x, y = zip(*points, strict=True)
                ends = [[one.median - one.low for one in y], [one.high - one.median for one in y]]
                label = "this library" if name == "IG" else name
                style = {"color": color, "label": label, "linestyle": "--" if name == BARE else "-"}
                panel.errorbar(x, [one.median for one in y], yerr=ends, marker="o", capsize=3, **style)
        panel.set_xscale("log")
        panel.set_yscale("log")
        values = [entry["value"] for entry in found]
        panel.set_xticks(values, map(str, values))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel(title)
        panel.yaxis.set_major_formatter(_PLAIN)
        panel.yaxis.set_minor_formatter(_PLAIN)
    places[0].set_ylabel("ms for an image and step")
    places[0].legend(fontsize=SMALL, frameon=False)
    file.write_bytes(png(figure))


def memory(results: Results, file: Path) -> None:
    """Peak memory above the process's own."""
    found = entries(results, "memory")
    figure, ((panel,),) = panels(1, 1, (9, 0.36 * len(found) + 1.2))
    for row, entry in enumerate(found):
        peer = any(word in entry["contender"] for word in ("Captum", "PAIR", "zennit"))
        color = GRAY if entry["contender"] == BARE else ORANGE if peer else BLUE
        panel.barh(row, entry["megabytes"], color=color)
        panel.annotate(
            f"{entry['megabytes']:,} MB", (entry["megabytes"], row), (4, 0), textcoords="offset points", va="center"
        )
    name_rows(panel, [f"{entry['contender']}, {entry['images']} images x {entry['steps']} steps" for entry in found])
    panel.set_xlim(right=1.15 * max(entry["megabytes"] for entry in found))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.set_xlabel("peak memory above the process's own, MB; blue: this library")
    file.write_bytes(png(figure))
