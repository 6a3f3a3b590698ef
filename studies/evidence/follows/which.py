"""The decision table: which method when."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from captum_ext.evaluation.reporting.estimates import Estimate
from evidence.claims import guided
from evidence.stored import Column, Stored
from evidence.words import label, shown, table


class Facts(NamedTuple):
    """What is known of a method without any run.

    Attributes:
        gradients: An image at N steps, by this library's defaults.
        needs: To be applied.
        complete: Whether its map sums to F's change.
        sensitive: Whether what alone makes a difference gets a share.
        invariant: Whether networks that compute the same get the same map.
        when: To take it.
    """

    gradients: str
    needs: str
    complete: str
    sensitive: str
    invariant: str
    when: str


METHODS = {
    "ig": Facts(
        "N",
        "a baseline",
        "in the limit; the delta tells",
        "yes",
        "yes",
        "an account that sums up, with an error that is known; rank it by magnitude",
    ),
    "idgi": Facts(
        "N + 1",
        "a baseline",
        "by construction, so its delta tells nothing",
        "not in general: shares go by the squared gradient; no share to what F never depends on",
        "yes",
        "a ranking of pixels, by sign or magnitude; many steps",
    ),
    "guided-ig": Facts(
        "N, one after another",
        "a baseline; smooth gradients",
        "in the limit, which real networks are far from",
        "yes",
        "yes, but not in floating point",
        "never where a map must be had again",
    ),
    "guided-ig+idgi": Facts(
        "N + 1, one after another",
        "as Guided IG",
        "by construction",
        "as IDGI",
        "as Guided IG",
        "as Guided IG",
    ),
    "blur-ig": Facts(
        "N",
        "dimensions to blur",
        "in the limit; the delta tells",
        "to detail finer than the blur",
        "yes",
        "no baseline can be chosen; what detail adds",
    ),
    "blur-ig+idgi": Facts(
        "N + 1",
        "dimensions to blur",
        "by construction",
        "as IDGI",
        "yes",
        "a ranking of pixels by sign, without a baseline",
    ),
    "patternattribution": Facts(
        "1", "patterns: training data", "no", "no: nothing at a plateau", "no", "a quick look, with patterns"
    ),
    "pgig": Facts(
        "N",
        "a baseline; patterns",
        "no",
        "yes, but where a pattern is 0",
        "no",
        "the signal in the data is asked for, and its patterns are known; see its place above",
    ),
    "gradient": Facts("1", "-", "no", "no: nothing at a plateau", "yes", "what a small change would do"),
    "gradient-x-input": Facts(
        "1",
        "-",
        "no",
        "no: nothing at a plateau",
        "yes",
        "IG for one gradient where the net is linear between black and the image: without biases",
    ),
    "guided-backprop": Facts("1", "ReLU modules", "no", "no", "no", "edges of the picture, hardly the class"),
    "smoothgrad-squared": Facts(
        "25", "noise in proportion", "no", "locally", "yes", "where the network is sensitive, without sign"
    ),
    "vargrad": Facts("25", "noise in proportion", "no", "locally", "yes", "as SmoothGrad²"),
    "smoothgrad-ig": Facts(
        "25 N", "a baseline; noise", "no", "yes", "yes", "IG with less noise, for 25 times its price"
    ),
    "expected-gradients": Facts(
        "49",
        "training data",
        "in the limit, against the data's mean",
        "yes",
        "yes",
        "no baseline can be chosen, and data is there",
    ),
}

Seen = Callable[[Stored, str], Estimate | None]


def _column(run: str, score: str, variant: str) -> Seen:
    return lambda stored, method: stored.value(Column(run, method, score, variant))


SEEN: dict[str, Seen] = {
    "insertion, signed ↑": _column("study-lite0", "insertion", "signed"),
    "insertion, absolute ↑": _column("study-lite0", "insertion", "absolute"),
    "degradation, paper ↓": _column("degradation-lite0", "degradation", "paper"),
    "JPEG, rank correlation ↑": _column("stability-lite0", "stability", "rank"),
    "two classes, correlation of magnitudes ↓": _column("stability-lite0", "class-sensitivity", "absolute"),
    "moved by another number of threads ↓": lambda stored, method: guided.distance(stored, method, guided.THREADS),
}
_INTRODUCTION = """What each method costs at N steps (gradients an image; IG and IDGI on one path share them, so both
cost as much as one), what it needs and what it promises by construction. The last column is this project's
advice; what it rests on is above."""
_NUMBERS = """What was seen, on EfficientNet-Lite0 and 64 photographs, with 95 % intervals. Insertion: 128 steps;
degradation: 25 (of the folded network); the last three: 16. ↑: higher is better, ↓: lower is better; a dash was not
measured."""


def parts(stored: Stored) -> list[str]:
    """Both tables."""
    facts = [[label(method), *of] for method, of in METHODS.items()]
    heads = ["Method", "Gradients", "Needs", "Completeness", "Sensitivity", "Implementation invariance", "When"]
    seen = {method: [found(stored, method) for found in SEEN.values()] for method in [*METHODS, "random"]}
    numbers = [[label(method), *map(shown, cells)] for method, cells in seen.items() if any(cells)]
    found = ["## What follows: which method when", _INTRODUCTION, table(heads, facts)]
    return [*found, _NUMBERS, table(["Method", *SEEN], numbers)] if numbers else found
