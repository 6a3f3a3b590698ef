"""Numbers, comparisons and tables as the page has them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from captum_ext.evaluation import Estimate
from captum_ext.visualization import method_styles
from evidence.stored import Stored
from evidence.verdicts import HOLDS, REVERSED, Outcome, Trial

NONE = "-"
MODELS = {
    "study-lite0": "Lite0",
    "study-lite1": "Lite1",
    "study-lite2": "Lite2",
    "degradation-vgg16": "VGG-16",
    "degradation-lite0": "Lite0",
    "degradation-mnist": "MNIST net",
}


def shown(estimate: Estimate | None) -> str:
    """``value [low, high]``."""
    if estimate is None:
        return NONE
    return str(estimate) if estimate.n > 1 else str(estimate).split(" ")[0]


def signed(estimate: Estimate | None) -> str:
    """The same of a difference: a positive one has its sign."""
    return f"+{shown(estimate)}" if estimate is not None and estimate.value > 0 else shown(estimate)


def outcome_word(outcome: Outcome, holds: str = "holds", against: str = "reversed") -> str:
    """An outcome in a table: what is decided is bold."""
    return {HOLDS: f"**{holds}**", REVERSED: f"**{against}**"}.get(outcome, "undecided")


def compared(trial: Trial, holds: str, against: str) -> str:
    """A difference and its outcome."""
    return f"{signed(trial.estimate)} {outcome_word(trial.outcome, holds, against)}"


def label(method: str) -> str:
    """A method's name."""
    return method_styles([method])[method].label


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """A DataFrame for the template's filter ``table``."""
    return pd.DataFrame(rows, columns=list(heads), dtype=object)


def trial_table(
    trials: Sequence[Trial], conditions: Mapping[str, str], head: str, holds: str, against: str, has_n: bool = True
) -> Any:
    """A row per comparison.

    Args:
        trials: The comparisons.
        conditions: The columns' heads, and the conditions in them (their ``str.format`` templates).
        head: The last column's.
        holds: What is said of a comparison that holds.
        against: What is said of a comparison that is reversed.
        has_n: Whether to tell the number of images.
    """
    rows = [
        [
            *(text.format(**trial.conditions) for text in conditions.values()),
            *([str(trial.estimate.n)] if has_n else []),
            compared(trial, holds, against),
        ]
        for trial in trials
    ]
    return table([*conditions, *(["n"] if has_n else []), head], rows)


def runs_in_words(stored: Stored, *names: str) -> str:
    """What was run: models, images and steps, from the runs' settings."""
    parts = []
    for name in names:
        scores = stored.run(name)
        if scores is None:
            parts.append(f"{MODELS.get(name, name)}: not run")
            continue
        counts, settings = stored.counts(name), stored.settings(name)
        images = f"{counts.get('explained', 0)} images"
        if wrong := counts.get("misclassified", 0):
            images += f" ({wrong} more are misclassified)"
        if sum(counts.values()) < settings["images"]:
            images += f" (**unfinished**: {sum(counts.values())} of {settings['images']})"
        parts.append(f"{scores.models[0]}, {images}, {', '.join(map(str, settings['steps']))} steps")
    return "; ".join(parts) + "."
