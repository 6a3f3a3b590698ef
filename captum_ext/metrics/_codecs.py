"""How much information a picture holds: the bytes that a lossless codec needs for it, or its similarity to another."""

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
_MS_SSIM_SIDE = 176  # torchmetrics halves the sides four times, rounding down, and then wants more than 10 pixels


def information(kind: str, picture: Picture, original: Picture) -> float:
    """The information in a picture: bytes, or for ``"ms-ssim"`` how much of the original's structure it has."""
    return ms_ssim(picture, original) if kind == "ms-ssim" else float(encoded_bytes(kind, picture))


def encoded_bytes(kind: str, picture: Picture) -> int:
    """The length of the picture's lossless file, ``"webp"`` or ``"png"``."""
    buffer = io.BytesIO()
    _pil(picture).save(buffer, **_WRITERS[kind])
    return buffer.tell()


def ms_ssim(picture: Picture, original: Picture) -> float:
    """Multi-scale structural similarity with five scales, in [0, 1]."""
    metric = optional("torchmetrics.functional.image", "metrics").multiscale_structural_similarity_index_measure
    left, right = (
        torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)).unsqueeze(0) for image in (picture, original)
    )
    return float(metric(left, right, data_range=255.0))


def check_sides(kind: str, index: int, height: int, width: int) -> None:
    """Check that the information of such a picture can be measured.

    Raises:
        ValueError: If it is too small.
    """
    if kind == "ms-ssim" and min(height, width) < _MS_SSIM_SIDE:
        raise ValueError(
            f"images: MS-SSIM with five scales needs sides above 160, {_MS_SSIM_SIDE} at least in torchmetrics; image "
            f'{index} has {height} x {width}. Write information="webp" or "png".'
        )
    if min(height, width) < 2:
        raise ValueError(f"images: expected sides of 2 pixels at least, image {index} has {height} x {width}.")


def gaussian_blurred(picture: Picture, radius: float) -> Picture:
    """Pillow's Gaussian blur."""
    filters = optional("PIL.ImageFilter", "metrics")
    return np.asarray(_pil(picture).filter(filters.GaussianBlur(radius)), dtype=np.uint8).reshape(picture.shape)


def _pil(picture: Picture) -> Any:
    return optional("PIL.Image", "metrics").fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
