"""The PGIG paper's Fig. 3: the degradation order of eleven methods, Pattern-Guided IG steepest."""

from typing import Any

from evidence.claim import Claim, Group
from evidence.stored import Column, Stored
from evidence.words import MODELS, NONE, label, shown, signed, table

RUNS = ("degradation-vgg16", "degradation-lite0", "degradation-mnist")
PHOTOGRAPHS = RUNS[:2]
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


def column(run: str, method: str, protocol: str) -> Column:
    """The area under the degradation curve."""
    return Column(run, method, "degradation", protocol)


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
                cells += [shown(value), signed(change) if method != "pgig" else NONE]
            rows.append([MODELS[run], label(method) if method in ELEVEN else f"*{label(method)}*", *cells])
    heads = ["Model", "Method", "n"]
    heads += [head for protocol in PROTOCOLS for head in (f"Area ({protocol})", f"PGIG's minus this ({protocol})")]
    return [table(heads, rows)]


_FACTS = {"names": RUNS, "sides": SIDES, "papers_paths": PAPERS_PATHS, "models": MODELS}
GROUP = Group(
    "degradation",
    "Is PGIG the steepest in image degradation?",
    [
        Claim("claim-steepest", _areas, _FACTS, RUNS),
        *(Claim(name, runs=RUNS) for name in ("claim-parents", "claim-random", "claim-order")),
    ],
)
