"""What the page says beyond its claims: which method when, the defaults, and the full study's price."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from evidence.claims import degradation, guided, stepped
from evidence.claims.idgi import INSERTION, SIZE, trials
from evidence.stored import Column, Stored
from evidence.verdicts import HOLDS, REVERSED, Outcome
from evidence.words import MODELS, label

_BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "results"


def facts(stored: Stored) -> dict[str, Any]:
    """What the templates ask of the results."""
    return {
        "value": lambda *column: stored.value(Column(*column)),
        "difference": lambda run, one, other, *score: stored.difference(
            *(Column(run, method, *score) for method in (one, other))
        ),
        "late": lambda method: stored.difference(*stepped.at(method, ("insertion", "signed"), 128, 32)),
        "moved": lambda method, change: guided.distance(stored, method, change),
        "guided_bound": guided.BOUND,
        "places": _places(stored),
        "rankings": _rankings(stored),
        "rates": _rates(),
    }


def _places(stored: Stored) -> list[dict[str, Any]]:
    """PGIG's place among the eleven, and how many it is steeper or flatter than."""
    places = []
    for run in degradation.RUNS:
        columns = {method: degradation.column(run, method, "paper") for method in degradation.ELEVEN}
        areas = {method: value.value for method in columns if (value := stored.value(columns[method]))}
        ranked = sorted(areas, key=lambda method: areas[method])
        if "pgig" in ranked:
            changes = [stored.difference(columns["pgig"], columns[rival]) for rival in ranked if rival != "pgig"]
            sides = [change.side() for change in changes if change]
            place = {"model": MODELS[run], "place": ranked.index("pgig") + 1, "n": len(ranked)}
            places.append(place | {"steeper": sides.count(-1), "flatter": sides.count(1), "lowest": label(ranked[0])})
    return places


def _rankings(stored: Stored) -> dict[str, int]:
    """How many comparisons of the tables there are by either ranking, and of these depend on it or are reversed."""
    outcomes: dict[str, dict[tuple[str, ...], Outcome]] = {"signed": {}, "absolute": {}}
    for trial in trials([*INSERTION, *SIZE], stored):
        key = tuple(trial.conditions[name] for name in ("score", "model", "method"))
        outcomes[trial.conditions["ranking"]][key] = trial.outcome
    pairs = [{of, outcomes["absolute"][key]} for key, of in outcomes["signed"].items() if key in outcomes["absolute"]]
    return {
        "n": len(pairs),
        "differ": sum(len(pair) == 2 for pair in pairs),
        "turned": sum(pair == {HOLDS, REVERSED} for pair in pairs),
    }


def _rates() -> list[tuple[str, float]]:
    """Points per second of IG in the benchmark, of a small network and of one as large as the study's."""
    rates = []
    for part, network, wanted in (
        ("centre", "EfficientNet-Lite0, smaller than the study's ten", {"comparison": "IG"}),
        ("axes", "VGG-11", {"axis": "network"}),
    ):
        file = _BENCHMARK / f"{part}.json"
        entries = json.loads(file.read_text())["measured"] if file.exists() else []
        rates += [
            (network, float(entry["points"]["IG"] / median(entry["seconds"]["IG"])))
            for entry in entries
            if wanted.items() <= entry.items()
        ]
    return rates
