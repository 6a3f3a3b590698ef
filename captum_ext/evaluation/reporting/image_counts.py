"""The numbers of explained and excluded images, and the reasons for exclusions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum_ext.evaluation.scores import ScoreTable
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE

if TYPE_CHECKING:
    import pandas as pd

_NO_REASON = "no reason given"


def count_images(frame: pd.DataFrame, table: ScoreTable, settings: dict[str, Any]) -> dict[str, Any]:
    """The values of the template's section on images.

    Args:
        frame: All rows of the results.
        table: The same rows as samples.
        settings: The settings of the results.

    Returns:
        ``counts`` by model, ``unfinished`` models, ``unreadable`` files with reasons, methods ``without_result``, and
        ``missing_values``: score, model, images, reason, methods.
    """
    statuses = frame[frame["score"] == "image"].drop_duplicates(["model", "image"])
    counts = statuses.groupby("model")["variant"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(table.models, columns=[EXPLAINED, MISCLASSIFIED, UNREADABLE], fill_value=0)
    done = statuses.groupby("model")["image"].nunique().reindex(table.models, fill_value=0)
    expected = settings.get("images")
    expected = expected if isinstance(expected, int) else 0
    unreadable = statuses[statuses["variant"] == UNREADABLE].drop_duplicates("image").sort_values("image")
    return {
        "counts": [[model, *map(int, row), int(done[model])] for model, row in counts.iterrows()],
        "unfinished": [f"{model}: {count} of {expected} images" for model, count in done.items() if count < expected],
        "unreadable": list(zip(unreadable["image"], unreadable["note"].fillna(_NO_REASON), strict=True)),
        "without_result": [method for method in settings["methods"] if method not in table.methods],
        "missing_values": _missing_values(frame, table),
    }


def _missing_values(frame: pd.DataFrame, table: ScoreTable) -> list[tuple[str, str, list[str], str, str]]:
    scored = frame[frame["score"] != "image"]
    missing = scored[scored["value"].isna()].copy()
    # "confidence: the original's score 0.41 is not ..." and the like are one reason.
    missing["reason"] = missing["note"].fillna(_NO_REASON).str.split(":").str[0]
    rows = []
    for score in table.scores:
        for model in table.models:
            rows_of_score = missing[
                (missing["model"] == model) & (missing["score"] == score.name) & (missing["variant"] == score.variant)
            ]
            measured = scored[(scored["model"] == model) & (scored["score"] == score.name)]["method"]
            for reason, group in rows_of_score.groupby("reason"):
                methods = [method for method in table.methods if method in set(group["method"])]
                names = "all" if set(methods) == set(measured) else ", ".join(methods)
                rows.append((score.title, model, sorted(set(group["image"])), reason, names))
    return rows
