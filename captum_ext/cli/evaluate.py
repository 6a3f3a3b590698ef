"""``captum-ext evaluate``: methods x models x metrics over a folder of images."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch

from captum_ext.cli import models, options, patterned
from captum_ext.cli.console import say
from captum_ext.cli.errors import CommandError

if TYPE_CHECKING:
    from captum_ext.evaluation import Settings

_MOST = 1_000_000

SUMMARY = "judge methods by metrics over a folder of images"
DESCRIPTION = (
    "Explain every image of a folder by many methods, judge the maps by many metrics, and keep the scores below "
    "RESULTS, a Parquet file a batch. Stop it at any time: the same command goes on where it was. Under torchrun, on "
    "one machine or many with a shared folder, the batches are shared. captum-ext report RESULTS makes tables and "
    "figures."
)
EPILOG = (
    "Labels: a CSV file with columns file,class_index (labels.csv in the folder unless --labels names another), or a "
    "folder a class. Images that can't be read are named in the results and skipped."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("output", metavar="RESULTS", help="the folder of results, new or to be gone on with")
    parser.add_argument("--images", required=True, metavar="DIR", help="the folder of images")
    parser.add_argument("--labels", metavar="FILE", help="a CSV file: file,class_index (default: DIR/labels.csv)")
    parser.add_argument(
        "--models",
        default=models.DEFAULT_MODEL,
        help="comma-separated: efficientnet-lite0, torchvision classifiers, module:function (default: %(default)s)",
    )
    parser.add_argument(
        "--weights", action="append", default=[], metavar="MODEL=FILE", help="a checkpoint; once a model"
    )
    parser.add_argument(
        "--patterns", action="append", default=[], metavar="MODEL=FILE", help="what captum-ext fit-patterns wrote"
    )
    parser.add_argument(
        "--methods", help="comma-separated (default: ig, guided-ig, blur-ig, each with and without +idgi)"
    )
    parser.add_argument(
        "--measures", "--metrics", help="comma-separated, some with a variant: information:study:ms-ssim"
    )
    parser.add_argument("--steps", default="32", help="comma-separated numbers of steps (default: %(default)s)")
    parser.add_argument("--steps-protocol", default="corrected", help="corrected or reference (default: %(default)s)")
    parser.add_argument("--target", default="label", help="label, which leaves out misclassified images, or predicted")
    parser.add_argument("--baseline", default="black", help="where straight and guided paths start (default: black)")
    parser.add_argument("--batch-size", default="8", help="images in a batch (default: %(default)s)")
    parser.add_argument("--rows", help="the most rows in a forward pass (default: the methods' own)")
    parser.add_argument("--references", default="49", help="baselines of Expected Gradients (default: %(default)s)")
    parser.add_argument(
        "--smoothgrad-ig-samples", default="25", help="noisy paths of SmoothGrad-IG (default: %(default)s)"
    )
    parser.add_argument("--patch-size", default="9", help="of degradation's patches (default: %(default)s)")
    parser.add_argument("--n-patches", default="100", help="how many degradation replaces (default: %(default)s)")
    parser.add_argument(
        "--patches-per-point", default="1", help="how many more from one forward pass to the next (default: 1)"
    )
    parser.add_argument("--seed", default="0", help="for random masks, noise and maps (default: %(default)s)")
    parser.add_argument("--threads", help="threads of each process (default: torch's)")
    parser.add_argument("--first", metavar="N", help="only the first N images, evenly spaced by name")
    options.add_device(parser)


def run(given: argparse.Namespace) -> None:
    """Evaluate.

    Raises:
        CommandError, UserError: If an argument can't be used.
    """
    from captum_ext.evaluation import evaluate, find_images

    settings = _settings(given)
    if given.threads is not None:
        torch.set_num_threads(options.positive("--threads", given.threads, 1024))
    device = options.device(_local(given.device))
    names = _listed(given.models)
    weights, files = _by_model("--weights", given.weights, names), _by_model("--patterns", given.patterns, names)
    patterns = {name: patterned.load(file, device) for name, file in files.items()}
    loaded = {name: models.load(name, weights.get(name)) for name in names}
    for classifier in loaded.values():
        classifier.model.to(device)
    images = find_images(given.images, given.labels)
    if given.first is not None:
        count = min(len(images), options.positive("--first", given.first, _MOST))
        images = [images[k * len(images) // count] for k in range(count)]
    found = evaluate(
        {name: (classifier.model, classifier.transform) for name, classifier in loaded.items()},
        images,
        given.output,
        settings,
        patterns,
        show_progress=True,
    )
    if os.environ.get("RANK", "0") != "0":  # of torchrun's processes one speaks
        return
    for name, reason in found.unreadable.items():
        say(f"left out: {name}: {reason}")
    for name in names:
        say(
            f"{name}: {found.explained[name]} images explained, {found.misclassified[name]} misclassified and left "
            f"out, {len(found.unreadable)} unreadable"
        )
    say(f"results in {given.output}; tables and figures: captum-ext report {given.output}")


def _local(device: str | None) -> str | None:
    """The device of this process among torchrun's on its machine."""
    if device in (None, "cuda") and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return device


def _settings(given: argparse.Namespace) -> Settings:
    from captum_ext.evaluation import Settings
    from captum_ext.evaluation.settings import COUNTS

    chosen: dict[str, Any] = {
        "steps": tuple(options.positive("--steps", number, _MOST) for number in _listed(given.steps)),
        "steps_protocol": given.steps_protocol,
        "target": given.target,
        "baseline": given.baseline,
        "rows": None if given.rows is None else options.positive("--rows", given.rows, _MOST),
        "seed": options.positive("--seed", given.seed, _MOST) if given.seed != "0" else 0,
    }
    for name in COUNTS:
        chosen[name] = options.positive(f"--{name.replace('_', '-')}", getattr(given, name), _MOST)
    for name in ("methods", "measures"):
        if getattr(given, name) is not None:
            chosen[name] = tuple(_listed(getattr(given, name)))
    assert chosen.keys() <= {field.name for field in fields(Settings)}
    try:
        return Settings(**chosen)
    except ValueError as error:
        raise CommandError(
            f"--{str(error).replace('_', '-', 1) if '_' in str(error).split(':')[0] else error}"
        ) from error


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _by_model(option: str, given: list[str], names: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, separator, file = text.partition("=")
        if not separator and len(names) == 1:
            name, file = names[0], text
        if name not in names:
            raise CommandError(f"{option} {text}: expected MODEL=FILE with one of {', '.join(names)}")
        found[name] = file
    return found
