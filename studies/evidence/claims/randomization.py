"""What the PGIG paper leaves open: does its map change as the network forgets?"""

from itertools import product
from typing import Any

from captum_ext.evaluation import Estimate
from evidence.claim import Claim, Group
from evidence.claims import invariance
from evidence.stored import Stored, over_images
from evidence.verdicts import Trial
from evidence.words import label, shown, table, trial_table

NAME = "randomization"
NETWORKS = {"mnist": "MNIST net", "efficientnet-lite0": "Lite0"}
METHODS = ("ig", "idgi", "pgig", "patternattribution", "gradient", "guided-backprop")
PATTERNS = {"kept": "of the network before", "anew": "fitted anew"}
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
    rows = rows[(rows["network"] == network) & (rows["method"] == method) & (rows["patterns"].fillna("") == patterns)]
    return rows.pivot(index="image", columns="layer", values=ranking)


def similarity(stored: Stored, network: str, method: str, patterns: str, layer: str, ranking: str) -> Estimate | None:
    """Its mean over the images."""
    values = by_image(stored, network, method, patterns, ranking)
    return over_images(values[layer]) if layer in values else None


def _trials(stored: Stored) -> list[Trial]:
    """PGIG's distance from 0, whatever the sign, less IG's: the mean over what is random."""
    trials = []
    for network, patterns, ranking in product(NETWORKS if stored.frame(NAME) is not None else (), PATTERNS, RANKINGS):
        pair = (by_image(stored, network, *of, ranking) for of in (("pgig", patterns), ("ig", "")))
        own, other = (values.abs().mean(axis=1) for values in pair)
        if len(own) and len(other):
            where = {"patterns": patterns, "ranking": ranking, "network": NETWORKS[network]}
            trials.append(Trial(over_images(own - other), where, -1))
    return trials


def _numbers(stored: Stored) -> list[Any]:
    rows = []
    for network, method in product(NETWORKS, METHODS):
        states = layers(stored, network)
        for patterns in kinds(method):
            values = [
                similarity(stored, network, method, patterns, layer, ranking)
                for layer in (states[:1] + states[-1:])
                for ranking in RANKINGS
            ]
            if any(values):
                n = next(value.n for value in values if value)
                kind = PATTERNS.get(patterns, "-")
                rows.append([NETWORKS[network], label(method), kind, str(n), *map(shown, values)])
    heads = ["Network", "Method", "Patterns", "n"]
    heads += [f"{state}, {ranking}" for state in ("last layer", "all layers") for ranking in RANKINGS]
    trials = [
        Trial(trial.estimate, {**trial.conditions, "patterns": PATTERNS[trial.conditions["patterns"]]}, -1)
        for trial in _trials(stored)
    ]
    conditions = {"Network": "{network}", "Patterns": "{patterns}", "Ranking": "{ranking}"}
    head = "distance from 0: PGIG less IG"
    return [table(heads, rows), trial_table(trials, conditions, head, "reacts more", "reacts less")]


GROUP = Group("What the PGIG paper leaves open", [Claim("claim-randomization", _trials, _numbers), invariance.CLAIM])
