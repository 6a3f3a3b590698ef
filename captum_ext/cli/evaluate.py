"""``captum-ext evaluate``: methods x models x metrics over a folder of images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from captum_ext._utils.errors import UserError
from captum_ext.cli import models
from captum_ext.cli.command import Command
from captum_ext.cli.console import print_line
from captum_ext.cli.errors import CommandError
from captum_ext.cli.on_demand import OnDemand, use_channels_last
from captum_ext.cli.optimized import add_exact_option, optimize
from captum_ext.cli.options import add_device_options, parse_count, parse_device
from captum_ext.cli.pattern_files import load_patterns
from captum_ext.vision.classifier import Classifier, Transform
from captum_ext.vision.pictures import read
from captum_ext.vision.probe import transformed

if TYPE_CHECKING:
    from captum_ext.evaluation import EvaluationConfig, LabeledImage

_MAX_COUNT = 1_000_000
_READERS_LIMIT = 256


class EvaluateCommand(Command):
    """``captum-ext evaluate``."""

    name = "evaluate"
    summary = "compare methods with metrics over a folder of images"
    description = (
        "Explain every image of a folder with many methods, measure the maps with many metrics, and store the scores "
        "in RESULTS, one Parquet file per batch. Stop it at any time; the same command resumes. Under torchrun, on one "
        "machine or on many with a shared folder, the processes divide the batches among them. captum-ext report "
        "RESULTS writes tables and figures."
    )
    epilog = (
        "Labels: a CSV file with columns file,class_index (labels.csv in the folder unless --labels names another), or "
        "one folder per class. Without labels, the predicted class of each image is explained. "
        "Images that can't be read are named in the results and skipped."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""
        parser.add_argument("output", metavar="RESULTS", help="the folder of results, new or to be resumed")
        parser.add_argument("--images", required=True, metavar="DIR", help="the folder of images")
        parser.add_argument("--labels", metavar="FILE", help="a CSV file: file,class_index (default: DIR/labels.csv)")
        parser.add_argument(
            "--masks",
            metavar="DIR",
            help="masks of the objects, for the metrics of localization: PNG files with the images' names",
        )
        parser.add_argument(
            "--models",
            default=models.DEFAULT_MODEL,
            help="comma-separated: efficientnet-lite0, torchvision classifiers, module:function (default: %(default)s)",
        )
        parser.add_argument(
            "--weights", action="append", default=[], metavar="MODEL=FILE", help="a checkpoint; once per model"
        )
        parser.add_argument(
            "--patterns",
            action="append",
            default=[],
            metavar="MODEL=FILE",
            help="a file written with captum-ext fit-patterns; once per model",
        )
        parser.add_argument(
            "--methods", help="comma-separated (default: ig, guided-ig, blur-ig, each with and without +idgi)"
        )
        parser.add_argument("--metrics", help="comma-separated, some with a variant: information:study:ms-ssim")
        parser.add_argument(
            "--internal-batch-size", help="maximum number of rows in a forward pass (default: each method's default)"
        )
        for option, default, text in (
            ("--steps", "32", "comma-separated numbers of steps"),
            ("--steps-protocol", "corrected", "corrected or reference"),
            ("--baseline", "black", "start of straight and guided paths"),
            ("--batch-size", "8", "images per batch"),
            ("--references", "49", "baselines of Expected Gradients"),
            ("--smoothgrad-ig-samples", "25", "noisy paths of SmoothGrad-IG"),
            ("--patch-size", "9", "side of degradation's patches"),
            ("--n-patches", "100", "patches that degradation replaces"),
            ("--patches-per-point", "1", "patches replaced between two forward passes"),
            ("--seed", "0", "for random masks, noise and maps"),
        ):
            parser.add_argument(option, default=default, help=f"{text} (default: %(default)s)")
        parser.add_argument(
            "--target",
            help="label, which excludes misclassified images, or predicted (default: label if the images have labels)",
        )
        parser.add_argument("--threads", help="threads of each process (default: torch's)")
        parser.add_argument(
            "--readers",
            help="processes that read images ahead of the model, per process (default: 0 on a CPU, up to 4 on a GPU)",
        )
        parser.add_argument("--first", metavar="N", help="only N images, evenly spaced by name")
        add_exact_option(parser)
        add_device_options(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        """Evaluate.

        Raises:
            CommandError, UserError: If an argument can't be used.
        """
        from captum_ext.evaluation import evaluate, find_images
        from captum_ext.evaluation.run_setup import uses_masks

        config = _evaluation_config(arguments)
        if arguments.masks is not None and not uses_masks(config):
            raise CommandError(f"--masks {arguments.masks}: no metric in --metrics uses it, such as localization-auc")
        if arguments.threads is not None:
            torch.set_num_threads(parse_count("--threads", arguments.threads, 1024))
        readers = arguments.readers
        readers = None if readers is None else parse_count("--readers", readers, _READERS_LIMIT, minimum=0)
        device = parse_device(_local_device(arguments.device))
        if device.type == "cuda":
            torch.cuda.set_device(device)  # for models that use the current device
        names = _split_list(arguments.models)
        weights = _files_by_model("--weights", arguments.weights, names)
        pattern_files = _files_by_model("--patterns", arguments.patterns, names)
        images = find_images(arguments.images, arguments.labels, arguments.masks)
        if arguments.target is None and any(image.label is None for image in images):
            config = replace(config, target="predicted")
            if os.environ.get("RANK", "0") == "0":
                print_line(f"{arguments.images}: no labels, so the class that the model predicts is explained")
        if arguments.first is not None:
            count = min(len(images), parse_count("--first", arguments.first, _MAX_COUNT))
            images = [images[k * len(images) // count] for k in range(count)]
        keeps_layers = arguments.exact or _needs_own_layers(config)
        loaded: set[str] = set()  # before, at least once

        def load_model(name: str) -> tuple[nn.Module, Transform]:
            classifier = models.load(name, weights.get(name))
            classifier.model.to(device)
            if not keeps_layers and name not in pattern_files:
                classifier = _optimize(name, classifier, images, device, shows_notes=name not in loaded)
            loaded.add(name)
            if device.type == "cuda":
                use_channels_last(classifier.model)
            return classifier.model, classifier.transform

        summary = evaluate(
            OnDemand(names, load_model),
            images,
            arguments.output,
            config,
            OnDemand(list(pattern_files), lambda name: load_patterns(pattern_files[name], device)),
            show_progress=True,
            n_readers=readers,
        )
        if os.environ.get("RANK", "0") != "0":  # one of torchrun's processes prints
            return
        for name, reason in summary.unreadable_images.items():
            print_line(f"excluded: {name}: {reason}")
        for name in names:
            print_line(
                f"{name}: {summary.n_explained[name]} images explained, {summary.n_misclassified[name]} misclassified "
                f"and excluded, {len(summary.unreadable_images)} unreadable"
            )
        for paragraph in _findings(arguments.output):
            print_line(paragraph)
        print_line(f"results in {arguments.output}; tables and figures: captum-ext report {arguments.output}")


def _needs_own_layers(config: EvaluationConfig) -> bool:
    """Whether a metric randomizes the model's layers one by one, among them BatchNorm."""
    return any(metric.split(":")[0] == "randomization" for metric in config.metrics)


def _optimize(
    name: str, classifier: Classifier, images: Sequence[LabeledImage], device: torch.device, shows_notes: bool
) -> Classifier:
    """The classifier with BatchNorm folded, which is compared on the first image that can be read."""
    for image in images:
        try:
            tensor = transformed(image.name, partial(classifier.transform, read(str(image.path))))
        except UserError:  # the evaluation reports it
            continue
        return optimize(name, classifier, tensor.to(device), shows_notes)
    return classifier


def _findings(output: str) -> list[str]:
    from captum_ext.evaluation import Results, ScoreTable
    from captum_ext.evaluation.reporting.findings import findings

    results = Results(Path(output))
    frame = results.read(["model", "image", "method", "steps", "score", "variant", "value"])
    return findings(ScoreTable(frame.assign(curve=None), results.settings()))


def _local_device(device: str | None) -> str | None:
    """The device of this process among torchrun's processes on its machine."""
    if device in (None, "cuda") and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"  # several may share a GPU
    return device


def _evaluation_config(arguments: argparse.Namespace) -> EvaluationConfig:
    from captum_ext.evaluation import EvaluationConfig
    from captum_ext.evaluation.config import COUNTS

    values: dict[str, Any] = {
        "steps": tuple(parse_count("--steps", number, _MAX_COUNT) for number in _split_list(arguments.steps)),
        "steps_protocol": arguments.steps_protocol,
        "target": arguments.target or "label",
        "baseline": arguments.baseline,
        "generator": parse_count("--seed", arguments.seed, _MAX_COUNT, minimum=0),
    }
    for name in COUNTS:
        values[name] = parse_count(f"--{name.replace('_', '-')}", getattr(arguments, name), _MAX_COUNT)
    if arguments.internal_batch_size is not None:
        rows = parse_count("--internal-batch-size", arguments.internal_batch_size, _MAX_COUNT)
        values["internal_batch_size"] = rows
    for name in ("methods", "metrics"):
        if getattr(arguments, name) is not None:
            values[name] = tuple(_split_list(getattr(arguments, name)))
    try:
        return EvaluationConfig(**values)
    except ValueError as error:
        field, _, message = str(error).partition(":")
        raise CommandError(f"--{field.replace('_', '-')}:{message}") from error


def _split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _files_by_model(option: str, values: list[str], names: list[str]) -> dict[str, str]:
    files = {}
    for text in values:
        name, separator, file = text.partition("=")
        if not separator and len(names) == 1:
            name, file = names[0], text
        if name not in names:
            raise CommandError(f"{option} {text}: expected MODEL=FILE with one of {', '.join(names)}")
        files[name] = file
    return files
