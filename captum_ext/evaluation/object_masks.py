"""The masks of objects: their files, and what is left of them in the model's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from captum_ext._utils.errors import UserError
from captum_ext.evaluation.images import LabeledImage
from captum_ext.vision.classifier import Transform
from captum_ext.vision.probe import transformed

if TYPE_CHECKING:
    from PIL.Image import Image

_OVERSHOOT = 0.5  # of interpolation beyond black and white


class ObjectMasks(NamedTuple):
    """The masks of a batch, and the reasons for images without a usable one, whose mask here is arbitrary."""

    masks: Tensor  # bool (B, H, W)
    notes: Mapping[int, str]


def object_masks(
    images: Sequence[LabeledImage], pictures: Sequence[Image], black: Tensor, white: Tensor, transform: Transform
) -> ObjectMasks:
    """The masks of these images as the model receives them.

    A mask is transformed as a black and white picture; a pixel of the result is inside if it is nearer to white.

    Args:
        images: The images, with the files of their masks.
        pictures: The pictures in these files.
        black: Black as the model receives it, (B, C, H, W).
        white: White likewise.
        transform: From a picture to the model's input.

    Raises:
        UserError: If a mask can't be read, has another size than its image, or can't be transformed.
    """
    masks, notes = torch.zeros(len(images), *black.shape[2:], dtype=torch.bool), {}
    for index, (image, picture) in enumerate(zip(images, pictures, strict=True)):
        if image.mask is None:
            notes[index] = "no mask: the folder of masks has no PNG file of the same name"
        else:
            mask = _read_mask(image.name, image.mask, picture.size)
            masks[index] = _transformed_mask(image.name, mask, black[index], white[index], transform)
            if not masks[index].any():
                notes[index] = "the mask is empty: no pixel of the object is in the model's input"
            elif masks[index].all():
                notes[index] = "the mask is full: no pixel outside the object is in the model's input"
        if index in notes:
            masks[index] = False
            masks[index, 0, 0] = True  # metrics reject masks without a pixel inside or outside
    return ObjectMasks(masks.to(black.device), notes)


def _read_mask(name: str, path: Path, size: tuple[int, int]) -> Image:
    """The mask in a file: white where the file's value is not 0."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            mode, mask_size, values = file.mode, file.size, np.asarray(file)
    except Exception as error:  # decoders raise arbitrary exceptions on corrupt files
        reason = getattr(error, "strerror", None) or str(error).replace(str(path), path.name)
        raise UserError(f"{name}: its mask {path.name} can't be read ({reason})") from error
    if mode.endswith(("A", "a")):
        raise UserError(
            f"{name}: its mask {path.name} has transparency ({mode}), so 0 is ambiguous: save it in black and white"
        )
    if mask_size != size:
        raise UserError(
            f"{name}: expected a mask of {size[0]} x {size[1]} pixels, as the image has; {path.name} has "
            f"{mask_size[0]} x {mask_size[1]}"
        )
    inside = values.reshape(*values.shape[:2], -1).any(2)
    return Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).convert("RGB")


def _transformed_mask(name: str, mask: Image, black: Tensor, white: Tensor, transform: Transform) -> Tensor:
    values = transformed(name, partial(transform, mask))[0].to(black)
    if values.shape == black.shape:
        shares = (values - black) / (white - black)
        if bool(((shares >= -_OVERSHOOT) & (shares <= 1 + _OVERSHOOT)).all()):  # false for NaN
            return (shares.mean(0) > 0.5).cpu()
    raise UserError(
        f"{name}: the transform is not a fixed scaling of pixels between black and white, so it can't be applied to "
        "the mask. Leave out the metrics of localization"
    )
