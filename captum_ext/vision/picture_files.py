"""Pictures as files in memory. Without torch, so that processes that encode pictures start fast."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captum_ext._utils.optional import optional

Picture = NDArray[np.uint8]  # (H, W, C)

_WRITERS: dict[str, dict[str, Any]] = {
    "webp": {"format": "webp", "lossless": True, "quality": 100},
    "png": {"format": "png"},
}


def encoded_bytes(kind: str, picture: Picture) -> int:
    """The size of the picture's lossless file, ``"webp"`` or ``"png"``."""
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, **_WRITERS[kind])
    return buffer.tell()


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
