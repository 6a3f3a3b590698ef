"""Tables of the gradients that a given accuracy takes, from the results of ``python -m benchmarks.adaptive``."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import table

FINEST = 2048  # the reference's number of steps
PATHS = ("straight", "blur")
COMPLETENESS, MAP = 1, 2  # columns of a curve's rows: [gradients, completeness error, error of the map]

# The map's error is None if there is no reference; such photographs have Gauss-Legendre's and auto's curves only.
Photograph = dict[str, Any]


def read(folder: Path) -> dict[str, Photograph]:
    """The results by path and photograph; empty if there is no file."""
    file = folder / "adaptive.json"
    results: dict[str, Photograph] = json.loads(file.read_text()) if file.exists() else {}
    return results


def on_path(results: Mapping[str, Photograph], path: str) -> list[Photograph]:
    """The photographs that were measured on a path."""
    return [photograph for key, photograph in results.items() if key.startswith(path)]


def with_error(rows: list[list[Any]], column: int) -> list[list[float]]:
    """The rows whose error is known."""
    return [row for row in rows if row[column] is not None]


def gradients_needed(rows: list[list[Any]], column: int, bound: float) -> float:
    """The fewest gradients such that no larger number has an error above the bound; infinite if there are none."""
    fewest = math.inf
    for row in sorted(with_error(rows, column), reverse=True):
        if row[column] > bound:
            break
        fewest = row[0]
    return fewest


def smallest_fixed(photographs: list[Photograph], curve: str, bound: float, share: float = 0.9) -> float:
    """The smallest number of points with a completeness error within the bound for a share of the photographs."""
    counts = sorted({row[0] for photograph in photographs for row in photograph["curves"][curve]})
    for count in counts:
        rows = [next(row for row in each["curves"][curve] if row[0] == count) for each in photographs]
        if sum(row[COMPLETENESS] <= bound for row in rows) >= share * len(rows):
            return float(count)
    return math.inf


def auto_gradients(photographs: list[Photograph], bound: float) -> list[tuple[float, bool]]:
    """The gradients that "auto" takes with the bound as its tolerance, and whether it converges."""
    gradients = []
    for photograph in photographs:
        rows = photograph["curves"]["auto"]
        sufficient = [row[0] for row in rows if row[COMPLETENESS] <= bound]
        gradients.append((sufficient[0], True) if sufficient else (rows[-1][0], False))
    return gradients


def completeness(results: Mapping[str, Photograph]) -> str:
    """Gradients for a complete sum: "auto" against the smallest fixed number that is enough for 90% of photographs."""
    rows = []
    for bound in (0.05, 0.01):
        for rule in ("gausslegendre", "trapezoid"):
            photographs = [each for each in on_path(results, "straight") if rule in each["curves"]]
            auto = auto_gradients(photographs, bound)
            mean, n_above = statistics.mean(count for count, _ in auto), sum(not converged for _, converged in auto)
            fixed = smallest_fixed(photographs, rule, bound)
            largest = max(row[0] for row in photographs[0]["curves"][rule])
            finite = fixed < math.inf
            rows.append(
                [
                    f"IG, error within {bound:.0%}, {len(photographs)} photographs",
                    rule,
                    f"{fixed:.0f}" if finite else f"more than {largest:.0f}",
                    f"{mean:.0f}{_above_bound(n_above, len(auto))}",
                    f"{mean / fixed:.2f}" if finite else f"below {mean / largest:.2f}",
                ]
            )
    head = ["completeness", "fixed rule", "points enough for 90%", "mean gradients of auto", "auto over fixed"]
    return table(head, rows)


def maps(results: Mapping[str, Photograph]) -> str:
    """Gradients for a map close to its limit."""
    rows = []
    for path, title, auto, bound, rules in (
        ("straight", "IG", "auto", 0.02, ("gausslegendre", "trapezoid")),
        ("straight", "IDGI", "auto idgi", 0.1, ("idgi", "idgi trapezoid")),
        ("blur", "Blur IG", "auto", 0.02, ("right", "trapezoid", "gausslegendre")),
        ("blur", "Blur IG", "auto", 0.1, ("right", "trapezoid", "gausslegendre")),
        ("blur", "Blur IG + IDGI", "auto idgi", 0.1, ("idgi", "idgi trapezoid")),
    ):
        photographs = [each for each in on_path(results, path) if "trapezoid" in each["curves"]]
        if not photographs:
            continue
        adaptive = [gradients_needed(each["curves"][auto], MAP, bound) for each in photographs]
        for rule in rules:
            fixed = [gradients_needed(each["curves"][rule], MAP, bound) for each in photographs]
            label = f"{title}, error within {bound:.0%}, {len(photographs)} photographs"
            rows.append([label, rule, _mean(fixed), _mean(adaptive), _mean_ratio(adaptive, fixed)])
    head = ["map", "fixed rule", "its mean gradients", "mean gradients of auto", "auto over fixed, mean"]
    return table(head, rows)


def report(results: Mapping[str, Photograph]) -> str:
    """Both tables, as Markdown."""
    parts = [completeness(results)] if on_path(results, "straight") else []
    return "\n\n".join([*parts, maps(results)]) + "\n"


def _above_bound(count: int, total: int) -> str:
    return f" ({count} of {total} still above)" if count else ""


def _mean(counts: list[float]) -> str:
    finite = [count for count in counts if count < math.inf]
    mean = f"{statistics.mean(finite):.0f}" if finite else "-"
    return mean + _above_bound(len(counts) - len(finite), len(counts))


def _mean_ratio(adaptive: list[float], fixed: list[float]) -> str:
    """The mean over photographs for which "auto" is enough; an upper bound if the fixed rule is not."""
    pairs = [(ours, other) for ours, other in zip(adaptive, fixed, strict=True) if ours < math.inf]
    if not pairs:
        return "-"
    bound = "below " if any(other == math.inf for _, other in pairs) else ""
    mean = statistics.mean(ours / min(other, FINEST / 2) for ours, other in pairs)
    return f"{bound}{mean:.2f}" + (f" (of {len(pairs)})" if len(pairs) < len(adaptive) else "")
