"""``captum-ext explain``: one figure of what a classifier saw, by several methods."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ext import baselines
from captum_ext.attr import IntegratedGradients
from captum_ext.cli import methods, models
from captum_ext.cli.errors import CommandError
from captum_ext.cli.models import Classifier
from captum_ext.cli.pictures import coffee, read
from captum_ext.cli.probe import probe

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
    parser.add_argument(
        "--model",
        default=models.DEFAULT_MODEL,
        help="efficientnet-lite0, a torchvision classifier, or module:function (default: %(default)s)",
    )
    parser.add_argument("--weights", help="a checkpoint file, or the name of torchvision weights")
    parser.add_argument(
        "--methods",
        default=",".join(methods.METHODS),
        help="comma-separated (default: %(default)s)",
    )
    parser.add_argument("--steps", default="50", help="steps of each path (default: %(default)s)")
    parser.add_argument("--target", help="class index or name (default: the predicted class)")
    parser.add_argument("--baseline", default="black", help=f"one of {', '.join(_BASELINES)} (default: %(default)s)")
    parser.add_argument("--output", default="explain.png", help="the PNG file to write (default: %(default)s)")
    parser.add_argument("--device", help="such as cpu or cuda (default: cuda where there is one)")


def run(options: argparse.Namespace) -> None:
    """Explain the images and write the figure.

    Raises:
        CommandError: If an argument can't be used.
    """
    chosen = methods.parse(options.methods)
    steps = _positive(options.steps)
    if options.baseline not in _BASELINES:
        raise CommandError(f"--baseline {options.baseline}: expected one of {', '.join(_BASELINES)}")
    output = _writable(options.output, options.images)
    pictures = [read(name) for name in options.images] or [coffee()]
    names = [Path(name).name for name in options.images] or ["coffee"]
    device = _device(options.device)
    classifier = models.load(options.model, options.weights)
    classifier.model.to(device)

    from captum_ext.cli.figure import draw  # matplotlib: only once the arguments are known to be good

    rows = [
        _explain(name, picture, classifier, chosen, steps, options, device)
        for name, picture in zip(names, pictures, strict=True)
    ]
    draw(rows, output, f"{options.model}, {steps} steps, baseline {options.baseline}")
    print(f"wrote {output}")


def _explain(
    name: str,
    picture: Image,
    classifier: Classifier,
    chosen: list[methods.Method],
    steps: int,
    options: argparse.Namespace,
    device: torch.device,
) -> Explained:
    from captum_ext.cli.figure import Explained, Map

    def probability(x: Tensor) -> Tensor:
        scores: Tensor = classifier.model(x).softmax(1)
        return scores

    seen = probe(name, picture, classifier, device)
    target = _target(options.target, seen.scores, classifier)
    baseline = _BASELINES[options.baseline](seen.image, seen.black, seen.white)
    maps = []
    # The first passes of a process are slow; without these the first method's time would look worse than it is.
    IntegratedGradients(probability).attribute(seen.image, target=target, n_steps=min(steps, 16))
    for method in chosen:
        started = time.perf_counter()
        attributions, delta = method.make(probability).attribute(
            seen.image,
            baselines=baseline if method.takes_baseline else None,
            target=target,
            n_steps=steps,
            return_convergence_delta=True,
            show_progress=sys.stderr.isatty(),
        )
        seconds = time.perf_counter() - started
        change = attributions.sum().item() - delta.item()
        maps.append(Map(method.title, attributions[0].sum(0).cpu().numpy(), seconds, abs(delta.item()), change))
        print(f"{name}: {method.title}: {maps[-1].caption}")
    return Explained(name, classifier.category(target), target, seen.scores[target].item(), seen.pixels(), maps)


_BASELINES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "black": lambda image, black, white: black,
    "white": lambda image, black, white: white,
    "grey": lambda image, black, white: (black + white) / 2,
    "blurred": lambda image, black, white: black + baselines.blurred(image - black),
    "uniform": lambda image, black, white: baselines.uniform(
        image.cpu(), black.cpu(), white.cpu(), torch.Generator().manual_seed(0)
    ).to(image.device),
    "maximum-distance": lambda image, black, white: baselines.maximum_distance(image, black, white),
}


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


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) <= _MOST_STEPS):
        raise CommandError(f"--steps {text}: expected a whole number from 1 to {_MOST_STEPS}")
    return int(text)


def _device(name: str | None) -> torch.device:
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CommandError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device


def _writable(name: str, inputs: list[str]) -> Path:
    path = Path(name)
    if path.suffix.lower() != ".png":
        raise CommandError(f"--output {name}: expected a name that ends in .png")
    try:
        if any(path.exists() and Path(given).exists() and path.samefile(given) for given in inputs):
            raise CommandError(f"--output {name}: is one of the images to explain")
        new = not path.exists()
        with path.open("ab"):  # before the work, not after it
            pass
        if new:
            path.unlink()
    except (OSError, ValueError) as error:
        raise CommandError(
            f"--output {name}: can't be written ({getattr(error, 'strerror', None) or error})"
        ) from error
    return path
