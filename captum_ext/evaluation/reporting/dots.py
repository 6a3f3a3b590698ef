"""Figures of values: over the number of steps, and method by method."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from captum_ext._utils.optional import optional
from captum_ext.evaluation.reporting.estimates import Estimate
from captum_ext.evaluation.reporting.figures import Drawing, blank, head, legend, style
from captum_ext.evaluation.reporting.findings import Findings
from captum_ext.evaluation.reporting.measures import Measure
from captum_ext.evaluation.reporting.methods import looks

_STEPS_ACROSS, _METHODS_ACROSS = 3, 4


def steps(findings: Findings, model: str, measures: Iterable[Measure]) -> Drawing | None:
    """Each measure over the step counts; ``None`` if no method has two."""
    methods = [method for method in findings.methods if len(findings.steps[method]) > 1]
    found: dict[Measure, dict[str, dict[int, Estimate]]] = {}
    for measure in measures:
        for method in methods:
            values = {count: findings.estimate(model, method, count, measure) for count in findings.steps[method]}
            line = {count: value for count, value in values.items() if value is not None and np.isfinite(value.value)}
            if len(line) > 1:
                found.setdefault(measure, {})[method] = line
    if not found:
        return None
    title = "Measures over the number of steps"
    figure, panels = blank(len(found), _STEPS_ACROSS, title, model)
    look = looks(findings.methods)
    for panel, (measure, lines) in zip(panels, found.items(), strict=True):
        for method, line in lines.items():
            low, high = [value.low for value in line.values()], [value.high for value in line.values()]
            alpha = min(0.15, 0.9 / len(lines))
            panel.fill_between(list(line), low, high, color=look[method].colour, alpha=alpha, linewidth=0)
            panel.plot(list(line), [value.value for value in line.values()], **style(look[method]))
        ticks = sorted({count for line in lines.values() for count in line})
        panel.set_xscale("log", base=2)
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        panel.set_xlabel("steps (log scale)")
        panel.set_ylabel("value, 95 % interval")
        head(panel, measure.title, measure.direction)
    legend(figure, [look[method] for method in methods if any(method in lines for lines in found.values())])
    return Drawing(f"{title} ({model})", figure)


def methods(findings: Findings, model: str, measures: Iterable[Measure]) -> Drawing | None:
    """Each measure's value and interval, method by method, at the most steps."""
    found: dict[Measure, dict[str, Estimate]] = {}
    for measure in measures:
        for method in findings.methods:
            value = findings.estimate(model, method, findings.most(method), measure)
            if value is not None and np.isfinite(value.value):
                found.setdefault(measure, {})[method] = value
    if not found:
        return None
    shown = [method for method in findings.methods if any(method in values for values in found.values())]
    look = looks(findings.methods)
    size = (3.3, 1.1 + 0.21 * len(shown))
    title = "Value and 95 % interval, at the most steps"
    figure, panels = blank(len(found), _METHODS_ACROSS, title, model, size, 1.6)
    ticker = optional("matplotlib.ticker", "evaluation")
    for k, (panel, (measure, values)) in enumerate(zip(panels, found.items(), strict=True)):
        for method, value in values.items():
            y, line = shown.index(method), style(look[method])
            panel.plot([value.low, value.high], [y, y], color=line["color"], linestyle=line["linestyle"], linewidth=1.4)
            panel.plot([value.value], [y], **{**line, "linestyle": ""})
        labels = [look[method].label if k % _METHODS_ACROSS == 0 else "" for method in shown]
        panel.set_yticks(range(len(shown)), labels, fontsize=8)
        for label in panel.get_yticklabels():
            label.set_parse_math(False)
        panel.set_ylim(len(shown) - 0.5, -0.5)
        panel.xaxis.set_major_locator(ticker.MaxNLocator(5))
        panel.tick_params(axis="x", labelsize=8)
        head(panel, measure.title, measure.direction)
        panel.title.set_fontsize(9)
    return Drawing(f"{title} ({model})", figure)
