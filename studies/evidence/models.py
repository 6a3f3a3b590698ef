"""The photographs, what a run needs of a model, and EfficientNet-Lite0 with patterns.

Photographs that are explained and those that heads and patterns are fitted on are never the same.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from captum_ext.cli.models import load
from captum_ext.evaluation import LabeledImage, find_images
from captum_ext.patterns import PatternFitter, Patterns, fold_batch_norm
from captum_ext.vision.classifier import Transform
from captum_ext.vision.pictures import read

BATCH = 8
CHOSEN = Path(__file__).parent / "results" / "images.json"
LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
T = TypeVar("T")


class Fitted(NamedTuple):
    """What ``captum_ext.evaluation.evaluate`` needs of a model, and the model that the patterns are of.

    Attributes:
        model: Gives logits, in evaluation mode.
        transform: From a PIL image to (C, H, W).
        patterns: Of ``folded``.
        folded: The model without BatchNorm; it computes the same.
    """

    model: nn.Module
    transform: Transform
    patterns: Patterns
    folded: nn.Module


def halves(folder: str | Path) -> tuple[list[LabeledImage], list[LabeledImage]]:
    """The photographs of a folder by name: those to evaluate (positions 0, 2, ...) and those to fit on (1, 3, ...)."""
    images = find_images(folder)
    return images[::2], images[1::2]


def explained(folder: str | Path, count: int = 64) -> list[LabeledImage]:
    """Those to evaluate that all three EfficientNet-Lite classify correctly, evenly spaced.

    They are chosen once; their names are kept with the results.
    """
    images = halves(folder)[0]
    if not CHOSEN.exists():
        right = images
        for name in LITES:
            classifier = load(name, None)
            right = correct(classifier.model, right, classifier.transform)
        chosen = [image.name for image in spread(right, count)]
        CHOSEN.write_text(json.dumps({"candidates": len(images), "right": len(right), "images": chosen}, indent=1))
    names = set(json.loads(CHOSEN.read_text())["images"])
    return [image for image in images if image.name in names]


def spread(items: Sequence[T], count: int) -> list[T]:
    """``count`` items, evenly spaced."""
    if not 0 < count <= len(items):
        raise ValueError(f"count: expected 1 to {len(items)}, got {count}.")
    return [items[index * len(items) // count] for index in range(count)]


def batches(images: Sequence[LabeledImage], transform: Transform, rows: int = BATCH) -> Iterator[Tensor]:
    """The images as a model gets them, (rows, C, H, W)."""
    for at in range(0, len(images), rows):
        yield torch.stack([transform(read(str(image.path))) for image in images[at : at + rows]])


def labels(images: Iterable[LabeledImage]) -> Tensor:
    """The images' classes."""
    classes = [image.label for image in images]
    if None in classes:
        raise ValueError("images: expected labels; put a labels.csv with columns file,class_index into the folder.")
    return torch.tensor(classes)


def correct(model: nn.Module, images: Sequence[LabeledImage], transform: Transform) -> list[LabeledImage]:
    """The images that a model classifies as they are labelled."""
    with torch.no_grad():
        predicted = torch.cat([model(batch).argmax(1) for batch in batches(images, transform)])
    right = predicted == labels(images)
    return [image for image, is_right in zip(images, right.tolist(), strict=True) if is_right]


def fitted(model: nn.Module, transform: Transform, inputs: Iterable[Tensor]) -> Fitted:
    """A model with patterns as ``captum-ext fit-patterns`` fits them: the first author's convention, BatchNorm folded.

    Args:
        model: In evaluation mode.
        transform: Its transform.
        inputs: Batches to fit on.
    """
    # The last bits of a fit depend on the number of threads, and a resumed run wants the same patterns.
    with threads():
        fitter = PatternFitter(model, fold=True)
        for batch in inputs:
            fitter.update(batch)
        return Fitted(model, transform, fitter.patterns(), fold_batch_norm(model, batch[:1]))


def lite0_with_patterns(folder: str | Path) -> Fitted:
    """EfficientNet-Lite0 with the ImageNet weights of the registry's package, fitted on a folder's photographs."""
    classifier = load("efficientnet-lite0", None)
    return fitted(classifier.model, classifier.transform, batches(halves(folder)[1], classifier.transform))


@contextmanager
def threads(count: int = 1) -> Iterator[None]:
    """Inside it PyTorch computes in so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
