"""Gradients for a given accuracy: n_steps="auto" against fixed steps, one photograph at a time.

``python -m benchmarks.adaptive --images FOLDER`` takes a quarter of an hour on two cores, and as long with ``--path
blur``. Use ``--first`` and ``--count`` to run it in parts; each part adds its photographs to the JSON file.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import torch

from benchmarks.common import network, photographs
from benchmarks.fewer import FINEST, PATHS, report
from captum_ext._engine.adaptive import _Example
from captum_ext.attr import PathAttribution
from captum_ext.paths import BlurPath, StraightPath
from captum_ext.quadratures import ImportantDirection, Subsampled, WeightedSum

STRIDES = [2**k for k in range(1, 10)]  # 1024, 512, ... 4 steps
GAUSS = [16, 64, 128, 192, 256, 320, 384, 448, 512]
RULES = {
    "trapezoid": WeightedSum("riemann_trapezoid"),
    "right": WeightedSum("riemann_right"),
    "idgi": ImportantDirection(),
    "idgi trapezoid": ImportantDirection("riemann_trapezoid"),
}
_PATHS = {"straight": StraightPath(), "blur": BlurPath()}


def distance(maps, reference):
    return float((maps - reference).norm() / reference.norm())


def rounds_of(method, image, start, target, tol):
    """The number of gradients and the map after each round of "auto"."""
    rounds, midpoints = [], _Example.midpoints

    def recorded_midpoints(example, *stop):
        rounds.append((len(example.positions), example.attributions[0][0]))
        return midpoints(example, *stop)

    _Example.midpoints = recorded_midpoints
    try:
        method.attribute(image, start, target, n_steps="auto", tol=tol, max_steps=512)
    finally:
        _Example.midpoints = midpoints
    return rounds


def measure(probability, image, black, target, name, with_maps):
    """The change of F and the curves of one photograph on a path: rows [gradients, completeness error, map error].

    Without maps, there is no reference: map errors are ``None``, and only Gauss-Legendre and "auto" have curves.
    """
    start = black if name == "straight" else None
    path = _PATHS[name]
    method = PathAttribution(probability, path)
    with torch.no_grad():
        ends = (image, path.start((image,), None if start is None else (start,))[0])
        change = float(probability(ends[0])[0, target] - probability(ends[1])[0, target])
    curves, reference = _nested(method, image, start, target, change) if with_maps else ({}, {})

    def row(gradients, ours, idgi):
        map_error = distance(ours, reference[idgi]) if with_maps else None
        return [gradients, abs(float(ours.sum()) - change) / abs(change), map_error]

    curves["gausslegendre"] = [
        row(steps, method.attribute(image, start, target, n_steps=steps, method="gausslegendre"), False)
        for steps in GAUSS
    ]
    refined = [("auto", WeightedSum(), 0.001), ("auto idgi", ImportantDirection(), 0.05)]
    for name_of_curve, quadrature, tol in refined if with_maps else refined[:1]:
        rounds = rounds_of(PathAttribution(probability, path, quadrature), image, start, target, tol)
        curves[name_of_curve] = [row(count, ours, "idgi" in name_of_curve) for count, ours in rounds]
    return {"change": change, "curves": curves}


def _nested(method, image, start, target, change):
    """The curves of the rules on nested points, from one walk, and the references without and with IDGI."""
    jobs = [(rule, every) for rule in RULES for every in [1, *STRIDES]]
    quadratures = [Subsampled(RULES[rule], every) for rule, every in jobs]
    walk = method.attribute_each(quadratures, image, start, target, n_steps=FINEST)
    maps = dict(zip(jobs, walk, strict=True))
    reference = {False: maps["trapezoid", 1], True: maps["idgi trapezoid", 1]}
    if isinstance(method.path, BlurPath):  # whose trapezoid rule still has an error of 4%
        reference[False] = method.attribute(image, start, target, n_steps=FINEST, method="gausslegendre")
    curves = {}
    for rule, every in jobs:
        if every > 1:
            ours = maps[rule, every]
            error = abs(float(ours.sum()) - change) / abs(change)
            row = [FINEST // every + 1, error, distance(ours, reference[rule.startswith("idgi")])]
            curves.setdefault(rule, []).append(row)
    return curves, reference


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: scikit-image's two)")
    parser.add_argument("--of", type=int, default=10, help="number of photographs in total")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--maps", type=int, help=f"photographs with a reference of {FINEST} steps (default: all)")
    parser.add_argument("--path", choices=PATHS, default="straight")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/adaptive.json"))
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # max_steps comes before the tolerance
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
        key = f"{options.path} {k}"
        if key not in results:
            with_maps = options.maps is None or k - options.first < options.maps
            results[key] = measure(probability, images[k : k + 1], black, int(targets[k]), options.path, with_maps)
            options.results.write_text(json.dumps(results))
    print(report(results))


if __name__ == "__main__":
    main()
