"""Error of IG's map with nodes fitted on other photographs: ``python -m benchmarks.fitted_nodes FOLDER``.

Nodes are fitted on half of the photographs and used for the others. The reference is the middle rule with many points.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import torch

from benchmarks.common import network, photographs, table
from captum_ext.attr import IntegratedGradients, PathAttribution, fit_nodes
from captum_ext.quadratures import WeightedSum


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photographs")
    parser.add_argument("--count", type=int, default=8, help="photographs to fit on, and others to explain")
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--more", type=int, default=110, help="number of even points to compare with")
    parser.add_argument("--reference", type=int, default=400)
    options = parser.parse_args()
    model, transform = network()
    images = photographs(transform, 2 * options.count, options.folder)
    black = torch.full_like(images[:1], -127 / 128)

    def probability(x):
        return model(x).softmax(1)

    with torch.no_grad():
        targets = model(images).argmax(1)
    nodes = fit_nodes(
        IntegratedGradients(probability), images[::2], options.nodes, baselines=black, target=targets[::2]
    )
    rules = {
        "fitted": (WeightedSum(nodes=nodes), options.nodes),
        **{
            f"{rule}, {n}": (WeightedSum(rule), n)
            for rule in ("riemann_middle", "riemann_left")
            for n in (options.nodes, options.more)
        },
    }
    errors = {name: [] for name in rules}
    for image, target in zip(images[1::2].split(1), targets[1::2].tolist(), strict=True):
        reference, *maps = (
            PathAttribution(probability, quadrature=quadrature).attribute(image, black, target, n_steps=n)
            for quadrature, n in ((WeightedSum("riemann_middle"), options.reference), *rules.values())
        )
        for name, attributions in zip(rules, maps, strict=True):
            errors[name].append(float((attributions - reference).norm() / reference.norm()))
        print({name: round(values[-1], 4) for name, values in errors.items()}, flush=True)
    print(
        table(
            ["rule", "median relative L2 error"], [[name, f"{median(values):.4f}"] for name, values in errors.items()]
        )
    )
    print("nodes:", [round(node, 3) for node in nodes.nodes])


if __name__ == "__main__":
    main()
