"""Checks of numbers and flags. Booleans do not count as numbers, although Python's are integers."""

from __future__ import annotations

from numbers import Integral, Real
from typing import SupportsFloat, SupportsInt, TypeGuard

import numpy as np


def is_boolean(value: object) -> bool:
    """Whether a value is True or False, Python's or NumPy's."""
    return isinstance(value, bool | np.bool_)


def is_number(value: object) -> TypeGuard[SupportsFloat]:
    """Whether a value is a real number."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_integer(value: object) -> TypeGuard[SupportsInt]:
    """Whether a value is an integer."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_number(name: str, value: object, expected: str = "a number") -> None:
    """Check a real number.

    Raises:
        TypeError: If it is not one.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}.")


def check_integer(name: str, value: object, expected: str = "an integer") -> None:
    """Check an integer.

    Raises:
        TypeError: If it is not one.
    """
    if not is_integer(value):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}.")


def check_positive(name: str, value: object) -> None:
    """Check a count.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is below 1.
    """
    if not is_integer(value):
        raise TypeError(f"{name}: expected a positive integer, got {type(value).__name__}.")
    if value < 1:  # type: ignore[operator]
        raise ValueError(f"{name}: expected a positive integer, got {value}.")
