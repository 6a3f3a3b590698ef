"""Numbers and tables as the page has them."""

from __future__ import annotations

from collections.abc import Sequence

from captum_ext.evaluation.reporting.estimates import Estimate
from captum_ext.evaluation.reporting.methods import looks
from captum_ext.evaluation.reporting.text import grid, number
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED
from evidence.stored import Stored
from evidence.verdicts import HOLDS, REVERSED, Outcome

NONE = "-"
MODELS = {
    "study-lite0": "Lite0",
    "study-lite1": "Lite1",
    "study-lite2": "Lite2",
    "degradation-vgg16": "VGG-16",
    "degradation-lite0": "Lite0",
    "degradation-mnist": "MNIST net",
}


def shown(found: Estimate | None) -> str:
    """``value [low, high]``."""
    if found is None:
        return NONE
    if found.n < 2:
        return number(found.value)
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def signed(found: Estimate | None) -> str:
    """The same of a difference: a positive one has its sign."""
    text = shown(found)
    return f"+{text}" if found is not None and found.value > 0 else text


def said(outcome: Outcome, holds: str = "holds", against: str = "reversed") -> str:
    """An outcome in a table: what is decided is bold."""
    return {HOLDS: f"**{holds}**", REVERSED: f"**{against}**"}.get(outcome, "undecided")


def label(method: str) -> str:
    """A method's name."""
    return looks([method])[method].label


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; a first cell that is the one above is not repeated."""
    before, body = "", []
    for first, *others in rows:
        body.append(["" if first == before else first, *others])
        before = first
    return grid(heads, body)


def told(stored: Stored, runs: Sequence[str]) -> str:
    """What was run: models, images and steps, from the runs' settings."""
    parts = []
    for run in runs:
        findings = stored.run(run)
        if findings is None:
            parts.append(f"{MODELS.get(run, run)}: not run")
            continue
        counts, settings = stored.counts(run), stored.settings(run)
        of = f"{counts.get(EXPLAINED, 0)} images"
        if wrong := counts.get(MISCLASSIFIED, 0):
            of += f" ({wrong} more are misclassified)"
        if sum(counts.values()) < settings["images"]:
            of += f" (**unfinished**: {sum(counts.values())} of {settings['images']})"
        steps = ", ".join(map(str, settings["steps"]))
        parts.append(f"{findings.models[0]}, {of}, {steps} steps")
    return "; ".join(parts) + "."
