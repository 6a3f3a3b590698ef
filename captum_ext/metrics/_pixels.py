"""Images as uint8 pixels: argument checks, and their classification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from captum_ext._engine.arguments import format_target
from captum_ext._utils.devices import run
from captum_ext.metrics._maps import position_scores


def check_images(images: object) -> list[Tensor]:
    """The images (C, H, W) of a batch or a list.

    Raises:
        TypeError: If they are not uint8 tensors.
        ValueError: If a shape is invalid, or they are on several devices.
    """
    each = _as_list("images", images)
    for index, image in enumerate(each):
        if image.dtype != torch.uint8:
            raise TypeError(
                f"images: expected the stored pixels as uint8, image {index} has {image.dtype}. Write (x * 255).round()"
                ".to(torch.uint8) for values in [0, 1], and pass the model's normalization as transform."
            )
        if image.dim() != 3 or image.shape[0] not in (1, 3):
            raise ValueError(
                f"images: expected (B, C, H, W) with 1 or 3 channels, or a list of (C, H, W); image {index} has shape "
                f"{tuple(image.shape)}. Write x.permute(2, 0, 1) for (H, W, C)."
            )
        if image.device != each[0].device:
            raise ValueError(f"images: expected one device, got {each[0].device} and {image.device}.")
    return each


def pixel_scores(images: list[Tensor], attributions: object, ranking: str) -> list[NDArray[np.float64]]:
    """One score per pixel, (H, W), for each image.

    Raises:
        TypeError: If the attributions are not real tensors.
        ValueError: If their number or shape does not match the images, or they are not finite.
    """
    maps = _as_list("attributions", attributions, len(images))
    nonfinite = [index for index, values in enumerate(maps) if not bool(torch.isfinite(values).all())]
    if nonfinite:
        raise ValueError(f"attributions: a NaN or infinity in examples {nonfinite[:10]}, which can't be ranked.")
    scores = []
    for index, (image, values) in enumerate(zip(images, maps, strict=True)):
        try:
            scores.append(position_scores(image.unsqueeze(0), values.unsqueeze(0), ranking))
        except ValueError as error:
            raise ValueError(f"example {index}: {error}") from None
    return [score[0].cpu().double().numpy() for score in scores]


def check_masks(images: list[Tensor], masks: object) -> list[NDArray[np.bool_] | None]:
    """The pixels of the uninformative picture that are known, (H, W), for each image.

    Raises:
        TypeError: If they are not bool tensors.
        ValueError: If their number or shape does not match the images.
    """
    if masks is None:
        return [None] * len(images)
    each = _as_list("masks", masks, len(images))
    for index, (image, mask) in enumerate(zip(images, each, strict=True)):
        if mask.dtype != torch.bool:
            raise TypeError(f"masks: expected bool, mask {index} has {mask.dtype}. Write mask.bool().")
        if mask.shape != image.shape[1:]:
            raise ValueError(
                f"masks: expected shape {tuple(image.shape[1:])} for image {index}, got {tuple(mask.shape)}."
            )
    return [mask.cpu().numpy() for mask in each]


def image_targets(target: object, count: int) -> list[int]:
    """The class of each image.

    Raises:
        TypeError: If a target is not a class index.
        ValueError: If their number does not match the images.
    """
    formatted = format_target(target, (torch.empty(count, 1),))
    each = formatted.tolist() if isinstance(formatted, Tensor) else formatted
    classes = [index for index in (each if isinstance(each, list) else [each] * count) if isinstance(index, int)]
    if len(classes) != count:
        raise TypeError(f"target: expected a class, or one for each image (list or tensor), got {target!r}.")
    return classes


class PictureClassifier:
    """Classifies pictures in batches, which may mix images.

    Args:
        forward_func: From the model's input to probabilities (N, classes).
        transform: From uint8 (N, C, H, W) to the model's input; ``None`` for float pixels in [0, 1].
        targets: The class of each image.
        device: The device of the pictures before the transform.
        rows: Maximum number of rows in a forward pass.
    """

    def __init__(
        self,
        forward_func: Callable[[Tensor], Tensor],
        transform: Callable[[Tensor], Tensor] | None,
        targets: list[int],
        device: torch.device,
        rows: int,
    ) -> None:
        self._forward_func = forward_func
        self._transform = transform or (lambda pixels: pixels / 255)
        self._targets = targets
        self._device = device
        self._rows = rows

    def __call__(self, pictures: Iterable[tuple[int, Tensor]]) -> Iterator[tuple[float, float]]:
        """The target's probability and whether it is the highest (1 or 0), for pairs (image index, uint8 (H, W, C))."""
        stream = iter(pictures)
        while chunk := list(islice(stream, self._rows)):
            # Pictures of several sizes can't be stacked before the transform, which may resize them.
            inputs = [
                self._transform(torch.stack([item for _, item in same]).permute(0, 3, 1, 2).to(self._device))
                for _, same in groupby(chunk, key=lambda row: row[1].shape)
            ]
            if len({tuple(part.shape[1:]) for part in inputs}) > 1:
                raise ValueError(
                    f"images: expected one size after transform, got {[tuple(part.shape[1:]) for part in inputs]}. "
                    "Resize in transform."
                )
            with torch.no_grad():
                probabilities = run(self._forward_func, (torch.cat(inputs),), None)
            yield from self._scores(probabilities, [self._targets[index] for index, _ in chunk])

    def _scores(self, probabilities: Tensor, targets: list[int]) -> Iterator[tuple[float, float]]:
        if not isinstance(probabilities, Tensor):
            raise TypeError(f"forward_func: expected a tensor of probabilities, got {type(probabilities).__name__}.")
        if probabilities.dim() != 2 or len(probabilities) != len(targets):
            raise ValueError(
                f"forward_func: expected probabilities ({len(targets)}, classes), got {tuple(probabilities.shape)}."
            )
        if min(targets) < 0 or max(targets) >= probabilities.shape[1]:
            raise ValueError(
                f"target: expected classes 0 to {probabilities.shape[1] - 1}, got {sorted(set(targets))[:10]}."
            )
        values = probabilities.detach().cpu().double()
        # The comparison is false for NaN.
        if not bool(((values >= -1e-3) & (values <= 1 + 1e-3)).all()):
            raise ValueError(
                "forward_func: expected probabilities, got values outside [0, 1] or NaN. Write "
                "lambda x: model(x).softmax(1)."
            )
        best = values.argmax(1).tolist()
        for row, target in enumerate(targets):
            yield float(values[row, target]), float(best[row] == target)


def _as_list(name: str, value: object, count: int | None = None) -> list[Tensor]:
    items = list(value) if isinstance(value, Tensor | Sequence) else []
    each = [item for item in items if isinstance(item, Tensor)]
    if not each or len(each) != len(items):
        raise TypeError(f"{name}: expected a batch, or a list of tensors, at least one; got {type(value).__name__}.")
    if count is not None and len(each) != count:
        raise ValueError(f"{name}: expected one for each of {count} images, got {len(each)}.")
    return each
