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

SUMMARY = "evaluate methods with metrics on a folder of images"
DESCRIPTION = (
    "Explain every image in a folder with several methods, evaluate the maps with several metrics, and save the scores "
    "in RESULTS, one Parquet file per batch. Run the same command again to resume an interrupted run; finished batches "
    "are skipped. Under torchrun, the processes divide the batches, on one machine or on several with a shared folder. "
    "captum-ext report RESULTS creates tables and figures."
)
EPILOG = (
    "Labels: a CSV file with the columns file,class_index (labels.csv in the folder, or the file given with --labels), "
    "or one subfolder per class. Images that can't be read are named in the results and skipped."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("output", metavar="RESULTS", help="the folder of results, which is created or resumed")
    parser.add_argument("--images", required=True, metavar="DIR", help="the folder of images")
    parser.add_argument("--labels", metavar="FILE", help="a CSV file: file,class_index (default: DIR/labels.csv)")
    parser.add_argument(
        "--models",
        default=models.DEFAULT_MODEL,
        help="comma-separated: efficientnet-lite0, torchvision classifiers, module:function (default: %(default)s)",
    )
    parser.add_argument(
        "--weights", action="append", default=[], metavar="MODEL=FILE", help="a checkpoint; at most once per model"
    )
    parser.add_argument(
        "--patterns",
        action="append",
        default=[],
        metavar="MODEL=FILE",
        help="a file that captum-ext fit-patterns wrote",
    )
    parser.add_argument(
        "--methods", help="comma-separated (default: ig, guided-ig, blur-ig, each with and without +idgi)"
    )
    parser.add_argument(
        "--measures", "--metrics", help="comma-separated, optionally with a variant: information:study:ms-ssim"
    )
    parser.add_argument("--steps", default="32", help="comma-separated numbers of steps (default: %(default)s)")
    parser.add_argument("--steps-protocol", default="corrected", help="corrected or reference (default: %(default)s)")
    parser.add_argument("--target", default="label", help="label, which skips misclassified images, or predicted")
    parser.add_argument("--baseline", default="black", help="the start of straight and guided paths (default: black)")
    parser.add_argument("--batch-size", default="8", help="images per batch (default: %(default)s)")
    parser.add_argument("--rows", help="maximum number of rows per forward pass (default: the methods' defaults)")
    parser.add_argument("--references", default="49", help="baselines of Expected Gradients (default: %(default)s)")
    parser.add_argument(
        "--smoothgrad-ig-samples", default="25", help="noisy paths of SmoothGrad-IG (default: %(default)s)"
    )
    parser.add_argument("--patch-size", default="9", help="side of the patches in degradation (default: %(default)s)")
    parser.add_argument("--n-patches", default="100", help="patches that degradation replaces (default: %(default)s)")
    parser.add_argument(
        "--patches-per-point", default="1", help="patches that degradation replaces per forward pass (default: 1)"
    )
    parser.add_argument("--seed", default="0", help="seed of random masks, noise and maps (default: %(default)s)")
    parser.add_argument("--threads", help="threads per process (default: torch's default)")
    parser.add_argument("--first", metavar="N", help="use only N images, evenly spaced in the order of their names")
    options.add_device(parser)


def run(given: argparse.Namespace) -> None:
    """Evaluate.

    Raises:
        CommandError, UserError: If an argument is invalid.
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
    if os.environ.get("RANK", "0") != "0":  # only one of torchrun's processes prints
        return
    for name, reason in found.unreadable.items():
        say(f"skipped: {name}: {reason}")
    for name in names:
        say(
            f"{name}: {found.explained[name]} images explained, {found.misclassified[name]} misclassified and "
            f"skipped, {len(found.unreadable)} unreadable"
        )
    say(f"results in {given.output}; tables and figures: captum-ext report {given.output}")


def _local(device: str | None) -> str | None:
    """The device of this process if torchrun started several on this machine."""
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
