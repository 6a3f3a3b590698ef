"""Tables as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from captum_ext._utils.text import printable
from captum_ext.evaluation.reporting.estimates import NOTHING, Estimate
from captum_ext.evaluation.reporting.tables import Cell, Table

_UNEVEN = "† Not all methods compared here were measured on the same images; n or the images themselves differ."


def number(value: float) -> str:
    """Three decimals, more where they would hide the number, and a dash for none."""
    if value != value:
        return "-"
    if abs(value) < NOTHING:
        value = 0.0
    if value != 0 and abs(value) < 5e-4:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def cell(found: Estimate | None) -> str:
    """``value [low, high] (n)``; a dash if it was not measured."""
    if found is None:
        return "-"
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}] ({found.n})"


def escaped(text: object) -> str:
    """Text that Markdown shows as it is, also inside a table."""
    line = printable(" ".join(str(text).split()))
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", re.sub(r"([\\`*\[\]|~$])", r"\\\1", line))
    return line.replace("&", "&amp;").replace("<", "&lt;")


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of text that is escaped already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(table: Table, heading: bool) -> str:
    """With what the marks mean, and with its heading if wanted; equal labels are not repeated."""
    rows, before = [], ""
    for row in table.rows:
        first, *others = row.labels
        labels = ["" if first == before else escaped(first), *map(escaped, others)]
        labels[-1] += " †" * row.uneven
        before = first
        rows.append([*labels, *map(_shown, row.cells)])
    parts = [
        f"### {table.title}" if heading else "",
        table.caption,
        grid([*map(escaped, table.corner), *map(escaped, table.heads)], rows),
    ]
    if any(row.uneven for row in table.rows):
        parts.append(_UNEVEN)
    return "\n\n".join(part for part in parts if part)


def _shown(given: Cell) -> str:
    text = cell(given.estimate)  # [a, b] (n) is no link: there is a space
    if given.best:
        value, _, rest = text.partition(" ")
        text = f"**{value}** {rest}"
    return f"{text} {given.mark}".rstrip()


def as_csv(table: Table) -> str:
    """The same cells, and whether each row's are of the same images."""
    rows = [
        [*row.labels, *(f"{cell(c.estimate)} {c.mark}".rstrip() for c in row.cells), "no" if row.uneven else "yes"]
        for row in table.rows
    ]
    return csv_of([*table.corner, *table.columns, "same images"], rows)


def csv_of(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines of comma-separated values."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return file.getvalue()
