"""Completeness error of Blur IG for each rule and schedule: ``python -m benchmarks.blur_rules FOLDER``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.common import network, photographs, table
from captum_ext.attr import BlurIG
from captum_ext.quadratures import WeightedSum


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photographs")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    model, transform = network()
    images = photographs(transform, options.count, options.folder).contiguous(memory_format=torch.channels_last)

    def probability(x):
        return model(x).softmax(1)

    with torch.no_grad():
        scores, targets = probability(images).max(1)
    rows = []
    for schedule in ("linear", "square", "sqrt"):
        for rule in WeightedSum.methods:
            attributions, delta = BlurIG(probability, schedule=schedule).attribute(
                images,
                target=targets,
                n_steps=options.steps,
                method=rule,
                return_convergence_delta=True,
                show_progress=True,
            )
            change = attributions.flatten(1).sum(1) - delta
            relative = (delta / change).abs().median()
            rows.append([schedule, rule, f"{delta.abs().median():.3f}", f"{relative:.1%}"])
    print(f"{options.count} photographs, median probability {scores.median():.2f}, {options.steps} steps\n")
    print(table(["schedule", "rule", "median |delta|", "median |delta / change of F|"], rows))


if __name__ == "__main__":
    main()
