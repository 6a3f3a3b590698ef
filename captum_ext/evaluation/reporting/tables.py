"""The papers' tables, as cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from captum_ext.evaluation.reporting.estimates import NOTHING, Estimate
from captum_ext.evaluation.reporting.findings import Findings, Key
from captum_ext.evaluation.reporting.measures import Measure
from captum_ext.evaluation.reporting.methods import base, looks

FEWEST = 10  # images, below which a verdict would be bold: of 4 equals, one in 8 times all have one sign


@dataclass(frozen=True)
class Cell:
    """An estimate; whether it is its row's best; and what else to say, such as ``"better"``."""

    estimate: Estimate | None
    best: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """The cells of a row after its labels; ``uneven`` if the methods compared are not of the same images."""

    labels: tuple[str, ...]
    cells: list[Cell]
    uneven: bool = False


@dataclass(frozen=True)
class Table:
    """What a table says.

    Attributes:
        name: Of its file.
        title: Its heading.
        caption: What it shows.
        corner: The heads of the labels.
        heads: Those of the other columns, as people read them.
        columns: The same, each unlike the others, as programs read them.
        rows: The rows.
    """

    name: str
    title: str
    caption: str
    corner: tuple[str, ...]
    heads: list[str]
    columns: list[str]
    rows: list[Row]


def methods_across(
    findings: Findings, name: str, title: str, caption: str, measures: Iterable[Measure], steps: int | None = None
) -> Table | None:
    """Tables 1 to 3: rows measure x model, columns methods.

    Args:
        findings: The numbers.
        name: The file's.
        title: The heading.
        caption: What it shows.
        measures: Which.
        steps: Only methods with a path, at so many steps. Default ``None``: all methods, each at its most.

    Returns:
        The table; ``None`` if nothing was measured so.
    """
    methods = [method for method in findings.methods if steps is None or steps in findings.steps[method]]
    at = {method: findings.most(method) if steps is None else steps for method in methods}
    rows: list[tuple[tuple[str, str], list[Key], Measure]] = []
    for measure in measures:
        for model in findings.models:
            keys: list[Key] = [(model, method, at[method], measure) for method in methods]
            if any(findings.estimate(*key) for key in keys):
                rows.append(((_head(measure), model), keys, measure))
    used = [k for k, _ in enumerate(methods) if any(findings.estimate(*keys[k]) for _, keys, _ in rows)]
    if not used:
        return None
    made = []
    for labels, every, measure in rows:
        keys = [every[k] for k in used]
        cells = _best([findings.estimate(*key) for key in keys], measure.better)
        made.append(Row(labels, cells, not findings.same_images(keys)))
    shown = [methods[k] for k in used]
    usual = max(at.values()) if steps is None else steps
    return Table(name, title, caption, ("Measure", "Model"), _heads(shown, at, usual), shown, made)


def methods_down(
    findings: Findings,
    name: str,
    title: str,
    caption: str,
    measures: Iterable[Measure],
    value: Callable[[str, str, Measure], Estimate | None],
    arrows: bool = True,
) -> Table | None:
    """Tables 4 and 5: rows model x method, columns measures.

    Args:
        findings: The numbers.
        name: The file's.
        title: The heading.
        caption: What it shows.
        measures: Which.
        value: Of a model, method and measure.
        arrows: Whether the heads say which way is better.

    Returns:
        The table; ``None`` if nothing was measured so.
    """
    found = {
        (model, method, measure): value(model, method, measure)
        for measure in measures
        for model in findings.models
        for method in findings.methods
    }
    shown = [m for m in measures if any(found[model, method, m] for model, method, of in found if of == m)]
    label = looks(findings.methods)
    rows = []
    for model in findings.models:
        uneven = not all(findings.same_images(_every(findings, model, measure)) for measure in shown)
        for method in findings.methods:
            cells = [Cell(found[model, method, measure]) for measure in shown]
            if any(cell.estimate for cell in cells):
                rows.append(Row((model, label[method].label), cells, uneven))
    if not rows:
        return None
    columns = [f"{m.score} {m.variant}" for m in shown]
    heads = [_head(measure) if arrows else measure.title for measure in shown]
    return Table(name, title, caption, ("Model", "Method"), heads, columns, rows)


def _every(findings: Findings, model: str, measure: Measure) -> list[Key]:
    return [(model, method, steps, measure) for method in findings.methods for steps in findings.steps[method] or [0]]


def differences(findings: Findings, name: str, title: str, caption: str) -> Table | None:
    """What IDGI adds to each method: rows measure x model."""
    pairs = [method for method in findings.methods if base(method) in findings.methods]
    rows = []
    for measure in findings.measures:
        for model in findings.models:
            found = [findings.difference(model, method, measure) for method in pairs]
            if any(found):
                cells = [Cell(of, mark=_verdict(of, measure.better)) for of in found]
                rows.append(Row((_head(measure), model), cells))
    if not rows:
        return None
    label = looks(findings.methods)
    heads = [f"{label[method].label} less {label[base(method) or method].label}" for method in pairs]
    columns = [f"{method} less {base(method)}" for method in pairs]
    return Table(name, title, caption, ("Measure", "Model"), heads, columns, rows)


def _head(measure: Measure) -> str:
    return measure.title + {1: " ↑", -1: " ↓", 0: ""}[measure.better]


def _heads(methods: list[str], at: dict[str, int], usual: int) -> list[str]:
    label, heads = looks(methods), []
    for before, method in zip([None, *methods], methods, strict=False):
        head = "+IDGI" if before is not None and base(method) == before else label[method].label
        heads.append(head if at[method] in (0, usual) else f"{head} ({at[method]} steps)")
    return heads


def _best(found: list[Estimate | None], better: int) -> list[Cell]:
    values = [of.value * better for of in found if of is not None and of.value == of.value]
    best = max(values) if better and len(values) > 1 else None
    return [Cell(of, of is not None and best is not None and of.value * better == best) for of in found]


def _verdict(found: Estimate | None, better: int) -> str:
    if found is None or not better or found.n < FEWEST or not (found.low > NOTHING or found.high < -NOTHING):
        return ""
    return "better" if (found.low > 0) == (better > 0) else "worse"
