"""The plots of docs/benchmark.md."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.contenders import BARE
from benchmarks.fewer import COMPLETENESS, MAP, Photograph, measured, of
from benchmarks.figures import Results, a_point, entries, ratio, summary

RULE_COLOURS = {
    "gausslegendre": "tab:orange",
    "trapezoid": "tab:blue",
    "right": "tab:red",
    "auto": "black",
    "idgi": "tab:red",
    "idgi trapezoid": "tab:blue",
    "auto idgi": "black",
}
COLOURS = {"IG": "tab:blue", BARE: "black", "zennit IG": "tab:green", "Captum IG": "tab:red"}
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
    figure, panel = plt.subplots(figsize=(9, 0.42 * len(bars) + 1.2), layout="constrained")
    for row, (_, name, found) in enumerate(reversed(bars)):
        grey = name == BARE
        panel.barh(row, found.median, color="lightgrey" if grey else "tab:orange")
        panel.plot([found.low, found.high], [row, row], color="black", linewidth=1)
        label = panel.annotate(
            f"{found.median:.2f}", (found.high, row), (5, 0), textcoords="offset points", va="center"
        )
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # readable across the line at 1
    panel.axvline(1, color="tab:blue", linewidth=2)
    panel.set_yticks(range(len(bars)), [label for label, _, _ in reversed(bars)])
    panel.set_xlim(0, 1.15 * max(found.high for _, _, found in bars))
    panel.set_xlabel("times as long as this library (blue line); thin lines: all rounds")
    figure.savefig(file, dpi=90)
    plt.close(figure)


def fewer(results: Mapping[str, Photograph], file: Path) -> None:
    """Errors over the number of gradients: medians over the photographs, thin lines for each."""
    panels = [
        ("straight", "IG: completeness error", COMPLETENESS, ("gausslegendre", "right", "trapezoid", "auto")),
        ("straight", "IG: the map's error", MAP, ("gausslegendre", "right", "trapezoid", "auto")),
        ("straight", "IDGI: the map's error", MAP, ("idgi", "idgi trapezoid", "auto idgi")),
        ("blur", "Blur IG: the map's error", MAP, ("right", "trapezoid", "gausslegendre", "auto")),
    ]
    panels = [panel for panel in panels if of(results, panel[0])]
    figure, places = plt.subplots(1, len(panels), figsize=(4 * len(panels), 4), layout="constrained")
    budgets = [2**k for k in range(2, 11)]
    for place, (path, title, column, names) in zip(places, panels, strict=True):
        for name in names:
            colour = RULE_COLOURS[name]
            known = [
                one["curves"].get(name)
                for one in of(results, path)
                if column == COMPLETENESS or "right" in one["curves"]
            ]
            lines = [[_by(rows, column, most) for most in budgets] for rows in known if rows]
            for line in lines:
                place.plot(budgets, line, color=colour, alpha=0.2, linewidth=0.8)
            place.plot(budgets, [median(at) for at in zip(*lines, strict=True)], color=colour, label=name, linewidth=2)
        place.set(title=title, xlabel="gradients", xscale="log", yscale="log")
        place.xaxis.set_major_formatter(_PLAIN)
        place.legend(fontsize=8)
    places[0].set_ylabel("relative error; bold: median over photographs")
    figure.savefig(file, dpi=90)
    plt.close(figure)


def _by(rows: list[list[float]], column: int, most: int) -> float:
    """The error with the gradients of a budget, most of it spent."""
    # 2^k steps of a closed rule have one point more.
    affordable = [row for row in measured(rows, column) if row[0] <= most + 1]
    return max(affordable)[column] if affordable else nan


def axes(results: Results, file: Path) -> None:
    """Milliseconds a point of IG, one thing at a time."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", sharey=True)
    titles = {"photographs": "photographs in the call", "steps": "steps", "side": "side of the images in pixels"}
    for panel, (axis, title) in zip(panels, titles.items(), strict=True):
        found = entries(results, "axes", axis=axis)
        for name, colour in COLOURS.items():
            points = [(entry["value"], summary(a_point(entry, name))) for entry in found if name in entry["seconds"]]
            if points:
                x, y = zip(*points, strict=True)
                ends = [[one.median - one.low for one in y], [one.high - one.median for one in y]]
                label = "this library" if name == "IG" else name
                style = {"color": colour, "label": label, "linestyle": "--" if name == BARE else "-"}
                panel.errorbar(x, [one.median for one in y], yerr=ends, marker="o", capsize=3, **style)
        panel.set_xscale("log")
        panel.set_yscale("log")
        values = [entry["value"] for entry in found]
        panel.set_xticks(values, map(str, values))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel(title)
        panel.grid(which="both", alpha=0.3)
        panel.yaxis.set_major_formatter(_PLAIN)
        panel.yaxis.set_minor_formatter(_PLAIN)
        panel.tick_params(which="minor", labelsize=7)
    panels[0].set_ylabel("ms for an image and step")
    panels[0].legend()
    figure.savefig(file, dpi=90)
    plt.close(figure)


def memory(results: Results, file: Path) -> None:
    """Peak memory above the process's own."""
    found = entries(results, "memory")
    figure, panel = plt.subplots(figsize=(9, 0.36 * len(found) + 1.2), layout="constrained")
    for row, entry in enumerate(reversed(found)):
        peer = any(word in entry["contender"] for word in ("Captum", "PAIR", "zennit"))
        colour = "lightgrey" if entry["contender"] == BARE else "tab:orange" if peer else "tab:blue"
        panel.barh(row, entry["megabytes"], color=colour)
        panel.annotate(
            f"{entry['megabytes']:,} MB", (entry["megabytes"], row), (4, 0), textcoords="offset points", va="center"
        )
    labels = [f"{entry['contender']}, {entry['images']} images x {entry['steps']} steps" for entry in reversed(found)]
    panel.set_yticks(range(len(found)), labels)
    panel.set_xlim(right=1.15 * max(entry["megabytes"] for entry in found))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.set_xlabel("peak memory above the process's own, MB; blue: this library")
    figure.savefig(file, dpi=90)
    plt.close(figure)
