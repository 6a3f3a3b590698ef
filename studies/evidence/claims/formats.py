"""Number formats: do they change the maps, and the ranking of the methods by insertion?"""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from captum_ext.evaluation import Estimate, bootstrap
from evidence.claim import Claim
from evidence.stored import Stored, over_images
from evidence.words import label, shown, signed, table

NAME, MEASURE = "number_formats", "insertion by magnitude, minus float32's"
METHODS = ("gradient", "ig", "idgi", "guided-ig", "blur-ig")
FORMATS = {
    "float32 again": "float32, run again (null control)",
    "bfloat16": "bfloat16",
    "TF32": "TF32, emulated",
    "shuffled": "float32, pixels shuffled (positive control)",
}
RANKINGS = {"signed": "by sign", "absolute": "by magnitude"}


def wide(stored: Stored, column: str) -> Any:
    """An experiment's column, images x (format, method); without rows if it was not run."""
    rows = stored.frame(NAME)
    if rows is None:
        pairs = pd.MultiIndex.from_tuples(product(("float32", *FORMATS), METHODS))
        return pd.DataFrame(columns=pairs, dtype=float)
    return rows.pivot(index="image", columns=["format", "method"], values=column)


def change(stored: Stored, method: str, of: str, ranking: str = "absolute") -> Any:
    """How an image's insertion differs from float32's, as a Series."""
    areas = wide(stored, f"insertion {ranking}")
    return areas[of, method] - areas["float32", method]


def agreement(stored: Stored, of: str, ranking: str) -> Estimate:
    """The rank correlation between the methods' mean insertion in a format and in float32."""
    areas = wide(stored, f"insertion {ranking}")
    pair = [areas[name][list(METHODS)].to_numpy() for name in ("float32", of)]

    def correlation(drawn: Any) -> Any:
        means = (values[drawn].mean(1) for values in pair)
        ranks = [stats.rankdata(mean, axis=1) - (len(METHODS) + 1) / 2 for mean in means]
        return (ranks[0] * ranks[1]).sum(1) / np.sqrt((ranks[0] ** 2).sum(1) * (ranks[1] ** 2).sum(1))

    return bootstrap(correlation, len(areas))


def numbers(stored: Stored) -> list[Any]:
    """A row a ranking and format: by method, how far maps move and what that does to insertion."""
    ranks, changes = [], []
    for (kind, words), (of, title) in product(RANKINGS.items(), FORMATS.items()):
        ranks.append([words, title, *(shown(over_images(wide(stored, f"rank {kind}")[of, m])) for m in METHODS)])
        changes.append([words, title, *(signed(over_images(change(stored, m, of, kind))) for m in METHODS)])
    heads = ["Ranking", "Format", *map(label, METHODS)]
    first, second = "The rank correlation of a map with float32's:", "Insertion, minus float32's:"
    return [first, table(heads, ranks), second, table(heads, changes)]


def orders(stored: Stored) -> Any:
    """The methods from the best to the worst in each format, and how that agrees with float32's order."""
    rows = []
    for (ranking, words), of in product(RANKINGS.items(), ("float32", "bfloat16", "TF32")):
        means = wide(stored, f"insertion {ranking}")[of][list(METHODS)].mean()
        order = [f"{label(m)} {means[m]:.3f}" for m in means.sort_values(ascending=False, kind="stable").index]
        rows.append([words, FORMATS.get(of, of), ", ".join(order), shown(agreement(stored, of, ranking))])
    return table(["Ranking", "Format", "Methods by mean insertion", "Rank correlation with float32's order"], rows)


CLAIM = Claim("claim-formats", numbers, {"formats": FORMATS}, (NAME,))
