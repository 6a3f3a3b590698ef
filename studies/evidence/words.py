"""Numbers, comparisons and tables as the page has them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from captum_ext.evaluation import Estimate
from captum_ext.visualization import method_styles
from evidence.stored import Statistic, Stored, over_images

NONE = "-"
MODELS = {f"study-lite{number}": f"Lite{number}" for number in range(3)}
MODELS |= {"degradation-vgg16": "VGG-16", "degradation-lite0": "Lite0", "degradation-mnist": "MNIST net"}


def shown(estimate: Estimate | None) -> str:
    """``value [low, high]``."""
    if estimate is None:
        return NONE
    return str(estimate) if estimate.n > 1 else str(estimate).split(" ")[0]


def signed(estimate: Estimate | None) -> str:
    """The same of a difference: a positive one has its sign."""
    return f"+{shown(estimate)}" if estimate is not None and estimate.value > 0 else shown(estimate)


_LABELS = {"left-ig": "Left-IG", "ma-gig": "MA-GIG", "smooth-taylor": "SmoothTaylor", "igos": "I-GOS"}
_LABELS |= {name: name.upper() for name in ("idg", "pwig", "samp", "mfaba", "agi", "ig2", "eig")}


def label(method: str) -> str:
    """A method's name."""
    base = method.removesuffix("+xrai")
    name = _LABELS.get(base) or method_styles([base])[base].label
    return name if base == method else f"XRAI of {name}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """A DataFrame for the template's filter ``table``."""
    return pd.DataFrame(rows, columns=list(heads), dtype=object)


def pivot(rows: Any, by: Sequence[str], across: str, value: str, statistic: Statistic = "median") -> Any:
    """A row per group of an experiment's rows, and a column per level: estimates over the images."""
    levels, lines = list(dict.fromkeys(rows[across])), []
    for key, some in rows.groupby(list(by), sort=False):
        groups = dict(list(some.groupby(across)[value]))
        cells = [over_images(groups[level], statistic) if level in groups else None for level in levels]
        lines.append([*key, str(max(cell.n for cell in cells if cell)), *map(shown, cells)])
    heads = map(label, levels) if across == "method" else map(str, levels)
    return table([*by, "n", *heads], lines)


def runs_in_words(stored: Stored, names: Sequence[str]) -> str:
    """What was run: models, images and steps, from the runs' settings."""
    parts = []
    for name in names:
        scores = stored.run(name)
        if scores is None:
            parts.append(f"{MODELS.get(name, name)}: not run")
            continue
        counts, steps = stored.counts(name), ", ".join(map(str, stored.settings(name)["steps"]))
        wrong = f" ({counts['misclassified']} more are misclassified)" if counts.get("misclassified") else ""
        parts.append(f"{scores.models[0]}, {counts.get('explained', 0)} images{wrong}, {steps} steps")
    return "; ".join(parts) + "."
