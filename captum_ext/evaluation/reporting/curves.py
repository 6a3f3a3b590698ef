"""Figures of curves over what is revealed or replaced, with bands."""

from __future__ import annotations

from typing import Any

import numpy as np

from captum_ext._utils.optional import optional
from captum_ext.evaluation.reporting.estimates import Floats, draws, interval
from captum_ext.evaluation.reporting.figures import Drawing, blank, head, legend, style
from captum_ext.evaluation.reporting.findings import Findings
from captum_ext.evaluation.reporting.measures import Measure
from captum_ext.evaluation.reporting.methods import looks

_MOST_POINTS = 120  # of a curve that is drawn; SIC and AIC have 1001


def curves(findings: Findings, model: str, score: str) -> Drawing | None:
    """The data set's curves of a score, a panel a variant; ``None`` if there are none."""
    chosen = {
        measure: found
        for measure in findings.measures
        if measure.score == score and measure.axes is not None and (found := _lines(findings, model, measure))
    }
    if not chosen:
        return None
    title = next(iter(chosen)).title.split(" (")[0]
    figure, panels = blank(len(chosen), 3, title, model)
    look, ticker = looks(findings.methods), optional("matplotlib.ticker", "evaluation")
    for panel, (measure, lines) in zip(panels, chosen.items(), strict=True):
        for k, (method, (x, line, band)) in enumerate(lines.items()):
            if band is not None:
                panel.fill_between(x, *band, color=look[method].colour, alpha=min(0.15, 0.9 / len(lines)), linewidth=0)
            every = max(1, len(x) // 8)
            panel.plot(x, line, markevery=(k * every // max(len(lines), 1), every), **style(look[method]))
        axes = measure.axes
        assert axes is not None, "chosen so"
        panel.set_xlabel(axes.x)
        panel.set_ylabel(axes.y)
        panel.margins(x=0.01)
        if axes.positions(3)[-1] > 1:  # a count
            panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        head(panel, measure.title, _good(measure, any(band is not None for _, _, band in lines.values())))
    drawn = [method for method in findings.methods if any(method in lines for lines in chosen.values())]
    legend(figure, [look[method] for method in drawn])
    return Drawing(f"{title} ({model})", figure)


def _good(measure: Measure, has_bands: bool) -> str:
    curve = {1: "a higher curve is better", -1: "a lower curve is better", 0: ""}[measure.better]
    return "; ".join(part for part in (curve, "bands: 95 % bootstrap intervals" * has_bands) if part)


def _lines(findings: Findings, model: str, measure: Measure) -> dict[str, tuple[list[float], Floats, Floats | None]]:
    found: dict[str, tuple[list[float], Floats, Floats | None]] = {}
    for method in findings.methods:
        sample = findings.sample(model, method, findings.most(method), measure)
        if sample is None or sample.curves is None or measure.axes is None:
            continue
        points = sample.curves.shape[1]
        shown = np.unique(np.linspace(0, points - 1, min(points, _MOST_POINTS)).round().astype(int))
        some = sample.curves[:, shown]
        x: Any = np.array(measure.axes.positions(points))[shown]
        n = len(some)
        line = measure.line(some, np.arange(n)[None])[0]
        band = interval(np.concatenate([measure.line(some, drawn) for drawn in draws(n)])) if n > 1 else None
        found[method] = (x, line, band)
    return found
