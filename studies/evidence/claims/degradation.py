"""The PGIG paper's Fig. 3: the degradation order of eleven methods, Pattern-Guided IG steepest."""

from functools import partial
from itertools import product
from typing import Any

from evidence.claim import Claim, Group
from evidence.stored import Column, Stored
from evidence.verdicts import Trial, measured, of_all_in_each
from evidence.words import MODELS, NONE, compared, label, shown, table

RUNS = ("degradation-vgg16", "degradation-lite0", "degradation-mnist")
PROTOCOLS = ("paper", "code")
SIDES = dict(zip(RUNS, (112, 224, 28), strict=True))  # of the images, in pixels
PAPERS_PATHS = 25  # noisy paths of SmoothGrad-IG
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
    return measured(
        (
            (
                stored.difference(column(run, better, protocol), column(run, worse, protocol)),
                {"model": MODELS[run], "protocol": protocol, **_named(pairs, better, worse)},
            )
            for run, protocol, (better, worse) in product(RUNS, PROTOCOLS, pairs)
        ),
        sign=-1,
    )


def _named(pairs: Pairs, better: str, worse: str) -> dict[str, str]:
    """What tells a pair from the others."""
    if len({one for one, _ in pairs}) == 1:
        return {"rival": label(worse)}
    if len({other for _, other in pairs}) == 1:
        return {"method": label(better)}
    return {"pair": f"{label(better)} before {label(worse)}"}


def _areas(stored: Stored) -> list[Any]:
    """A row a model and method, the steepest by the paper's protocol first: areas, and what PGIG's is beside them."""
    rows = []
    for run in RUNS:
        scores = stored.run(run)
        values = {m: [stored.value(column(run, m, p)) for p in PROTOCOLS] for m in (scores.methods if scores else [])}
        areas = {method: [value.value for value in two if value] for method, two in values.items()}
        for method in sorted(values, key=lambda method: areas[method][0]):
            cells = [str(max(value.n for value in values[method] if value))]
            for protocol, value in zip(PROTOCOLS, values[method], strict=True):
                change = stored.difference(column(run, "pgig", protocol), column(run, method, protocol))
                is_other = method != "pgig" and change is not None
                cells += [shown(value), compared(Trial(change, sign=-1), "steeper", "flatter") if is_other else NONE]  # type: ignore[arg-type]
            rows.append([MODELS[run], label(method) if method in ELEVEN else f"*{label(method)}*", *cells])
    heads = ["Model", "Method", "n"]
    heads += [head for protocol in PROTOCOLS for head in (f"Area ({protocol})", f"PGIG's less it ({protocol})")]
    return [table(heads, rows), *_ends(stored)]


def _ends(stored: Stored) -> list[str]:
    """What is left of the probability when all patches are replaced: how much there is to tell methods apart by."""
    parts = []
    for run in RUNS:
        samples = {method: stored.sample(column(run, method, PROTOCOLS[0])) for method in ELEVEN}
        left = {m: float(s.curves[:, -1].mean()) for m, s in samples.items() if s is not None and s.curves is not None}
        if "random" in left:
            least = min(left, key=lambda method: left[method])
            parts.append(f"{MODELS[run]}: {left['random']:.2f} by a random order, {left[least]:.2f} by {label(least)}")
    text = f"What is left of the probability at the end (`paper`), at random and at best: {'; '.join(parts)}."
    return [text] if parts else []


def _counts(pairs: Pairs, stored: Stored) -> list[Any]:
    """How the pairs of a claim came out, by model and protocol."""
    outcomes: dict[tuple[str, str], list[str]] = {}
    for trial in trials(pairs, stored):
        outcomes.setdefault((trial.conditions["model"], trial.conditions["protocol"]), []).append(trial.outcome)
    rows = [
        [*key, str(len(some)), *(str(some.count(outcome)) for outcome in ("holds", "undecided", "reversed"))]
        for key, some in outcomes.items()
    ]
    return [table(["Model", "Protocol", "pairs", "as claimed", "undecided", "reversed"], rows)]


_FACTS = {"names": RUNS, "sides": SIDES, "papers_paths": PAPERS_PATHS, "models": MODELS}
_OF_ALL = partial(of_all_in_each, ("model", "protocol"))
GROUP = Group(
    "Image degradation: is PGIG the steepest?",
    [
        Claim("claim-steepest", partial(trials, _STEEPEST), _areas, _OF_ALL, _FACTS),
        Claim("claim-parents", partial(trials, _PARENTS), partial(_counts, _PARENTS), _OF_ALL),
        Claim("claim-random", partial(trials, _RANDOM), partial(_counts, _RANDOM), _OF_ALL),
        Claim("claim-order", partial(trials, _ORDER), partial(_counts, _ORDER)),
    ],
)
