"""Checks of a method's parts when it is constructed."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np

from captum_ext._utils.numbers import is_boolean, is_integer
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature


def check_parts(forward_func: object, path: object, quadrature: object, backward: object) -> None:
    """Check the types of the parts.

    Raises:
        TypeError: If one has another type, or is a class instead of an instance.
    """
    if hasattr(forward_func, "predict_proba") and not callable(forward_func):
        raise TypeError(
            f"forward_func: expected a torch model or function, got {type(forward_func).__name__}, whose predict_proba "
            "has no gradient. Write the model in torch."
        )
    if not callable(forward_func):
        raise TypeError(f"forward_func: expected a model or a function, got {type(forward_func).__name__}.")
    _check_instance("path", path, Path, "a path such as StraightPath() or BlurPath(max_sigma=20.0)")
    if quadrature is not None:
        _check_instance("quadrature", quadrature, Quadrature, "a quadrature such as ImportantDirection()")
    if backward is not None:
        _check_instance("backward", backward, BackwardRule, "a backward rule such as PatternRule(patterns)")


def check_device_ids(device_ids: object) -> None:
    """Refuse a part in the position of ``device_ids``.

    Raises:
        TypeError: If it is not a list of integers.
    """
    if device_ids is None or (isinstance(device_ids, list | tuple) and all(map(is_integer, device_ids))):
        return
    hint = ""
    for name, kind in (("path", Path), ("quadrature", Quadrature), ("backward", BackwardRule)):
        if isinstance(device_ids, kind):
            hint = f" Write {name}={type(device_ids).__name__}(...)."
    raise TypeError(
        f"device_ids: expected a list of integers or None, got {type(device_ids).__name__}. Parts are named.{hint}"
    )


def check_input_factor(multiply_by_inputs: bool, quadratures: Iterable[Quadrature]) -> None:
    """Check that the factor (inputs - baselines) can be left out if ``multiply_by_inputs`` is False.

    Raises:
        ValueError: If a quadrature does not have this factor.
    """
    for quadrature in quadratures:
        if not (multiply_by_inputs or (quadrature.uses_increments and quadrature.has_input_factor)):
            raise ValueError(
                "multiply_by_inputs=False leaves out the factor (inputs - baselines) of WeightedSum; "
                f"{type(quadrature).__name__} has none. Use multiply_by_inputs=True."
            )


def check_flag(multiply_by_inputs: object) -> None:
    """Check that ``multiply_by_inputs`` is a truth value, which an argument in the wrong position is not.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(multiply_by_inputs, Integral | np.bool_):
        raise TypeError(f"multiply_by_inputs: expected True or False, got {type(multiply_by_inputs).__name__}.")


def check_not_flag(name: str, value: object, expected: str) -> None:
    """Refuse a truth value in the position of Captum's ``multiply_by_inputs``.

    Raises:
        TypeError: If ``value`` is True or False.
    """
    if is_boolean(value):
        raise TypeError(
            f"{name}: expected {expected}, got {value}. If that is Captum's multiply_by_inputs, write "
            f"multiply_by_inputs={value}."
        )


def check_has_factor(name: str, multiply_by_inputs: object) -> None:
    """Refuse ``multiply_by_inputs=False`` for a method without the factor (inputs - baselines).

    Raises:
        ValueError: If it is False.
    """
    check_flag(multiply_by_inputs)
    if not multiply_by_inputs:
        raise ValueError(
            f"multiply_by_inputs=False leaves out the factor (inputs - baselines), which {name} does not have. Use "
            "multiply_by_inputs=True."
        )


def check_quadratures(quadratures: object) -> tuple[Quadrature, ...]:
    """Check several quadratures; return them as a tuple.

    Raises:
        TypeError: If they are not quadratures.
        ValueError: If the sequence is empty.
    """
    if isinstance(quadratures, str | Quadrature) or not isinstance(quadratures, Iterable):
        raise TypeError(
            "quadratures: expected a list, as in [WeightedSum('riemann_trapezoid'), ImportantDirection()], got "
            f"{type(quadratures).__name__}."
        )
    checked = tuple(quadratures)
    if not checked:
        raise ValueError("quadratures: expected at least one, got none.")
    for quadrature in checked:
        _check_instance("quadratures", quadrature, Quadrature, "quadratures such as ImportantDirection()")
    return checked


def _check_instance(name: str, value: object, expected_type: Any, example: str) -> None:
    if isinstance(value, type):
        name_of_class = value.__name__
        raise TypeError(f"{name}: expected {example}, got the class {name_of_class}; write {name_of_class}().")
    if not isinstance(value, expected_type):
        raise TypeError(f"{name}: expected {example}, got {type(value).__name__}.")
