"""What the pages say beyond claims: methods x questions, and how far networks correlate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from captum_ext.evaluation import METHODS as EVALUATED
from captum_ext.evaluation import Estimate
from captum_ext.visualization import sorted_methods
from evidence.claims import degradation, formats, guided, idgi, randomization, stability, steps
from evidence.stored import Column, Statistic, Stored, over_images
from evidence.words import label, shown

ALL = "all_methods"  # of studies/, as are localization and gradients
METHODS = (*EVALUATED, *(f"{base}+xrai" for base in ("ig", "idgi", "blur-ig+idgi")))


@dataclass(frozen=True)
class Question:
    """A column of the first page.

    Attributes:
        title: One or two short lines.
        better: 1 if higher is better, -1 if lower.
        values: By method.
        decimals: How many the heat map shows.
    """

    title: str
    better: int
    values: Mapping[str, Estimate]
    decimals: int = 2

    def short(self, method: str) -> str:
        """A method's value alone."""
        value = self.values[method].value
        is_tiny = 1e-6 < abs(value) < 0.5 * 10**-self.decimals
        return f"{value:.0e}" if is_tiny else f"{value:,.{self.decimals}f}"

    def cell(self, method: str) -> str:
        """A method's value and its interval, if it is an estimate."""
        return self.short(method) if method in self.values and not self.decimals else shown(self.values.get(method))

    def shades(self) -> dict[str, float]:
        """By method: 0 for the worst, 1 for the best, by rank, since some values are powers of ten apart."""
        ranks = pd.Series({method: self.better * one.value for method, one in self.values.items()}).rank()
        return dict((ranks - 1) / max(len(ranks) - 1, 1))


def table_of_methods(stored: Stored) -> list[Question]:
    """Methods x questions; what was not run is left out."""

    def rows(name: str, column: str, **where: str) -> Callable[[str], Any]:
        """A column of a comparison of all methods."""
        frame = stored.frame(name)
        for key, value in where.items():
            frame = None if frame is None else frame[frame[key] == value]
        if frame is None:
            return lambda method: pd.Series(dtype=float)
        return lambda method: frame[frame["method"] == method][column]

    def run(name: str, score: str, variant: str) -> Callable[[str], Any]:
        return lambda method: stored.by_image(Column(name, method, score, variant))

    def left(method: str) -> Any:
        kind = randomization.kinds(method)[-1] if method in randomization.METHODS else ""
        return randomization.by_image(stored, "efficientnet-lite0", method, kind, "absolute").abs().mean(axis=1)

    grid = rows("localization", "value", part="mosaics", score="grid-pointing-game")
    classes = run(stability.RUN, "class-sensitivity", "absolute")
    sources: list[tuple[str, int, Callable[[str], Any], int, Statistic]] = [
        ("insertion by sign \u2191", 1, rows(ALL, "insertion signed"), 2, "mean"),
        ("insertion by magnitude \u2191", 1, rows(ALL, "insertion absolute"), 2, "mean"),
        ("deletion by magnitude \u2193", -1, rows(ALL, "deletion absolute"), 2, "mean"),
        ("object found (GridPG) \u2191", 1, grid, 2, "mean"),
        ("error of the sum \u2193", -1, rows(ALL, "completeness relative"), 2, "median"),
        ("same map after JPEG \u2191", 1, run(stability.RUN, "stability", "rank"), 2, "mean"),
        ("same map for two classes \u2193", -1, lambda method: classes(method).abs(), 2, "mean"),
        ("same map if random \u2193", -1, left, 2, "mean"),
        ("moved by threads \u2193", -1, lambda method: guided.by_image(stored, method, guided.THREADS), 2, "mean"),
        ("degra- dation \u2193", -1, run(degradation.RUNS[1], "degradation", "paper"), 3, "mean"),
        ("gradients per image \u2193", -1, rows("gradients", "gradients"), 0, "mean"),
    ]
    questions = []
    for title, better, values, decimals, statistic in sources:
        series = {method: values(method).dropna() for method in METHODS}
        known = {method: over_images(some, statistic) for method, some in series.items() if len(some)}
        if known:
            questions.append(Question(title, better, known, decimals))
    return questions


def methods_of(questions: Sequence[Question]) -> list[str]:
    """The methods that any question has, in the papers' order."""
    return [method for method in sorted_methods(METHODS) if any(method in one.values for one in questions)]


def heat_map(questions: Sequence[Question]) -> str:
    """The table as HTML, which small screens can scroll: a darker cell is better than the others of its column."""
    blues, sticky = colormaps["Blues"], "position:sticky;left:0;background:var(--color-background-primary,#fff)"
    shades = [one.shades() for one in questions]
    heads = "".join(f'<th style="padding:2px;width:3.6em;font-weight:normal">{one.title}</th>' for one in questions)
    lines = [f'<tr><td style="{sticky}"></td>{heads}</tr>']
    for method in methods_of(questions):
        cells = []
        for one, shade in zip(questions, shades, strict=True):
            if method in one.values:
                color = to_hex(blues(0.05 + 0.85 * shade[method])) + (
                    ";color:#fff" if shade[method] > 0.75 else ";color:#000"
                )
                cells.append(f'<td style="background:{color}" title="{one.cell(method)}">{one.short(method)}</td>')
            else:
                cells.append("<td></td>")
        name = f'<th style="{sticky};text-align:left;white-space:nowrap;font-weight:normal">{label(method)}</th>'
        lines.append(f"<tr>{name}{''.join(cells)}</tr>")
    style = "border-collapse:collapse;font-size:11px;line-height:1.6;text-align:center"
    return "\n".join(['<div style="overflow-x:auto">', f'<table style="{style}">', *lines, "</table>", "</div>"])


def networks(stored: Stored) -> dict[str, float]:
    """How IDGI's gain correlates between pairs of networks, and how many independent ones they are worth."""
    pairs = ([stored.by_image(Column(run, m, "insertion", "signed")) for m in ("idgi", "ig")] for run in idgi.RUNS)
    wide = pd.concat([own - base for own, base in pairs], axis=1).dropna(axis=1, how="all")
    if wide.shape[1] < 2:
        return {}
    count = wide.shape[1]
    between = [wide.corr().iloc[i, j] for i in range(count) for j in range(i)]
    worth = count / (1 + (count - 1) * sum(between) / len(between))
    return {"least": min(between), "most": max(between), "count": count, "worth": worth}


def facts(stored: Stored) -> dict[str, Any]:
    """What the templates ask of the results."""
    return {
        "moved": lambda method, change: guided.distance(stored, method, change),
        "late": lambda method: stored.difference(*steps.at(method, ("insertion", "signed"), 128, 32)),
        "largest_share": lambda method: stability.largest_share(stored, method, "signed"),
        "networks": networks(stored),
        "rank_in": lambda method, of: over_images(formats.wide(stored, "rank absolute")[of, method]),
    }
