"""The information in a picture: its size in a lossless format, or its similarity to the original."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from captum_ext._utils.optional import optional
from captum_ext.metrics._ms_ssim import SMALLEST_SIDE, MultiScaleSimilarity

Picture = NDArray[np.uint8]  # (H, W, C)

_WRITERS: dict[str, dict[str, Any]] = {
    "webp": {"format": "webp", "lossless": True, "quality": 100},
    "png": {"format": "png"},
}


def information_measure(
    kind: str, original: Picture, device: torch.device
) -> Callable[[list[Picture]], Sequence[float]]:
    """A function that measures pictures: their sizes in bytes, or for ``"ms-ssim"`` their similarity to the original.

    Args:
        kind: ``"webp"``, ``"png"`` or ``"ms-ssim"``.
        original: The original, (H, W, C).
        device: Where similarities are computed.
    """
    if kind != "ms-ssim":
        return lambda pictures: [float(encoded_bytes(kind, picture)) for picture in pictures]
    similarity = MultiScaleSimilarity(_picture_tensor([original], device))
    return lambda pictures: similarity(_picture_tensor(pictures, device)).tolist()


def _picture_tensor(pictures: list[Picture], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).contiguous().float()


def encoded_bytes(kind: str, picture: Picture) -> int:
    """The size of the picture's lossless file, ``"webp"`` or ``"png"``."""
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, **_WRITERS[kind])
    return buffer.tell()


def check_sides(kind: str, index: int, height: int, width: int) -> None:
    """Check that a picture is large enough to measure its information.

    Raises:
        ValueError: If it is too small.
    """
    if kind == "ms-ssim" and min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"images: MS-SSIM with five scales of 11 pixels and more needs sides of at least {SMALLEST_SIDE}; image "
            f'{index} has {height} x {width}. Write information="webp" or "png".'
        )
    if min(height, width) < 2:
        raise ValueError(f"images: expected sides of at least 2 pixels, image {index} has {height} x {width}.")


def gaussian_blur(picture: Picture, radius: float) -> Picture:
    """Pillow's Gaussian blur."""
    filters = optional("PIL.ImageFilter", "metrics")
    return np.asarray(to_pil(picture).filter(filters.GaussianBlur(radius)), dtype=np.uint8).reshape(picture.shape)


def jpeg_copy(image: Any, quality: int) -> Any:
    """A PIL image after JPEG compression."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return optional("PIL.Image", "metrics").open(buffer)


def to_pil(picture: Picture) -> Any:
    return optional("PIL.Image", "metrics").fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
