"""What became of the images: how many were explained, which were not, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum_ext.evaluation.scores import ScoreTable
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE

if TYPE_CHECKING:
    import pandas as pd

_NO_REASON = "no reason given"


def account(frame: pd.DataFrame, table: ScoreTable, settings: dict[str, Any]) -> dict[str, Any]:
    """What the template says of the images.

    Args:
        frame: All rows.
        table: The same as samples.
        settings: Of the results.

    Returns:
        ``counts`` by model, ``unfinished`` models, ``unreadable`` files and why, ``without_result`` (methods), and the
        values that were ``left_out``: score, model, images, why, methods.
    """
    own = frame[frame["score"] == "image"].drop_duplicates(["model", "image"])
    statuses = own.groupby("model")["variant"].value_counts().unstack(fill_value=0)
    statuses = statuses.reindex(table.models, columns=[EXPLAINED, MISCLASSIFIED, UNREADABLE], fill_value=0)
    done = own.groupby("model")["image"].nunique().reindex(table.models, fill_value=0)
    expected = settings.get("images")
    expected = expected if isinstance(expected, int) else 0
    broken = own[own["variant"] == UNREADABLE].drop_duplicates("image").sort_values("image")
    return {
        "counts": [[model, *map(int, row), int(done[model])] for model, row in statuses.iterrows()],
        "unfinished": [f"{model}: {count} of {expected} images" for model, count in done.items() if count < expected],
        "unreadable": list(zip(broken["image"], broken["note"].fillna(_NO_REASON), strict=True)),
        "without_result": [method for method in settings["methods"] if method not in table.methods],
        "left_out": _left_out(frame, table),
    }


def _left_out(frame: pd.DataFrame, table: ScoreTable) -> list[tuple[str, str, list[str], str, str]]:
    scored = frame[frame["score"] != "image"]
    lost = scored[scored["value"].isna()].copy()
    # "confidence: the original's score 0.41 is not ..." and the like are one reason.
    lost["why"] = lost["note"].fillna(_NO_REASON).str.split(":").str[0]
    rows = []
    for score in table.scores:
        for model in table.models:
            some = lost[(lost["model"] == model) & (lost["score"] == score.name) & (lost["variant"] == score.variant)]
            measured = scored[(scored["model"] == model) & (scored["score"] == score.name)]["method"]
            for why, group in some.groupby("why"):
                methods = [method for method in table.methods if method in set(group["method"])]
                names = "all" if set(methods) == set(measured) else ", ".join(methods)
                rows.append((score.title, model, sorted(set(group["image"])), why, names))
    return rows
