"""Gradients for the same answer: n_steps="auto" against uniform steps, photograph by photograph.

``python -m benchmarks.adaptive --images FOLDER`` takes a quarter of an hour on two cores; ``--first`` and ``--count``
do it in parts, which add up in the JSON file. A forward pass for values alone would count as a third of a gradient;
"auto" makes none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from pathlib import Path

import torch

from benchmarks.common import network, photographs, table
from captum_ext.attr import PathAttribution
from captum_ext.paths import BlurPath, StraightPath
from captum_ext.quadratures import ImportantDirection, Subsampled, WeightedSum

FINEST = 2048
EVERY = [2**k for k in range(1, 10)]  # 1024, 512, ... 4 steps
GAUSS = [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]
TOLERANCES = [0.3, 0.2, 0.1, 0.05, 0.02, 0.01]


def distance(maps, reference):
    return float((maps - reference).norm() / reference.norm())


def of_one(probability, image, black, target):
    """Errors by the number of gradients, for one photograph."""
    found = {}
    for name, path, start in (("straight", StraightPath(), black), ("blur", BlurPath(), None)):
        method = PathAttribution(probability, path)
        rules = {
            "trapezoid": WeightedSum("riemann_trapezoid"),
            "right": WeightedSum("riemann_right"),
            "idgi": ImportantDirection(),
            "idgi trapezoid": ImportantDirection("riemann_trapezoid"),
        }
        jobs = [(rule, every) for rule in rules for every in [1, *EVERY]]
        walk = method.attribute_each(
            [Subsampled(rules[rule], every) for rule, every in jobs],
            image,
            start,
            target,
            n_steps=FINEST,
            return_convergence_delta=True,
        )
        maps = {job: result[0] for job, result in zip(jobs, walk, strict=True)}
        change = float(walk[0][0].sum() - walk[0][1])
        references = {
            "trapezoid": maps["trapezoid", 1],
            "right": maps["trapezoid", 1],
            "idgi": maps["idgi trapezoid", 1],
            "idgi trapezoid": maps["idgi trapezoid", 1],
        }
        for rule, every in jobs:
            if every == 1:
                continue
            ours = maps[rule, every]
            found.setdefault(f"{name} {rule}", []).append(
                [FINEST // every + 1, abs(float(ours.sum()) - change) / abs(change), distance(ours, references[rule])]
            )
        for steps in GAUSS:
            ours = method.attribute(image, start, target, n_steps=steps, method="gausslegendre")
            found.setdefault(f"{name} gausslegendre", []).append(
                [steps, abs(float(ours.sum()) - change) / abs(change), distance(ours, references["trapezoid"])]
            )
        for rule in ("trapezoid", "idgi trapezoid"):
            refined = PathAttribution(probability, path, rules[rule])
            for tol in TOLERANCES:
                ours, told = refined.attribute(
                    image, start, target, n_steps="auto", tol=tol, max_steps=512, return_diagnostics=True
                )
                error = abs(float(ours.sum()) - change) / abs(change)
                row = [int(told.gradients), error, distance(ours, references[rule]), tol, bool(told.reached)]
                found.setdefault(f"{name} auto {rule}", []).append(row)
    return {"change": change, "curves": found}


def needed(rows, column, within):
    """The fewest gradients from which on the error stays within a bound; infinite if it never does."""
    fewest = float("inf")
    for row in sorted(rows, reverse=True):
        if row[column] > within:
            break
        fewest = row[0]
    return fewest


def smallest_fixed(results, curve, column, within, share=0.9):
    """The smallest count at which a share of the photographs is within the bound."""
    counts = sorted({row[0] for one in results.values() for row in one["curves"][curve]})
    for count in counts:
        good = sum(
            any(row[0] == count and row[column] <= within for row in one["curves"][curve]) for one in results.values()
        )
        if good >= share * len(results):
            return count
    return float("inf")


def at_tolerance(results, curve, tol):
    return [next(row for row in one["curves"][curve] if row[3] == tol) for one in results.values()]


def report(results):
    """What issue and documentation ask for, as Markdown."""
    rows = []
    for within in (0.05, 0.01):
        auto = at_tolerance(results, "straight auto trapezoid", within)
        mean = statistics.mean(row[0] for row in auto)
        for rule in ("gausslegendre", "trapezoid"):
            fixed = smallest_fixed(results, f"straight {rule}", 1, within)
            rows.append(
                [f"IG, completeness within {within:.0%}", rule, f"{fixed}", f"{mean:.0f}", f"{mean / fixed:.2f}"]
            )
    for name, curve, others, within in (
        ("IG, map within 2 %", "straight auto trapezoid", ["straight gausslegendre", "straight trapezoid"], 0.02),
        ("IDGI, map within 10 %", "straight auto idgi trapezoid", ["straight idgi", "straight idgi trapezoid"], 0.1),
        (
            "Blur IG, map within 2 %",
            "blur auto trapezoid",
            ["blur gausslegendre", "blur trapezoid", "blur right"],
            0.02,
        ),
        ("Blur IG + IDGI, map within 10 %", "blur auto idgi trapezoid", ["blur idgi", "blur idgi trapezoid"], 0.1),
    ):
        ours = [needed(one["curves"][curve], 2, within) for one in results.values()]
        for other in others:
            theirs = [needed(one["curves"][other], 2, within) for one in results.values()]
            pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a < float("inf")]
            ratio = (
                statistics.mean(a / (b if b < float("inf") else FINEST) for a, b in pairs) if pairs else float("nan")
            )
            rows.append(
                [
                    name,
                    other,
                    _count(theirs),
                    _count(ours),
                    f"{ratio:.2f}" + " or less" * any(b == float("inf") for _, b in pairs),
                ]
            )
    return table(["what", "uniform rule", "its gradients", "auto's gradients", "ratio"], rows)


def _count(values):
    finite = [value for value in values if value < float("inf")]
    missing = f" ({len(values) - len(finite)} of {len(values)} never)" if len(finite) < len(values) else ""
    return (f"{statistics.mean(finite):.0f}" if finite else "-") + missing


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: scikit-image's two)")
    parser.add_argument("--of", type=int, default=10, help="how many photographs in all")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/adaptive.json"))
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # tolerances that 512 steps don't reach are in the rows
    model, transform = network()
    images = photographs(transform, options.of, options.images).contiguous(memory_format=torch.channels_last)

    def probability(x):
        return model(x).softmax(1)

    with torch.no_grad():
        targets = model(images).argmax(1)
    black = torch.full_like(images[:1], -127 / 128)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    last = options.of if options.count is None else options.first + options.count
    for k in range(options.first, last):
        if str(k) not in results:
            results[str(k)] = of_one(probability, images[k : k + 1], black, int(targets[k]))
            options.results.write_text(json.dumps(results))
    print(report(results))


if __name__ == "__main__":
    main()
