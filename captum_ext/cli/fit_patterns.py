"""``captum-ext fit-patterns``: fit patterns of a classifier to a folder of images."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from captum_ext._utils._captum import progress
from captum_ext._utils.errors import UserError
from captum_ext.cli import models
from captum_ext.cli.command import Command
from captum_ext.cli.console import print_error, print_line
from captum_ext.cli.errors import CommandError, command_errors
from captum_ext.cli.options import add_device_options, parse_count, parse_device, parse_output
from captum_ext.patterns import PatternFitter, Patterns, signal_quality
from captum_ext.patterns.fit import Choice
from captum_ext.vision.classifier import Transform
from captum_ext.vision.folder import image_files
from captum_ext.vision.loading import PictureBatches, default_readers, read_ahead
from captum_ext.vision.pictures import read

_MAX_BATCH_SIZE = 10_000


class FitPatternsCommand(Command):
    """``captum-ext fit-patterns``."""

    name = "fit-patterns"
    summary = "fit patterns for PatternNet, PatternAttribution and PGIG"
    description = (
        "Fit a pattern to each linear and convolution layer of a classifier in one pass over a folder of images, and "
        "write them for captum-ext explain --patterns. BatchNorm is folded first. Use images like those that the "
        "model was trained on; labels are not needed."
    )
    epilog = "Files that are not readable images are named and skipped."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""
        models.add_model_options(parser)
        parser.add_argument("--images", required=True, metavar="DIR", help="a folder of images, searched to any depth")
        parser.add_argument(
            "--output", metavar="FILE", default="patterns.safetensors", help="the file to write (default: %(default)s)"
        )
        parser.add_argument(
            "--estimator",
            default="auto",
            help="auto, positive or linear (default: %(default)s: positive where a ReLU follows, linear elsewhere)",
        )
        parser.add_argument("--batch-size", default="16", help="images per batch (default: %(default)s)")
        parser.add_argument("--quality", action="store_true", help="print each layer's signal quality; a second pass")
        add_device_options(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        """Fit the patterns and write them.

        Raises:
            CommandError: If an argument can't be used.
        """
        if arguments.estimator not in get_args(Choice):
            raise CommandError(f"--estimator {arguments.estimator}: expected one of {', '.join(get_args(Choice))}")
        batch_size = parse_count("--batch-size", arguments.batch_size, _MAX_BATCH_SIZE)
        output = parse_output(arguments.output, (".safetensors",))
        files = image_files("--images", arguments.images)
        device = parse_device(arguments.device)
        classifier = models.load(arguments.model, arguments.weights)
        classifier.model.to(device)
        batches = Batches(classifier.transform, files, batch_size, device)
        patterns, model = _fit_patterns(classifier.model, arguments, batches)
        try:
            patterns.save(output)
        except OSError as error:
            raise CommandError(f"--output {arguments.output}: can't be written ({error.strerror})") from error
        _print_lines(patterns)
        if arguments.quality:
            with command_errors(f"--model {arguments.model}"):
                quality = signal_quality(model, patterns, batches)
            _print_lines(quality)
        assert patterns.info is not None, "patterns that were just fitted have it"
        skipped = f", {len(batches.broken)} unreadable files skipped" if batches.broken else ""
        print_line(f"wrote {output}: patterns of {len(patterns)} layers from {patterns.info.inputs} images{skipped}")


def _print_lines(table: object) -> None:
    for line in str(table).splitlines():
        print_line(line)


class Batches:
    """Batches of transformed images; files that can't be read are named once and skipped."""

    def __init__(self, transform: Transform, files: list[Path], rows: int, device: torch.device) -> None:
        """Batches of ``rows`` files each, read ahead of a model on ``device``."""
        self.broken: set[Path] = set()
        self._transform = transform
        self.files = files
        self._rows = rows
        self._device = device

    def __iter__(self) -> Iterator[Tensor]:
        """Tensors (rows, C, H, W)."""
        images: list[Tensor] = []
        files = [file for file in self.files if file not in self.broken]
        inputs = PictureBatches([[(str(file), str(file))] for file in files], self._transform, keeps_pictures=False)
        with read_ahead(inputs, default_readers(self._device), self._device) as results:
            # disable=None: only on a terminal.
            for file, (result,) in zip(progress(files, desc="images", disable=None), results, strict=True):
                if isinstance(result, UserError):
                    self._skip(file, result)
                    continue
                image = result.tensor[0]
                if images and image.shape != images[0].shape:
                    raise CommandError(
                        f"{file}: the transform returns images of different shapes; add a resize and a crop"
                    )
                images.append(image)
                if len(images) == self._rows:
                    yield torch.stack(images)
                    images = []
        if images:
            yield torch.stack(images)

    def _skip(self, file: Path, reason: UserError) -> None:
        """Name a file that can't be read; raise an error of the transform."""
        try:
            read(str(file))
        except UserError as error:
            self.broken.add(file)
            print_error(f"skipped: {error}")
            return
        raise reason


def _fit_patterns(
    model: torch.nn.Module, arguments: argparse.Namespace, batches: Batches
) -> tuple[Patterns, torch.nn.Module]:
    with command_errors(f"--model {arguments.model}"):
        fitter = PatternFitter(model, arguments.estimator, fold=True)
        for batch in batches:
            fitter.update(batch)
        if len(batches.broken) < len(batches.files):
            return fitter.patterns(), fitter.model
    raise CommandError(f"--images {arguments.images}: none of {len(batches.files)} images can be read")
