"""The information in a picture: its size in a lossless format, or its similarity to the original."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from captum_ext._utils.optional import optional

Picture = NDArray[np.uint8]  # (H, W, C)

_WRITERS: dict[str, dict[str, Any]] = {
    "webp": {"format": "webp", "lossless": True, "quality": 100},
    "png": {"format": "png"},
}
_MS_SSIM_SIDE = 176  # torchmetrics halves the sides four times, rounding down, and then needs more than 10 pixels


def information(kind: str, picture: Picture, original: Picture) -> float:
    """The size in bytes, or for ``"ms-ssim"`` the similarity to the original."""
    return ms_ssim(picture, original) if kind == "ms-ssim" else float(encoded_bytes(kind, picture))


def encoded_bytes(kind: str, picture: Picture) -> int:
    """The size of the picture's lossless file, ``"webp"`` or ``"png"``."""
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, **_WRITERS[kind])
    return buffer.tell()


def ms_ssim(picture: Picture, original: Picture) -> float:
    """Multi-scale structural similarity with five scales, in [0, 1]."""
    metric = optional("torchmetrics.functional.image", "metrics").multiscale_structural_similarity_index_measure
    left, right = (
        torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)).unsqueeze(0) for image in (picture, original)
    )
    return float(metric(left, right, data_range=255.0))


def check_sides(kind: str, index: int, height: int, width: int) -> None:
    """Check that a picture is large enough to measure its information.

    Raises:
        ValueError: If it is too small.
    """
    if kind == "ms-ssim" and min(height, width) < _MS_SSIM_SIDE:
        raise ValueError(
            f"images: MS-SSIM with five scales needs sides above 160, at least {_MS_SSIM_SIDE} in torchmetrics; image "
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
