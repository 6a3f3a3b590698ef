"""Attributions and pictures in the forms that users have, as arrays to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

MapArray: TypeAlias = NDArray[np.float64]
Attributions: TypeAlias = "Tensor | NDArray[Any]"
PictureLike: TypeAlias = "Tensor | NDArray[Any] | Image"

_FEWEST = 5  # pixels: an array with a shorter side may be the map of a layer


def read_map(attributions: object, name: str = "attributions") -> MapArray:
    """A map (H, W): the sum over channels.

    Raises:
        TypeError: If the attributions are not a real tensor or array.
        ValueError: If they are not one map, or contain a NaN or infinity.
    """
    array = _read_array(attributions, name)
    if array.ndim == 4:
        if len(array) != 1:
            raise ValueError(
                f"{name}: expected one map, got a batch of {len(array)}, shape {array.shape}. Draw one example: "
                f"{name}[0]."
            )
        array = array[0]
    if array.ndim not in (2, 3) or not array.size:
        advice = f" Draw one frame: {name}[0, :, t]." if array.ndim == 5 else ""
        advice = " Use bars() for a row of a table." if array.ndim == 1 else advice
        raise ValueError(f"{name}: expected (C, H, W), (1, C, H, W) or (H, W), got shape {array.shape}.{advice}")
    check_finite(array, name)
    if array.ndim == 2:
        return array
    # A tensor always has its channels first: the map of a layer may be 3 or 1 pixels wide.
    last = isinstance(attributions, np.ndarray) and _channels_last(array.shape) and min(array.shape[:2]) >= _FEWEST
    summed: MapArray = array.sum(-1 if last else 0)
    return summed


def read_row(attributions: object, name: str = "attributions") -> MapArray:
    """One number per feature, (F,).

    Raises:
        TypeError: If the attributions are not a real tensor or array.
        ValueError: If they are not one row, or contain a NaN or infinity.
    """
    array = _read_array(attributions, name)
    if array.ndim == 2:
        if len(array) != 1:
            raise ValueError(
                f"{name}: expected one row, got {len(array)}, shape {array.shape}. Draw one example, {name}[0], or a "
                f"mean over examples, {name}.abs().mean(0)."
            )
        array = array[0]
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name}: expected one number per feature, (F,) or (1, F), got shape {array.shape}.")
    check_finite(array, name)
    return array


def read_picture(image: PictureLike, name: str = "image") -> MapArray:
    """A picture's colors, (H, W, 3) in [0, 1].

    Raises:
        TypeError: If it is not a picture.
        ValueError: If its shape is not that of one picture, or it contains a NaN or infinity.
    """
    if hasattr(image, "convert") and hasattr(image, "getbands"):  # Pillow's
        image = np.asarray(image.convert("RGB"))
    dtype = getattr(image, "dtype", None)
    array = _read_array(image, name)
    if array.ndim == 4:
        if len(array) != 1:
            raise ValueError(f"{name}: expected one picture, got a batch of {len(array)}. Pass {name}[0].")
        array = array[0]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size:
        raise ValueError(f"{name}: expected (C, H, W), (1, C, H, W), (H, W, C) or (H, W), got shape {array.shape}.")
    if not _channels_last(array.shape):
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] not in (1, 3):
        raise ValueError(f"{name}: expected 1 or 3 channels, got {array.shape[-1]} (shape {array.shape}).")
    check_finite(array, name)
    if dtype in (torch.uint8, np.uint8):
        array = array / 255
    elif array.min() < 0 or array.max() > 1:
        spread = array.max() - array.min()
        array = (array - array.min()) / spread if spread else np.full_like(array, 0.5)
    return array.repeat(3, -1) if array.shape[-1] == 1 else array


def stretch(array: NDArray[Any], shape: tuple[int, ...], name: str = "attributions") -> NDArray[Any]:
    """A map in a picture's size, (H, W), each value repeated: maps of layers are smaller than the picture.

    Raises:
        ValueError: If the map does not have the picture's proportions.
    """
    (h, w), (height, width) = array.shape, shape[:2]
    expected = width * h / height
    if abs(expected - w) >= 1 or h > height or w > width:
        raise ValueError(
            f"{name}: expected the size of the picture, {height} x {width}, or a smaller one with its proportions, got "
            f"{h} x {w}. Pass the picture as the model gets it."
        )
    stretched: NDArray[Any] = array[np.arange(height) * h // height][:, np.arange(width) * w // width]
    return stretched


def check_finite(array: NDArray[Any], name: str) -> None:
    """Check that all values are finite.

    Raises:
        ValueError: If some are not.
    """
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise ValueError(f"{name}: {wrong} of {array.size} values are NaN or infinite, so there is nothing to draw.")


def _read_array(value: object, name: str) -> MapArray:
    """A tensor or an array as float64 on the CPU."""
    if isinstance(value, list | tuple):
        raise TypeError(f"{name}: expected a tensor or an array, got a {type(value).__name__}. Pass {name}[0].")
    if isinstance(value, Tensor):
        if value.is_complex():
            raise TypeError(f"{name}: expected real values, got {value.dtype}. Pass {name}.abs() or {name}.real.")
        return value.detach().cpu().to(torch.float64).numpy()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: expected a tensor or an array, got {type(value).__name__}.")
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real values, got {value.dtype}.")
    return value.astype(np.float64)


def _channels_last(shape: tuple[int, ...]) -> bool:
    """Whether three dimensions are (H, W, C), as in Pillow and NumPy."""
    return shape[-1] in (1, 3) and shape[0] not in (1, 3)
