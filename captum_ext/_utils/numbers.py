"""Checks of numbers from users. A boolean is not a number here, although Python counts it as an integer."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import SupportsFloat, SupportsInt, TypeGuard

import numpy as np


def is_boolean(value: object) -> bool:
    """Whether the value is a boolean of Python or NumPy."""
    return isinstance(value, bool | np.bool_)


def is_number(value: object) -> TypeGuard[SupportsFloat]:
    """Whether the value is a real number."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_integer(value: object) -> TypeGuard[SupportsInt]:
    """Whether the value is an integer."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_number(name: str, value: object, expected: str = "a number") -> None:
    """Check a real number.

    Raises:
        TypeError: If the value is not a real number.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}.")


def check_integer(name: str, value: object, expected: str = "an integer") -> None:
    """Check an integer.

    Raises:
        TypeError: If the value is not an integer.
    """
    if not is_integer(value):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}.")


def count_of_fraction(fraction: float, total: int) -> int:
    """The number of items that make up a fraction of the total, rounded up and at least 1: 0.07 of 100 is 7."""
    return max(1, math.ceil(round(fraction * total, 9)))


def check_positive(name: str, value: object) -> None:
    """Check a positive integer.

    Raises:
        TypeError: If the value is not an integer.
        ValueError: If the value is below 1.
    """
    if not is_integer(value):
        raise TypeError(f"{name}: expected a positive integer, got {type(value).__name__}.")
    if value < 1:  # type: ignore[operator]
        raise ValueError(f"{name}: expected a positive integer, got {value}.")
