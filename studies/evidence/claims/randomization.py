"""What the PGIG paper leaves open: does its map change as the network forgets?"""

from __future__ import annotations

from typing import Any

from captum_ext.evaluation.reporting.estimates import Estimate
from evidence.claim import Claim, Figure, Group
from evidence.claims import invariance
from evidence.papers import PGIG
from evidence.stored import Stored, over_images
from evidence.verdicts import Trial
from evidence.words import label, said, shown, signed, table

NAME = "randomization"
NETWORKS = {"mnist": "MNIST net", "efficientnet-lite0": "Lite0"}
METHODS = ("ig", "idgi", "pgig", "patternattribution", "gradient", "guided-backprop")
PATTERNS = {"kept": "of the network before", "anew": "fitted anew"}
RANKINGS = ("absolute", "signed")


def rows(stored: Stored) -> Any:
    """A row a network, method, patterns, layer and image; ``None`` if it was not run."""
    found = stored.rows(NAME)
    return None if found is None else found.fillna({"patterns": ""})


def layers(stored: Stored, network: str) -> list[str]:
    """What is random, in order: from the output on."""
    found = rows(stored)
    return [] if found is None else list(dict.fromkeys(found[found["network"] == network]["layer"]))


def kinds(method: str) -> tuple[str, ...]:
    """The patterns that a method is there with."""
    return tuple(PATTERNS) if method in ("pgig", "patternattribution") else ("",)


def by_image(stored: Stored, network: str, method: str, patterns: str, layer: str, ranking: str) -> dict[str, float]:
    """The rank correlation with the whole network's maps."""
    every = rows(stored)
    if every is None:
        return {}
    wanted = {"network": network, "method": method, "patterns": patterns, "layer": layer}
    for column, value in wanted.items():
        every = every[every[column] == value]
    return dict(zip(every["image"].astype(str), every[ranking].astype(float), strict=True))


def similarity(stored: Stored, network: str, method: str, patterns: str, layer: str, ranking: str) -> Estimate | None:
    """Its mean over the images."""
    found = by_image(stored, network, method, patterns, layer, ranking)
    return over_images(found.values()) if found else None


def _over_layers(stored: Stored, network: str, method: str, patterns: str, ranking: str) -> dict[str, float]:
    """By image, how far the correlation is from 0, the mean over what is random: an inverted map is no other map."""
    states = [by_image(stored, network, method, patterns, layer, ranking) for layer in layers(stored, network)]
    return {image: sum(abs(state[image]) for state in states) / len(states) for image in states[0]} if states else {}


def _trials(stored: Stored) -> list[Trial]:
    """PGIG's distance from 0 less IG's, the mean over what is random."""
    found = []
    for network in NETWORKS:
        for patterns in PATTERNS:
            for ranking in RANKINGS:
                own = _over_layers(stored, network, "pgig", patterns, ranking)
                other = _over_layers(stored, network, "ig", "", ranking)
                if own and other:
                    change = over_images(own[image] - other[image] for image in own if image in other)
                    where = {"patterns": patterns, "ranking": ranking, "network": NETWORKS[network]}
                    found.append(Trial(change, where, -1))
    return found


def _numbers(stored: Stored) -> list[str]:
    lines = []
    for network, title in NETWORKS.items():
        states = layers(stored, network)
        for method in METHODS:
            for patterns in kinds(method):
                values = [
                    similarity(stored, network, method, patterns, layer, ranking)
                    for layer in (states[:1] + states[-1:])
                    for ranking in RANKINGS
                ]
                if any(values):
                    n = next(value.n for value in values if value)
                    lines.append([title, label(method), PATTERNS.get(patterns, "-"), str(n), *map(shown, values)])
    heads = ["Network", "Method", "Patterns", "n"]
    heads += [f"{state}, {ranking}" for state in ("last layer", "all layers") for ranking in RANKINGS]
    found = [table(heads, lines)]
    compared = []
    for trial in _trials(stored):
        where = trial.conditions
        kind = PATTERNS[where["patterns"]]
        change = f"{signed(trial.found)} {said(trial.outcome, 'reacts more', 'reacts less')}"
        compared.append([where["network"], kind, where["ranking"], str(trial.found.n), change])
    return [*found, table(["Network", "Patterns", "Ranking", "n", "distance from 0: PGIG less IG"], compared)]


def _run(stored: Stored) -> str:
    given = stored.settings(NAME)
    return (
        "Spearman's rank correlation of the maps with those of the whole network, as its layers are made random "
        "from the output on: near 0, nothing is left of the map. MNIST net: layers initialised anew "
        f"({given['digits']} test digits); Lite0, folded: its weights' entries shuffled ({given['photographs']} "
        "photographs). Patterns are those of the network before, or fitted anew to the random one. A comparison "
        "holds if PGIG's correlation is nearer to 0 than IG's (its size, whatever its sign, the mean over the layers "
        "made random)."
    )


GROUP = Group(
    "What the PGIG paper leaves open",
    [
        Claim(
            "claim-randomization",
            "Does PGIG react more to model randomisation than IG?",
            "“Furthermore, IG was shown to have a problematic degree of invariance to model randomization Adebayo "
            "et al. (2018). It should be explored to what degree PGIG still exhibits this behaviour.”",
            f"{PGIG}, Section 8",
            _run,
            _trials,
            _numbers,
            (
                Figure(
                    "randomization",
                    "What is left of the maps as layers are made random from the output on: rank correlation of "
                    "magnitudes, means with 95 % bands. Pattern methods with the patterns of the network before (full "
                    "lines) and fitted anew (dotted).",
                ),
            ),
            "The size of a correlation by chance is above 0, and the more so the smoother the maps are; a small "
            "difference of sizes can come from that. Patterns of the network before hand a method part of what the "
            "others have lost; fitted anew, it has what they have.",
        ),
        invariance.CLAIM,
    ],
)
