"""The information in a picture: its size in a lossless format, or its similarity to the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from captum_ext._utils.worker_processes import current_workers
from captum_ext.metrics._ms_ssim import SMALLEST_SIDE, MultiScaleSimilarity
from captum_ext.vision.picture_files import encoded_bytes


def measuring_threads() -> int:
    """The number of threads to measure pictures in: one, or one for each process that encodes."""
    workers = current_workers()
    return 1 if workers is None else workers.count


def information_measure(kind: str, original: Tensor) -> Callable[[list[Tensor]], Sequence[float]]:
    """A function that measures pictures: their sizes in bytes, or for ``"ms-ssim"`` their similarity to the original.

    Args:
        kind: ``"webp"``, ``"png"`` or ``"ms-ssim"``.
        original: The original, uint8 (H, W, C). Similarities are computed on its device.
    """
    if kind != "ms-ssim":
        workers = current_workers()
        if workers is None:
            return lambda pictures: [float(encoded_bytes(kind, picture.cpu().numpy())) for picture in pictures]
        return lambda pictures: [
            float(workers.call(encoded_bytes, kind, picture.cpu().numpy())) for picture in pictures
        ]
    similarity = MultiScaleSimilarity(_as_floats([original], original.device))
    return lambda pictures: similarity(_as_floats(pictures, original.device)).tolist()


def _as_floats(pictures: list[Tensor], device: torch.device) -> Tensor:
    return torch.stack(pictures).to(device).permute(0, 3, 1, 2).contiguous().float()


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
