"""``captum-ext fit-patterns``: fit patterns of a classifier to a folder of images."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from captum_ext._compat import progress
from captum_ext._errors import UserError
from captum_ext.cli import models, options
from captum_ext.cli.console import complain, say
from captum_ext.cli.errors import CommandError, named_failures
from captum_ext.patterns import PatternFitter, Patterns, signal_quality
from captum_ext.patterns.fit import Choice
from captum_ext.vision.classifier import Transform
from captum_ext.vision.folder import image_files
from captum_ext.vision.pictures import read
from captum_ext.vision.probe import transformed

SUMMARY = "fit patterns for PatternNet, PatternAttribution and PGIG"
DESCRIPTION = (
    "Fit a pattern to each linear and convolution layer of a classifier in one pass over a folder of images, and "
    "write the file for captum-ext explain --patterns. BatchNorm is folded first. Use images like those that the "
    "model was trained on; labels are not needed."
)
EPILOG = "Files that are not readable images are named and skipped."
_MOST_ROWS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    models.add_model(parser)
    parser.add_argument("--images", required=True, metavar="DIR", help="a folder of images, searched recursively")
    parser.add_argument("--output", default="patterns.safetensors", help="the file to write (default: %(default)s)")
    parser.add_argument(
        "--estimator",
        default="auto",
        help="auto, positive or linear (default: %(default)s: positive before a ReLU, linear elsewhere)",
    )
    parser.add_argument("--batch-size", default="16", help="images per batch (default: %(default)s)")
    parser.add_argument(
        "--quality", action="store_true", help="print each layer's signal quality, which takes a second pass"
    )
    options.add_device(parser)


def run(given: argparse.Namespace) -> None:
    """Fit the patterns and write them.

    Raises:
        CommandError: If an argument is invalid.
    """
    if given.estimator not in get_args(Choice):
        raise CommandError(f"--estimator {given.estimator}: expected one of {', '.join(get_args(Choice))}")
    rows = options.positive("--batch-size", given.batch_size, _MOST_ROWS)
    output = options.writable(given.output, ".safetensors")
    files = image_files("--images", given.images)
    device = options.device(given.device)
    classifier = models.load(given.model, given.weights)
    classifier.model.to(device)
    batches = Batches(classifier.transform, files, rows)
    patterns, model = _fit(classifier.model, given, batches)
    try:
        patterns.save(output)
    except OSError as error:
        raise CommandError(f"--output {given.output}: can't be written ({error.strerror})") from error
    _say_all(patterns)
    if given.quality:
        with named_failures(f"--model {given.model}"):
            quality = signal_quality(model, patterns, batches, show_progress=False)
        _say_all(quality)
    assert patterns.info is not None, "fitted just now"
    skipped = f", {len(batches.broken)} unreadable files skipped" if batches.broken else ""
    say(f"wrote {output}: patterns of {len(patterns)} layers from {patterns.info.inputs} images{skipped}")


def _say_all(table: object) -> None:
    for line in str(table).splitlines():
        say(line)


class Batches:
    """Batches of transformed images. Images that can't be read are named once and skipped."""

    def __init__(self, transform: Transform, files: list[Path], rows: int) -> None:
        """Batches of ``rows`` files."""
        self.broken: set[Path] = set()
        self._transform = transform
        self.files = files
        self._rows = rows

    def __iter__(self) -> Iterator[Tensor]:
        """Tensors (rows, C, H, W)."""
        images: list[Tensor] = []
        # disable=None shows the bar only on a terminal.
        for file in progress(self.files, desc="images", disable=None):
            image = self._image(file)
            if image is None:
                continue
            if images and image.shape != images[0].shape:
                raise CommandError(f"{file}: the transform returns images of different shapes; add a resize and a crop")
            images.append(image)
            if len(images) == self._rows:
                yield torch.stack(images)
                images = []
        if images:
            yield torch.stack(images)

    def _image(self, file: Path) -> Tensor | None:
        if file in self.broken:
            return None
        try:
            picture = read(str(file))
        except UserError as error:
            self.broken.add(file)
            complain(f"skipped: {error}")
            return None
        return transformed(str(file), lambda: self._transform(picture))[0]


def _fit(model: torch.nn.Module, given: argparse.Namespace, batches: Batches) -> tuple[Patterns, torch.nn.Module]:
    with named_failures(f"--model {given.model}"):
        fitter = PatternFitter(model, given.estimator, fold=True)
        for batch in batches:
            fitter.update(batch)
        if len(batches.broken) < len(batches.files):
            return fitter.patterns(), fitter.model
    raise CommandError(f"--images {given.images}: none of {len(batches.files)} images can be read")
