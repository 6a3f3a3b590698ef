"""The plots of docs/benchmark.md."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from pathlib import Path
from statistics import median

from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.contenders import BARE, CAPTUM
from benchmarks.fewer import COMPLETENESS, MAP, Photograph, on_path, with_error
from benchmarks.figures import Results, entries, milliseconds, ratio, summarize, work_of
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
CONTENDER_COLORS = {"IG": BLUE, BARE: "black", "zennit IG": GREEN, CAPTUM: RED}
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def times(results: Results, file: Path) -> None:
    """The time of every contender over this library's, for the same maps."""
    bars = []
    for entry in [*entries(results, "centre"), *entries(results, "paths")]:
        own = next(name for name in ("IDGI", "Guided IG", "Blur IG", "IG") if name in entry["seconds"])
        others = ["IDGI's formula"] if own == "IDGI" else [name for name in entry["seconds"] if name != own]
        bars += [
            (f"{other} over {own}, {work_of(entry)}", other, ratio(entry, other, own))
            for other in others
            if other in entry["seconds"]
        ]
    if not bars:
        return
    figure, ((panel,),) = panels(1, 1, (9, 0.42 * len(bars) + 1.2))
    for row, (_, name, times) in enumerate(bars):
        color = GRAY if name == BARE else BLUE if name.startswith("IG") else ORANGE
        panel.barh(row, times.median, color=color)
        panel.plot([times.low, times.high], [row, row], color="black", linewidth=1)
        label = panel.annotate(
            f"{times.median:.2f}", (times.high, row), (5, 0), textcoords="offset points", va="center"
        )
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # readable across the line at 1
    panel.axvline(1, color=BLUE, linewidth=2)
    name_rows(panel, [label for label, _, _ in bars])
    panel.set_xlim(0, 1.15 * max(times.high for _, _, times in bars))
    panel.set_xlabel("time over this library's on the plain model (blue line); thin lines: all rounds")
    file.write_bytes(png(figure))


def fewer(results: Mapping[str, Photograph], file: Path) -> None:
    """Errors over the number of gradients: medians over the photographs, and thin lines for each."""
    curves = [
        ("straight", "IG: completeness error", COMPLETENESS, ("gausslegendre", "right", "trapezoid", "auto")),
        ("straight", "IG: error of the map", MAP, ("gausslegendre", "right", "trapezoid", "auto")),
        ("straight", "IDGI: error of the map", MAP, ("idgi", "idgi trapezoid", "auto idgi")),
        ("blur", "Blur IG: error of the map", MAP, ("right", "trapezoid", "gausslegendre", "auto")),
    ]
    curves = [curve for curve in curves if on_path(results, curve[0])]
    figure, (row,) = panels(1, len(curves), (4 * len(curves), 4))
    budgets = [2**k for k in range(2, 11)]
    for panel, (path, title, column, names) in zip(row, curves, strict=True):
        for name in names:
            color = RULE_COLORS[name]
            photographs = [
                photograph["curves"].get(name)
                for photograph in on_path(results, path)
                if column == COMPLETENESS or "right" in photograph["curves"]
            ]
            lines = [[_error_within(rows, column, budget) for budget in budgets] for rows in photographs if rows]
            for line in lines:
                panel.plot(budgets, line, color=color, alpha=0.2, linewidth=0.8)
            medians = [median(errors) for errors in zip(*lines, strict=True)]
            panel.plot(budgets, medians, color=color, label=name, linewidth=2)
        set_title(panel, title)
        panel.set(xlabel="gradients", xscale="log", yscale="log")
        panel.xaxis.set_major_formatter(_PLAIN)
        panel.legend(fontsize=SMALL, frameon=False)
    row[0].set_ylabel("relative error; bold: median over photographs")
    file.write_bytes(png(figure))


def _error_within(rows: list[list[float]], column: int, budget: int) -> float:
    """The error of the largest number of gradients within a budget."""
    # 2^k steps of a closed rule have one more point.
    affordable = [row for row in with_error(rows, column) if row[0] <= budget + 1]
    return max(affordable)[column] if affordable else nan


def axes(results: Results, file: Path) -> None:
    """Milliseconds per point of IG, while one setting changes."""
    figure, (row,) = panels(1, 3, (12, 4), sharey=True)
    titles = {"photographs": "photographs in the call", "steps": "steps", "side": "side of the images in pixels"}
    for panel, (axis, title) in zip(row, titles.items(), strict=True):
        measured = entries(results, "axes", axis=axis)
        for name, color in CONTENDER_COLORS.items():
            points = [
                (entry["value"], summarize(milliseconds(entry, name))) for entry in measured if name in entry["seconds"]
            ]
            if points:
                x, y = zip(*points, strict=True)
                ends = [[one.median - one.low for one in y], [one.high - one.median for one in y]]
                label = "this library" if name == "IG" else name
                style = {"color": color, "label": label, "linestyle": "--" if name == BARE else "-"}
                panel.errorbar(x, [one.median for one in y], yerr=ends, marker="o", capsize=3, **style)
        panel.set_xscale("log")
        panel.set_yscale("log")
        values = [entry["value"] for entry in measured]
        panel.set_xticks(values, map(str, values))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel(title)
        panel.yaxis.set_major_formatter(_PLAIN)
        panel.yaxis.set_minor_formatter(_PLAIN)
    row[0].set_ylabel("ms per point")
    row[0].legend(fontsize=SMALL, frameon=False)
    file.write_bytes(png(figure))


def memory(results: Results, file: Path) -> None:
    """Peak memory of a call above the memory of the process."""
    measured = entries(results, "memory")
    figure, ((panel,),) = panels(1, 1, (9, 0.36 * len(measured) + 1.2))
    for row, entry in enumerate(measured):
        peer = any(word in entry["contender"] for word in ("Captum", "PAIR", "zennit"))
        color = GRAY if entry["contender"] == BARE else ORANGE if peer else BLUE
        panel.barh(row, entry["megabytes"], color=color)
        panel.annotate(
            f"{entry['megabytes']:,} MB", (entry["megabytes"], row), (4, 0), textcoords="offset points", va="center"
        )
    name_rows(panel, [f"{entry['contender']}, {work_of(entry)}" for entry in measured])
    panel.set_xlim(right=1.15 * max(entry["megabytes"] for entry in measured))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.set_xlabel("peak memory above that of the process, MB; blue: this library")
    file.write_bytes(png(figure))
