"""``captum-ext explain``: one figure of what a classifier saw, by several methods."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ext._text import printable
from captum_ext.attr import IntegratedGradients
from captum_ext.cli import methods, models, options, patterned
from captum_ext.cli.console import say
from captum_ext.cli.errors import CommandError, named_failures
from captum_ext.cli.methods import Question
from captum_ext.vision.classifier import Classifier
from captum_ext.vision.pictures import coffee, read
from captum_ext.vision.probe import probe
from captum_ext.vision.starts import STARTS

if TYPE_CHECKING:
    from PIL.Image import Image

    from captum_ext.cli.figure import Explained

_MOST_STEPS = 5000  # finding as many Gauss-Legendre nodes takes a minute

SUMMARY = "draw the attribution maps of several methods over images"
DESCRIPTION = (
    "Explain the softmax probability of a class by path methods and write one PNG: each image, and each "
    "method's map over it with the time it took and its completeness error. Without arguments: "
    "EfficientNet-Lite0 on scikit-image's photograph of a cup of coffee."
)
EPILOG = (
    "Blur IG starts from the blurred image and takes no baseline. A model given as module:function must return "
    "(model, transform): logits of shape (1, classes), and a function from a PIL image to a tensor (C, H, W)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="image files")
    models.add_model(parser)
    parser.add_argument(
        "--methods",
        help=f"comma-separated, of {','.join(methods.METHODS)} (default: all; some need --patterns)",
    )
    parser.add_argument("--patterns", metavar="FILE", help="the patterns that captum-ext fit-patterns wrote")
    parser.add_argument("--steps", default="50", help="steps of each path (default: %(default)s)")
    parser.add_argument("--target", help="class index or name (default: the predicted class)")
    parser.add_argument("--baseline", default="black", help=f"one of {', '.join(STARTS)} (default: %(default)s)")
    parser.add_argument("--output", default="explain.png", help="the PNG file to write (default: %(default)s)")
    options.add_device(parser)


def run(given: argparse.Namespace) -> None:
    """Explain the images and write the figure.

    Raises:
        CommandError: If an argument can't be used.
    """
    chosen = methods.parse(given.methods, given.patterns)
    steps = options.positive("--steps", given.steps, _MOST_STEPS)
    if given.baseline not in STARTS:
        raise CommandError(f"--baseline {given.baseline}: expected one of {', '.join(STARTS)}")
    output = options.writable(given.output, ".png", given.images)
    pictures = [read(name) for name in given.images] or [coffee()]
    names = [printable(Path(name).name) for name in given.images] or ["coffee"]
    device = options.device(given.device)
    classifier = models.load(given.model, given.weights)
    classifier.model.to(device)

    from captum_ext.cli.figure import draw  # matplotlib: only once the arguments are known to be good

    rows = [
        _explain(name, picture, classifier, chosen, steps, given, device)
        for name, picture in zip(names, pictures, strict=True)
    ]
    draw(rows, output, f"{printable(given.model)}, {steps} steps, baseline {given.baseline}")
    say(f"wrote {output}")


def _explain(
    name: str,
    picture: Image,
    classifier: Classifier,
    chosen: list[methods.Method],
    steps: int,
    given: argparse.Namespace,
    device: torch.device,
) -> Explained:
    from captum_ext.cli.figure import CompletenessError, Course, Explained, Map

    seen = probe(name, picture, classifier, device)
    target = _target(given.target, seen.scores, classifier)
    baseline = STARTS[given.baseline](seen.image, seen.black, seen.white)
    question = Question(classifier.model, seen.image, baseline, target, steps, sys.stderr.isatty())
    if given.patterns is not None:
        patterns = patterned.load(given.patterns, device)
        model = patterned.folded(classifier.model, patterns, given.patterns, seen.image)
        question = replace(question, patterns=patterns, patterned=model)
    maps = []
    with named_failures(name):
        # The first passes of a process are slow; without these the first method's time would look worse than it is.
        IntegratedGradients(classifier.model).attribute(seen.image, target=target, n_steps=min(steps, 16))
    for method in chosen:
        started = time.perf_counter()
        with named_failures(f"{name}: {method.title}"):
            attributions, delta, told = method.answer(question)
        seconds = time.perf_counter() - started
        completeness = None
        if delta is not None:
            completeness = CompletenessError(abs(delta.item()), attributions.sum().item() - delta.item())
        course = None
        if told is not None:
            course = Course(told.positions[0].numpy(), told.values[0].float().cpu().numpy())
        maps.append(Map(method.title, attributions[0].sum(0).cpu().numpy(), seconds, completeness, course))
        say(f"{name}: {method.title}: {maps[-1].caption}")
    return Explained(name, classifier.category(target), target, seen.scores[target].item(), seen.pixels(), maps)


def _target(given: str | None, scores: Tensor, classifier: Classifier) -> int:
    classes = len(scores)
    if given is None:
        return int(scores.argmax())
    named = [k for k, category in enumerate(classifier.categories) if category.lower() == given.lower()]
    if len(named) > 1:
        raise CommandError(f"--target {given}: {len(named)} classes have that name; give one of the indices {named}")
    if named:
        return named[0]
    try:
        index = int(given)
    except ValueError:
        raise CommandError(f"--target {given}: no class of that name; give an index below {classes}") from None
    if not 0 <= index < classes:
        raise CommandError(f"--target {given}: expected a class index from 0 to {classes - 1}")
    return index
