"""What the papers' tables say, to be quoted beside this project's numbers."""

import csv
import functools
from pathlib import Path

BASES = ("ig", "guided-ig", "blur-ig")
SIX = ("ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi")


@functools.cache
def study() -> dict[tuple[str, int], dict[str, dict[str, float]]]:
    """The IDGI study's Tables 1 to 3 and 6 to 17: by score and steps, by model, by method."""
    found: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
    with (Path(__file__).parent / "study.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            score, model, steps = row.pop("score"), row.pop("model"), int(row.pop("steps"))
            values = {method: float(value) for method, value in row.items() if value}
            found.setdefault((score, steps), {})[model] = values
    return found


def idgi(method: str) -> str:
    """IDGI on a method's path."""
    return "idgi" if method == "ig" else f"{method}+idgi"
