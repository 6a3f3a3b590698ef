"""All methods on the same photographs with equal numbers of gradients: how their maps rank pixels, and what they cost.

``run FOLDER RESULTS`` explains 64 photographs of a folder with EfficientNet-Lite0; call it again to resume.
``condense RESULTS`` writes the rows that the page is made from, and ``page`` writes docs/comparison.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from captum_ext.cli.models import efficientnet_lite
from captum_ext.evaluation import EvaluationConfig, evaluate, find_images
from captum_ext.optimize import for_attribution

N_IMAGES, STEPS, MODEL = 64, 24, "efficientnet-lite0"
METHODS = (
    *("random", "gradient", "gradient-x-input", "ig", "idgi", "idg", "pwig", "left-ig"),
    *("guided-ig", "guided-ig+idgi", "samp", "blur-ig", "blur-ig+idgi", "mfaba", "agi", "ig2"),
    *("eig", "ma-gig", "smooth-taylor", "igos", "expected-gradients", "guided-backprop"),
    *("ig+xrai", "idgi+xrai", "blur-ig+idgi+xrai"),
)


def run(folder: str, results: str) -> None:
    """Explain the photographs and measure the maps."""
    images = find_images(folder)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
    chosen = [images[index] for index in sorted(order[:N_IMAGES])]
    config = EvaluationConfig(
        METHODS,
        metrics=("insertion:signed", "insertion:absolute", "deletion:signed", "deletion:absolute", "completeness"),
        steps=(STEPS,),
        target="predicted",
        batch_size=2,
        references=49,
    )
    classifier = efficientnet_lite(MODEL, None)
    classifier.model.eval()
    fast, _ = for_attribution(classifier.model, torch.zeros(1, 3, 224, 224))
    evaluate({MODEL: (fast, classifier.transform)}, chosen, results, config)


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    first = commands.add_parser("run")
    first.add_argument("folder")
    first.add_argument("results")
    arguments = parser.parse_args()
    if arguments.command == "run":
        Path(arguments.results).parent.mkdir(parents=True, exist_ok=True)
        run(arguments.folder, arguments.results)


if __name__ == "__main__":
    main()
