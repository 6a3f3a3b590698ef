"""The numbers of explained and excluded images, and the reasons for exclusions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum_ext.evaluation.scores import ScoreIndex
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE

if TYPE_CHECKING:
    import pandas as pd

_NO_REASON = "no reason given"


def count_images(frame: pd.DataFrame, index: ScoreIndex, settings: dict[str, Any]) -> dict[str, Any]:
    """The values of the template's section on images.

    Args:
        frame: The rows of the images' status, and those without a value.
        index: What was measured.
        settings: The settings of the results.

    Returns:
        ``counts`` by model, ``unfinished`` models, ``unreadable`` files with reasons, methods ``without_result``, and
        ``missing_values``: score, model, images, reason, methods.
    """
    statuses = frame[frame["score"] == "image"].drop_duplicates(["model", "image"])
    counts = statuses.groupby("model")["variant"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(index.models, columns=[EXPLAINED, MISCLASSIFIED, UNREADABLE], fill_value=0)
    done = statuses.groupby("model")["image"].nunique().reindex(index.models, fill_value=0)
    expected = settings.get("images")
    expected = expected if isinstance(expected, int) else 0
    unreadable = statuses[statuses["variant"] == UNREADABLE].drop_duplicates("image").sort_values("image")
    return {
        "counts": [[model, *map(int, row), int(done[model])] for model, row in counts.iterrows()],
        "unfinished": [f"{model}: {count} of {expected} images" for model, count in done.items() if count < expected],
        "unreadable": list(zip(unreadable["image"], unreadable["note"].fillna(_NO_REASON), strict=True)),
        "without_result": [method for method in settings["methods"] if method not in index.methods],
        "missing_values": _missing_values(frame, index),
    }


def _missing_values(frame: pd.DataFrame, index: ScoreIndex) -> list[tuple[str, str, list[str], str, str]]:
    missing = frame[frame["score"] != "image"].copy()
    # "confidence: the original's score 0.41 is not ..." and the like are one reason.
    missing["reason"] = missing["note"].fillna(_NO_REASON).str.split(":").str[0]
    rows = []
    for score in index.scores:
        for model in index.models:
            rows_of_score = missing[
                (missing["model"] == model) & (missing["score"] == score.name) & (missing["variant"] == score.variant)
            ]
            measured = index.methods_with(model, score.name)
            for reason, group in rows_of_score.groupby("reason"):
                methods = [method for method in index.methods if method in set(group["method"])]
                names = "all" if set(methods) == measured else ", ".join(methods)
                rows.append((score.title, model, sorted(set(group["image"])), reason, names))
    return rows
