"""The PGIG paper's Fig. 3: the degradation order of eleven methods, Pattern-Guided IG steepest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from evidence.claim import Claim, Figure, Group
from evidence.papers import PGIG
from evidence.stored import Column, Stored
from evidence.verdicts import Trial, of_all_in_each
from evidence.words import MODELS, label, said, shown, signed, table, told

RUNS = ("degradation-vgg16", "degradation-lite0", "degradation-mnist")
PROTOCOLS = ("paper", "code")
SIDES = dict(zip(RUNS, (112, 224, 28), strict=True))  # of the images, in pixels
PAPERS = 25  # noisy paths of SmoothGrad-IG
# From the flattest curve to the steepest, as the paper's Section 6 has them; those of a tier "perform similarly".
TIERS = (
    ("random",),
    ("gradient",),
    ("gradient-x-input", "ig"),
    ("vargrad",),
    ("smoothgrad-squared", "smoothgrad-ig", "expected-gradients", "guided-backprop", "patternattribution"),
    ("pgig",),
)
ELEVEN = [method for tier in TIERS for method in tier]
Pairs = list[tuple[str, str]]  # (what is claimed to be steeper, than what)
_STEEPEST: Pairs = [("pgig", method) for method in ELEVEN if method != "pgig"]
_PARENTS: Pairs = [("pgig", "ig"), ("pgig", "patternattribution")]
_RANDOM: Pairs = [(method, "random") for method in ELEVEN if method != "random"]
_ORDER: Pairs = [
    (better, worse)
    for k, tier in enumerate(TIERS)
    for better in tier
    for before in TIERS[:k]
    for worse in before
    if worse != "random" and better != "pgig"
]


def column(run: str, method: str, protocol: str) -> Column:
    """The area under the degradation curve."""
    return Column(run, method, "degradation", protocol)


def trials(pairs: Pairs, stored: Stored) -> list[Trial]:
    """The area of the one less that of the other, over the same images: below 0 it is steeper."""
    found = []
    for run, protocol in _each():
        for better, worse in pairs:
            change = stored.difference(column(run, better, protocol), column(run, worse, protocol))
            if change is not None:
                where = {"model": MODELS[run], "protocol": protocol, **_named(pairs, better, worse)}
                found.append(Trial(change, where, -1))
    return found


def _named(pairs: Pairs, better: str, worse: str) -> dict[str, str]:
    """What tells a pair from the others."""
    if len({one for one, _ in pairs}) == 1:
        return {"rival": label(worse)}
    if len({other for _, other in pairs}) == 1:
        return {"method": label(better)}
    return {"pair": f"{label(better)} before {label(worse)}"}


def _each() -> Iterator[tuple[str, str]]:
    return ((run, protocol) for run in RUNS for protocol in PROTOCOLS)


def numbers(stored: Stored) -> list[str]:
    """A row a model and method, the steepest by the paper's protocol first: areas, and what PGIG's is beside them."""
    rows = []
    for run in RUNS:
        findings = stored.run(run)
        for method in sorted(findings.methods if findings else [], key=lambda method: _area(stored, run, method)):
            own = [stored.value(column(run, method, protocol)) for protocol in PROTOCOLS]
            beside = [_beside(stored, run, method, protocol) for protocol in PROTOCOLS]
            n = max((value.n for value in own if value is not None), default=0)
            name = label(method) if method in ELEVEN else f"*{label(method)}*"
            cells = [cell for pair in zip(map(shown, own), beside, strict=True) for cell in pair]
            rows.append([MODELS[run], name, str(n), *cells])
    heads = ["Model", "Method", "n"]
    heads += [head for protocol in PROTOCOLS for head in (f"Area ({protocol})", f"PGIG's less it ({protocol})")]
    return [table(heads, rows), *_ends(stored)]


def _ends(stored: Stored) -> list[str]:
    """What is left of the probability when all patches are replaced: how much there is to tell methods apart by."""
    told = []
    for run in RUNS:
        samples = {method: stored.sample(column(run, method, PROTOCOLS[0])) for method in ELEVEN}
        left = {m: float(s.curves[:, -1].mean()) for m, s in samples.items() if s is not None and s.curves is not None}
        if "random" in left:
            least = min(left, key=lambda method: left[method])
            told.append(f"{MODELS[run]}: {left['random']:.2f} by a random order, {left[least]:.2f} by {label(least)}")
    return (
        [(f"What is left of the probability at the end (`paper`), at random and at best: {'; '.join(told)}.")]
        if told
        else []
    )


def _area(stored: Stored, run: str, method: str) -> float:
    found = stored.value(column(run, method, PROTOCOLS[0])) or stored.value(column(run, method, PROTOCOLS[1]))
    return found.value if found else 2.0


def _beside(stored: Stored, run: str, method: str, protocol: str) -> str:
    change = stored.difference(column(run, "pgig", protocol), column(run, method, protocol))
    if method == "pgig" or change is None:
        return "-"
    return f"{signed(change)} {said(Trial(change, sign=-1).outcome, 'steeper', 'flatter')}"


def _counts(pairs: Pairs, stored: Stored) -> list[str]:
    """How the pairs of a claim came out, by model and protocol."""
    rows = []
    for run, protocol in _each():
        some = [
            trial.outcome
            for trial in trials(pairs, stored)
            if (trial.conditions["model"], trial.conditions["protocol"]) == (MODELS[run], protocol)
        ]
        if some:
            counts = [str(some.count(outcome)) for outcome in ("holds", "undecided", "reversed")]
            rows.append([MODELS[run], protocol, str(len(some)), *counts])
    return [table(["Model", "Protocol", "pairs", "as claimed", "undecided", "reversed"], rows)]


def _protocol(stored: Stored, run: str) -> str:
    """What a run replaces, and where it does less than the paper."""
    given = stored.settings(run)
    size, every, paths = (given.get(name) for name in ("patch_size", "patches_per_point", "smoothgrad_ig_samples"))
    share = given["n_patches"] * given.get("patch_size", 9) ** 2 / SIDES[run] ** 2
    text = (
        f"{MODELS[run]}: from {given['baseline']}; {given['n_patches']} patches of {size} x {size}, {share:.0%} of the "
        f"image, {every} more at each point of the curve"
    )
    return text + (f"; SmoothGrad-IG has {paths} noisy paths, not the paper's {PAPERS}" if paths != PAPERS else "")


def _run(stored: Stored) -> str:
    protocols = ". ".join(_protocol(stored, run) for run in RUNS if stored.run(run))
    return (
        f"{told(stored, RUNS)} The patches with the highest summed attribution are replaced "
        f"({protocols}). The area is that under the target's probability over the share of all patches "
        "that are replaced; a smaller one is steeper. `paper` replaces the top patches by their channels' "
        "means; `code` never replaces the very first and leaves patches whose mean is not positive as they are. The "
        "methods in *italics* are not among the paper's eleven."
    )


_OF_ALL = partial(of_all_in_each, ("model", "protocol"))


def _claim(name: str, title: str, quote: str, where: str, pairs: Pairs, **more: object) -> Claim:
    given = {"numbers": lambda stored: _counts(pairs, stored), **more}
    run = given.pop("run", lambda stored: "As above.")
    return Claim(name, title, quote, (f"{PGIG}, {where}"), run, lambda stored: trials(pairs, stored), **given)  # type: ignore[arg-type]


GROUP = Group(
    "Image degradation: is PGIG the steepest?",
    [
        _claim(
            "claim-steepest",
            "PGIG falls steepest of eleven methods (Fig. 3)",
            "“Pattern-Guided Integrated Gradients is both, a gradient aggregating method and a gradient modifying "
            "method. According to the image degradation metric, it outperforms all other methods tested.” (VGG-16, "
            "50,000 images, top 100 patches of 9 x 9.)",
            "Section 6 and Fig. 3",
            _STEEPEST,
            rule=_OF_ALL,
            run=_run,
            numbers=numbers,
            figures=(
                Figure(
                    "degradation",
                    "The target's probability over its value at the start as patches are replaced, with 95 % bands; "
                    "lower is better. Only PGIG, its parents and random are in colour.",
                ),
                Figure(
                    "degradation-pgig",
                    "PGIG's area less each other method's, over the same images, with 95 % "
                    "intervals. Left of 0 PGIG is steeper.",
                ),
            ),
            remark="The VGG-16 is the ImageNet convolution body with a two-class head (animal or object) fitted for "
            "this project, at 112 x 112: the paper's net has 1,000 classes and 224 x 224.",
        ),
        _claim(
            "claim-parents",
            "PGIG is steeper than both its parents",
            "“Furthermore, we find that it outperforms its parent methods, as well as seven other prominent "
            "explainability methods, in a large-scale image degradation experiment.”",
            "Section 1",
            _PARENTS,
            rule=_OF_ALL,
        ),
        _claim(
            "claim-random",
            "A random order is the worst",
            "“We observe that, according to the image degradation metric, the random patch ordering performs worst "
            "with VGG-16 on ImageNet, as expected.”",
            "Section 6",
            _RANDOM,
            rule=_OF_ALL,
        ),
        _claim(
            "claim-order",
            "The order of the nine others",
            "“The random ordering is followed by the simple gradient method. ... Gradient times Input and "
            "Integrated Gradients ... perform similarly ... Both methods are surpassed by VarGrad, which itself is "
            "exceeded by SmoothGrad², SmoothGrad-IG, Expected Gradients, Guided Backpropagation and "
            "PatternAttribution; all of which perform similarly.”",
            "Section 6",
            _ORDER,
        ),
    ],
)
