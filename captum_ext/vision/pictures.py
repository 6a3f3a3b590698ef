"""Photographs from files."""

from __future__ import annotations

import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from captum_ext._utils.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


def read(name: str) -> Image:
    """The image in a file (its first frame), upright and in RGB.

    Raises:
        UserError: If it can't be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        _check_regular(name)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(name) as file:
                return _eight_bits(ImageOps.exif_transpose(file)).convert("RGB")
    except UnidentifiedImageError as error:
        raise UserError(f"{name}: not a readable image") from error
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    except Exception as error:  # decoders raise arbitrary exceptions on corrupt files
        raise UserError(f"{name}: {getattr(error, 'strerror', None) or error}") from error


def _check_regular(name: str) -> None:
    """Reject pipes and devices, because opening them may block forever."""
    mode = Path(name).stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError("not a regular file")


def _eight_bits(image: Image) -> Image:
    """The image with 8 bits per channel. Pillow's conversion would clip values above 255."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    from PIL import Image as Images

    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    full = 1.0 if image.mode == "F" and low >= 0 and high <= 1 else 65535.0
    if not 0 <= low <= high <= full or (image.mode == "F" and full != 1.0):
        raise UserError(
            f"expected values from 0 to 1 or 16 bits per pixel, got {low:g} to {high:g}; save it with 8 bits"
        )
    return Images.fromarray(np.round(values * (255 / full)).astype(np.uint8))


def coffee() -> Image:
    """scikit-image's photograph of a cup of coffee."""
    try:
        from skimage import data
    except ImportError as error:
        raise UserError("the default photograph needs scikit-image. Run: pip install 'captum_ext[demo]'") from error
    from PIL import Image

    return Image.fromarray(data.coffee())
