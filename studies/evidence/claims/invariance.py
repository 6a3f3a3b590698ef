"""What the PGIG paper leaves open: implementation invariance."""

from typing import Any

import pandas as pd

from evidence.claim import Claim
from evidence.stored import Stored
from evidence.words import pivot

INVARIANCE = "invariance"
EQUAL = 1e-6
LEAST = 1e-17  # maps that are equal bit for bit


def farthest(stored: Stored, method: str) -> Any:
    """How far the map of that digit's farthest twin is, by digit."""
    rows = stored.frame(INVARIANCE)
    if rows is None:
        return pd.Series(dtype=float)
    return rows[(rows["network"] == "mnist") & (rows["method"] == method)].groupby("image")["relative_l2"].max()


def _numbers(stored: Stored) -> list[Any]:
    return [pivot(stored.frame(INVARIANCE), ["network", "twin"], "method", "relative_l2")]


CLAIM = Claim("claim-invariance", _numbers, {"equal": f"{EQUAL:g}"}, (INVARIANCE,))
