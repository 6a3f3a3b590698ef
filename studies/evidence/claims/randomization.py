"""What the PGIG paper leaves open: does its map change as the network forgets?"""

from itertools import product
from typing import Any

import pandas as pd

from evidence.claim import Claim, Group
from evidence.claims import invariance, toy
from evidence.stored import Stored
from evidence.words import label, pivot

NAME = "randomization"
NETWORKS = {"mnist": "MNIST net", "efficientnet-lite0": "Lite0"}
METHODS = ("ig", "idgi", "pgig", "patternattribution", "gradient", "guided-backprop")
PATTERNS = {"kept": "of the network before", "anew": "fitted again"}
RANKINGS = ("absolute", "signed")


def layers(stored: Stored, network: str) -> list[str]:
    """What is random, in order: from the output on."""
    rows = stored.frame(NAME)
    return [] if rows is None else list(rows[rows["network"] == network]["layer"].unique())


def kinds(method: str) -> tuple[str, ...]:
    """The patterns that a method is there with."""
    return tuple(PATTERNS) if method in ("pgig", "patternattribution") else ("",)


def by_image(stored: Stored, network: str, method: str, patterns: str, ranking: str) -> Any:
    """The rank correlation with the whole network's maps, images x layers; empty if it was not run."""
    rows = stored.frame(NAME)
    if rows is None:
        return pd.DataFrame(dtype=float)
    rows = rows[(rows["network"] == network) & (rows["method"] == method) & (rows["patterns"].fillna("") == patterns)]
    return rows.pivot(index="image", columns="layer", values=ranking)


def _numbers(stored: Stored) -> list[Any]:
    rows, tables = stored.frame(NAME), []
    rows = rows.assign(patterns=rows["patterns"].map(PATTERNS).fillna("-"), method=rows["method"].map(label))
    for (network, name), ranking in product(NETWORKS.items(), RANKINGS):
        part = pivot(rows[rows["network"] == network], ["method", "patterns"], "layer", ranking, "mean")
        tables += [f"{name}, {ranking} ranking, by the last layer made random:", part]
    return tables


GROUP = Group(
    "patterns",
    "What do patterns change: stress tests, randomization, invariance?",
    [*toy.CLAIMS, Claim("claim-randomization", _numbers, runs=(NAME,)), invariance.CLAIM],
)
