"""What became of the images: how many were explained, which were not, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum_ext.evaluation.reporting.findings import Findings
from captum_ext.evaluation.reporting.text import escaped, grid
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 20


def unfinished(frame: pd.DataFrame, findings: Findings, settings: dict[str, Any]) -> list[str]:
    """A line for each model of which images are missing."""
    expected = settings.get("images")
    if not isinstance(expected, int):
        return []
    done = frame[frame["score"] == "image"].groupby("model")["image"].nunique()
    counts = {model: int(done.get(model, 0)) for model in findings.models}
    return [f"{model}: {count} of {expected} images" for model, count in counts.items() if count < expected]


def account(frame: pd.DataFrame, findings: Findings, settings: dict[str, Any]) -> str:
    """Counts per model, the unreadable files by name, and what the protocols left out, in Markdown."""
    own = frame[frame["score"] == "image"].drop_duplicates(["model", "image"])
    kinds = (EXPLAINED, MISCLASSIFIED, UNREADABLE)
    rows = []
    for model in findings.models:
        counts = own[own["model"] == model]["variant"].value_counts()
        rows.append([escaped(model), *(str(counts.get(kind, 0)) for kind in kinds), str(counts.sum())])
    parts = [grid(["Model", "explained", "misclassified, not explained", "unreadable", "all"], rows)]
    broken = own[own["variant"] == UNREADABLE].drop_duplicates("image").sort_values("image")
    if len(broken):
        shown = broken.head(_NAMED)
        heading = f"Unreadable files ({len(broken)}"
        parts.append(heading + (f", the first {_NAMED}):" if len(broken) > _NAMED else "):"))
        notes = zip(shown["image"], shown["note"].fillna("no reason given"), strict=True)
        parts.append("\n".join(f"- {escaped(image)}: {escaped(note)}" for image, note in notes))
    without = [method for method in settings["methods"] if method not in findings.methods]
    if without:
        parts.append(f"Methods without any result: {escaped(', '.join(without))}.")
    left = _left_out(frame, findings)
    if left:
        parts += [
            "Images without a value, which the protocol or the method left out:",
            grid(["Measure", "Model", "images", "why", "methods"], left),
        ]
    return "\n\n".join(parts)


def _named(images: pd.Series) -> str:
    names = sorted(set(images))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)}: {escaped(', '.join(names[:_NAMED]))}{more}"


def _left_out(frame: pd.DataFrame, findings: Findings) -> list[list[str]]:
    gone = frame[(frame["score"] != "image") & frame["value"].isna()].copy()
    # "confidence: the original's score 0.41 is not ..." and the like are one reason.
    gone["why"] = gone["note"].fillna("no reason given").str.split(":").str[0]
    rows = []
    for measure in findings.measures:
        for model in findings.models:
            some = gone[
                (gone["model"] == model) & (gone["score"] == measure.score) & (gone["variant"] == measure.variant)
            ]
            for why, group in some.groupby("why"):
                methods = [method for method in findings.methods if method in set(group["method"])]
                measured = frame[(frame["model"] == model) & (frame["score"] == measure.score)]["method"]
                names = "all" if set(methods) == set(measured) else ", ".join(methods)
                rows.append(
                    [
                        escaped(measure.title),
                        escaped(model),
                        _named(group["image"]),
                        escaped(why),
                        escaped(names),
                    ]
                )
    return rows
