"""Scores at several numbers of steps: what the claims on them share."""

from evidence.stored import Column, FloatArray, change
from evidence.words import label

RUN = "steps-lite0"
FINEST = "study-lite0"  # has the 128 steps, over the same images
STEPS = (8, 16, 32, 64, 128)
BASES = ("ig", "blur-ig")
METHODS = ("ig", "idgi", "blur-ig", "blur-ig+idgi")
SCORES = {
    ("insertion", "signed"): "Insertion, signed",
    ("insertion", "absolute"): "Insertion, absolute",
    ("insertion-ratio", "signed"): "Insertion ratio, signed",
    ("insertion-ratio", "absolute"): "Insertion ratio, absolute",
    ("aic", "study:png"): "AIC (PNG), signed",
    ("sic", "study:png"): "SIC (PNG), signed",
}


def at(method: str, score: tuple[str, str], *counts: int) -> list[Column]:
    """A score at these numbers of steps, of whole paths."""
    return [Column(FINEST if count == STEPS[-1] else RUN, method, *score, count) for count in counts]


def conditions(score: tuple[str, str], method: str | None = None) -> dict[str, str]:
    name, _, ranking = SCORES[score].partition(", ")
    return {"score": name, "ranking": ranking} | ({"method": label(method)} if method else {})


def changes(values: FloatArray) -> FloatArray:
    """How much more the second half of the columns changes, from its first to its last, than the first half."""
    half = len(values) // 2
    more: FloatArray = change(values[half:]) - change(values[:half])
    return more


def ends(method: str, score: tuple[str, str]) -> list[Column]:
    """A score at the fewest and at the most steps."""
    return at(method, score, STEPS[0], STEPS[-1])
