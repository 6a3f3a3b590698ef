"""``captum-ext explain``: one figure with the maps of several methods."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ext._utils.text import printable
from captum_ext.attr import IntegratedGradients
from captum_ext.cli import models
from captum_ext.cli.command import Command
from captum_ext.cli.console import print_line
from captum_ext.cli.errors import CommandError, command_errors
from captum_ext.cli.explain_methods import TITLES, compute_map, parse_methods, title
from captum_ext.cli.options import add_device_option, parse_count, parse_device, parse_output
from captum_ext.cli.pattern_files import fold_for_patterns, load_patterns
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.vision.classifier import Classifier
from captum_ext.vision.pictures import coffee, read
from captum_ext.vision.probe import probe
from captum_ext.vision.starts import STARTS

if TYPE_CHECKING:
    from PIL.Image import Image

    from captum_ext.cli.figure import ImageExplanation

_MAX_STEPS = 5000


class ExplainCommand(Command):
    """``captum-ext explain``."""

    name = "explain"
    summary = "draw the attribution maps of several methods over images"
    description = (
        "Explain the softmax probability of a class with path methods and write one PNG: each image, and each "
        "method's map over it with the time it took and its completeness error. Without arguments: "
        "EfficientNet-Lite0 on scikit-image's photograph of a cup of coffee."
    )
    epilog = (
        "Blur IG starts from the blurred image and takes no baseline. A model given as module:function must return "
        "(model, transform): logits of shape (1, classes), and a function from a PIL image to a tensor (C, H, W)."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""
        parser.add_argument("images", nargs="*", metavar="IMAGE", help="image files")
        models.add_model_options(parser)
        parser.add_argument(
            "--methods",
            help=f"comma-separated, from {','.join(TITLES)}, and with +xrai after each (default: the first six, and "
            "those with patterns if --patterns is given)",
        )
        parser.add_argument("--patterns", metavar="FILE", help="a file written with captum-ext fit-patterns")
        parser.add_argument("--steps", default="50", help="steps of each path (default: %(default)s)")
        parser.add_argument("--target", help="class index or name (default: the predicted class)")
        parser.add_argument("--baseline", default="black", help=f"one of {', '.join(STARTS)} (default: %(default)s)")
        parser.add_argument("--output", default="explain.png", help="the PNG file to write (default: %(default)s)")
        add_device_option(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        """Explain the images and write the figure.

        Raises:
            CommandError: If an argument can't be used.
        """
        methods = parse_methods(arguments.methods, arguments.patterns)
        steps = parse_count("--steps", arguments.steps, _MAX_STEPS)
        if arguments.baseline not in STARTS:
            raise CommandError(f"--baseline {arguments.baseline}: expected one of {', '.join(STARTS)}")
        output = parse_output(arguments.output, ".png", arguments.images)
        pictures = [read(name) for name in arguments.images] or [coffee()]
        names = [printable(Path(name).name) for name in arguments.images] or ["coffee"]
        device = parse_device(arguments.device)
        classifier = models.load(arguments.model, arguments.weights)
        classifier.model.to(device)

        from captum_ext.cli.figure import draw  # imports matplotlib, only needed if the arguments are valid

        explanations = [
            _explain_image(name, picture, classifier, methods, steps, arguments, device)
            for name, picture in zip(names, pictures, strict=True)
        ]
        draw(explanations, output, f"{printable(arguments.model)}, {steps} steps, baseline {arguments.baseline}")
        print_line(f"wrote {output}")


def _explain_image(
    name: str,
    picture: Image,
    classifier: Classifier,
    methods: list[str],
    steps: int,
    arguments: argparse.Namespace,
    device: torch.device,
) -> ImageExplanation:
    from captum_ext.cli.figure import AttributionMap, ImageExplanation

    inputs = probe(name, picture, classifier, device)
    target = _parse_target(arguments.target, inputs.scores, classifier)
    baseline = STARTS[arguments.baseline](inputs.image, inputs.black, inputs.white)
    image = ImageBatch((name,), inputs.image, baseline, torch.tensor([target], device=device))
    model = ProbabilityModel(classifier.model, inputs.image[:0], None, 0)
    if arguments.patterns is not None:
        patterns = load_patterns(arguments.patterns, device)
        folded_model = fold_for_patterns(classifier.model, patterns, arguments.patterns, inputs.image)
        model = replace(model, patterns=patterns, folded_model=folded_model)
    with command_errors(name):
        # Warm up, so that the time of the first method does not include that of the process's first passes.
        IntegratedGradients(classifier.model).attribute(inputs.image, target=target, n_steps=min(steps, 16))
    maps = []
    for method in methods:
        start = time.perf_counter()
        with command_errors(f"{name}: {title(method)}"):
            result = compute_map(method, model, image, steps, sys.stderr.isatty())
        maps.append(AttributionMap(title(method), result, time.perf_counter() - start))
        print_line(f"{name}: {title(method)}: {maps[-1].caption}")
    probability = inputs.scores[target].item()
    return ImageExplanation(name, classifier.category(target), target, probability, inputs.pixels(), maps)


def _parse_target(text: str | None, scores: Tensor, classifier: Classifier) -> int:
    classes = len(scores)
    if text is None:
        return int(scores.argmax())
    matches = [k for k, category in enumerate(classifier.categories) if category.lower() == text.lower()]
    if len(matches) > 1:
        raise CommandError(f"--target {text}: {len(matches)} classes have that name; give one of the indices {matches}")
    if matches:
        return matches[0]
    try:
        index = int(text)
    except ValueError:
        raise CommandError(f"--target {text}: no class has this name; use an index below {classes}") from None
    if not 0 <= index < classes:
        raise CommandError(f"--target {text}: expected a class index from 0 to {classes - 1}")
    return index
