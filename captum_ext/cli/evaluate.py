"""``captum-ext evaluate``: methods x models x metrics over a folder of images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from captum_ext._utils.errors import UserError
from captum_ext.cli import models
from captum_ext.cli.command import Command
from captum_ext.cli.console import print_line
from captum_ext.cli.errors import CommandError
from captum_ext.cli.evaluate_options import (
    MAX_COUNT,
    add_evaluate_options,
    evaluation_config,
    resolve_options,
    split_list,
)
from captum_ext.cli.on_demand import OnDemand, use_channels_last
from captum_ext.cli.optimized import optimize
from captum_ext.cli.options import parse_count, parse_device
from captum_ext.cli.pattern_files import load_patterns
from captum_ext.vision.classifier import Classifier, Transform
from captum_ext.vision.pictures import read
from captum_ext.vision.probe import transformed

if TYPE_CHECKING:
    from captum_ext.evaluation import EvaluationConfig, LabeledImage

_MAX_EXAMPLES = 100
_READERS_LIMIT = 256


class EvaluateCommand(Command):
    """``captum-ext evaluate``."""

    name = "evaluate"
    summary = "compare methods with metrics over a folder of images"
    description = (
        "Explain every image of a folder with many methods, measure the maps with many metrics, and store the scores "
        "in RESULTS, one Parquet file per batch. Stop it at any time; the same command resumes. Under torchrun, on one "
        "machine or on many with a shared folder, the processes divide the batches among them. captum-ext report "
        "RESULTS writes tables and figures, and captum-ext report RESULTS --html a page."
    )
    epilog = (
        "Labels: a CSV file with columns file,class_index (labels.csv in the folder unless --labels names another), or "
        "one folder per class. Without labels, the predicted class of each image is explained. "
        "Images that can't be read are named in the results and skipped."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""
        add_evaluate_options(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        """Evaluate.

        Raises:
            CommandError, UserError: If an argument can't be used.
        """
        from captum_ext.evaluation import evaluate, find_images, html_report
        from captum_ext.evaluation.run_setup import uses_masks

        notes = resolve_options(arguments)
        config = evaluation_config(arguments)
        n_examples = parse_count("--examples", arguments.examples, _MAX_EXAMPLES, minimum=0)
        if arguments.masks is not None and not uses_masks(config):
            raise CommandError(f"--masks {arguments.masks}: no metric in --metrics uses it, such as localization-auc")
        if arguments.threads is not None:
            torch.set_num_threads(parse_count("--threads", arguments.threads, 1024))
        readers = arguments.readers
        readers = None if readers is None else parse_count("--readers", readers, _READERS_LIMIT, minimum=0)
        device = parse_device(_local_device(arguments.device))
        if device.type == "cuda":
            torch.cuda.set_device(device)  # for models that use the current device
        names = list(dict.fromkeys(split_list(arguments.models)))
        weights = _files_by_model("--weights", arguments.weights, names)
        pattern_files = _files_by_model("--patterns", arguments.patterns, names)
        images = find_images(arguments.images, arguments.labels, arguments.masks)
        if arguments.target is None and any(image.label is None for image in images):
            config = replace(config, target="predicted")
            if _is_first_process():
                print_line(f"{arguments.images}: no labels, so the class that the model predicts is explained")
        if arguments.first is not None:
            count = min(len(images), parse_count("--first", arguments.first, MAX_COUNT))
            images = [images[k * len(images) // count] for k in range(count)]
        keeps_layers = arguments.exact or _needs_own_layers(config)
        loaded: set[str] = set()  # before, at least once

        def load_model(name: str) -> tuple[nn.Module, Transform]:
            classifier = models.load(name, weights.get(name), "--models")
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
            n_examples=n_examples,
            notes=notes,
            n_readers=readers,
        )
        if not _is_first_process():
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
        if arguments.html:
            print_line(f"wrote {html_report(arguments.output)}")
        print_line(f"results in {arguments.output}; tables and figures: captum-ext report {arguments.output}")


def _is_first_process() -> bool:
    """Whether this process prints, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


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
    from captum_ext.evaluation import Results
    from captum_ext.evaluation.reporting.findings import findings
    from captum_ext.evaluation.scores import model_scores, score_index

    results = Results(Path(output))
    parts = model_scores(results, score_index(results), has_curves=False)
    return [paragraph for part in parts for paragraph in findings(part.table)]


def _local_device(device: str | None) -> str | None:
    """The device of this process among torchrun's processes on its machine."""
    if device in (None, "cuda") and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"  # several may share a GPU
    return device


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
