"""What ``python -m benchmarks.adaptive`` measured: gradients for the same answer, as tables and curves."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import table

FINEST = 2048  # steps of the reference
PATHS = ("straight", "blur")
COMPLETENESS, MAP = 1, 2  # columns of a curve's rows: [gradients, completeness error, the map's error]

# The map's error is None where it was not measured; without a reference only Gauss-Legendre's rows are there.
Photograph = dict[str, Any]


def read(folder: Path) -> dict[str, Photograph]:
    """The results by path and photograph; none if there are none."""
    file = folder / "adaptive.json"
    found: dict[str, Photograph] = json.loads(file.read_text()) if file.exists() else {}
    return found


def of(results: dict[str, Photograph], path: str) -> list[Photograph]:
    """The photographs along a path."""
    return [one for key, one in results.items() if key.startswith(path)]


def measured(rows: list[list[Any]], column: int) -> list[list[float]]:
    """The rows whose error is known."""
    return [row for row in rows if row[column] is not None]


def needed(rows: list[list[Any]], column: int, within: float) -> float:
    """The fewest gradients from which on the error stays within a bound; infinite if it never does."""
    fewest = math.inf
    for row in sorted(measured(rows, column), reverse=True):
        if row[column] > within:
            break
        fewest = row[0]
    return fewest


def smallest_fixed(photographs: list[Photograph], curve: str, within: float, share: float = 0.9) -> float:
    """The smallest count of a rule at which a share of the photographs is complete within the bound."""
    counts = sorted({row[0] for one in photographs for row in one["curves"][curve]})
    for count in counts:
        rows = [next(row for row in one["curves"][curve] if row[0] == count) for one in photographs]
        if sum(row[COMPLETENESS] <= within for row in rows) >= share * len(rows):
            return float(count)
    return math.inf


def stopped(photographs: list[Photograph], within: float) -> list[tuple[float, bool]]:
    """The gradients that "auto" took for this tolerance, and whether it got there within its budget."""
    found = []
    for one in photographs:
        rows = one["curves"]["auto"]
        reached = [row[0] for row in rows if row[COMPLETENESS] <= within]
        found.append((reached[0], True) if reached else (rows[-1][0], False))
    return found


def completeness(results: Mapping[str, Photograph]) -> str:
    """Gradients for a complete sum: automatic against the smallest fixed number that is enough for nine of ten."""
    everyone, rows = of(results, "straight"), []
    for within, limit in ((0.05, ""), (0.01, "<= 0.4")):
        for rule in ("gausslegendre", "trapezoid"):
            photographs = [one for one in everyone if rule in one["curves"]]
            counts = stopped(photographs, within)
            mean, late = statistics.mean(count for count, _ in counts), sum(not there for _, there in counts)
            told = f"{mean:.0f}" + (f" ({late} of {len(counts)} not by then)" if late else "")
            fixed = smallest_fixed(photographs, rule, within)
            most = max(row[0] for row in photographs[0]["curves"][rule])
            ratio = f"{mean / fixed:.2f}" if fixed < math.inf else f"below {mean / most:.2f}"
            fixed_told = f"{fixed:.0f}" if fixed < math.inf else f"more than {most:.0f}"
            wanted = limit if rule == "gausslegendre" else ""
            what = f"IG, within {within:.0%}, {len(photographs)} photographs"
            rows.append([what, rule, fixed_told, told, ratio, wanted])
    head = ["completeness", "fixed rule", "points for 9 of 10", "gradients of auto, mean", "ratio", "wanted"]
    return table(head, rows)


def maps(results: Mapping[str, Photograph]) -> str:
    """Gradients for a map near to its limit."""
    rows = []
    for path, title, ours, within, others in (
        ("straight", "IG", "auto", 0.02, ("gausslegendre", "trapezoid")),
        ("straight", "IDGI", "auto idgi", 0.1, ("idgi", "idgi trapezoid")),
        ("blur", "Blur IG", "auto", 0.02, ("right", "trapezoid", "gausslegendre")),
        ("blur", "Blur IG + IDGI", "auto idgi", 0.1, ("idgi", "idgi trapezoid")),
    ):
        photographs = [one for one in of(results, path) if "trapezoid" in one["curves"]]
        if not photographs:
            continue
        found = [needed(one["curves"][ours], MAP, within) for one in photographs]
        for other in others:
            uniform = [needed(one["curves"][other], MAP, within) for one in photographs]
            wanted = "<= 0.2" if (title, other) == ("IDGI", "idgi") else ""
            what = f"{title}, within {within:.0%}, {len(photographs)} photographs"
            rows.append([what, other, _mean(uniform), _mean(found), _ratio(found, uniform), wanted])
    head = ["map", "fixed rule", "its gradients, mean", "gradients of auto, mean", "ratio, mean", "wanted"]
    return table(head, rows)


def blur_rules(results: Mapping[str, Photograph]) -> str:
    """Blur IG: each fixed rule against the right rule, which PAIR uses."""
    photographs = [one for one in of(results, "blur") if "right" in one["curves"]]
    rows = []
    for within in (0.02, 0.1):
        right = [needed(one["curves"]["right"], MAP, within) for one in photographs]
        for rule in ("trapezoid", "gausslegendre", "auto"):
            found = [needed(one["curves"][rule], MAP, within) for one in photographs]
            wanted = "<= 0.15 (the best fixed rule)" if within == 0.02 else ""
            rows.append([f"within {within:.0%}", rule, _mean(found), _mean(right), _ratio(found, right), wanted])
    head = ["Blur IG's map", "rule", "its gradients, mean", "right rule's, mean", "ratio, mean", "wanted"]
    return table(head, rows)


def report(results: Mapping[str, Photograph]) -> str:
    """What is asked of the figures, as Markdown."""
    parts = [completeness(results), maps(results)] if of(results, "straight") else []
    if of(results, "blur"):
        parts.append(blur_rules(results))
    return "\n\n".join(parts) + "\n"


def _mean(counts: list[float]) -> str:
    finite = [count for count in counts if count < math.inf]
    late = len(counts) - len(finite)
    told = f" ({late} of {len(counts)} not by then)" if late else ""
    return (f"{statistics.mean(finite):.0f}" if finite else "-") + told


def _ratio(found: list[float], uniform: list[float]) -> str:
    """The mean over photographs; where the other rule never got there, it is below what is told."""
    pairs = [(ours, other) for ours, other in zip(found, uniform, strict=True) if ours < math.inf]
    if not pairs:
        return "-"
    bound = any(other == math.inf for _, other in pairs)
    mean = statistics.mean(ours / min(other, FINEST / 2) for ours, other in pairs)
    return f"{'below ' if bound else ''}{mean:.2f}" + (f" (of {len(pairs)})" if len(pairs) < len(found) else "")
