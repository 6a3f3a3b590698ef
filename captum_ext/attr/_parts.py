"""The parts of a method, checked when it is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from captum_ext._utils.numbers import is_boolean, is_integer
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature


def check_parts(forward_func: object, path: object, quadrature: object, backward: object) -> None:
    """Check that each part is an object of its kind.

    Raises:
        TypeError: If one is something else, such as the class itself.
    """
    if not callable(forward_func):
        raise TypeError(f"forward_func: expected a model or a function, got {type(forward_func).__name__}.")
    _check("path", path, Path, "a path such as StraightPath() or BlurPath(max_sigma=20.0)")
    if quadrature is not None:
        _check("quadrature", quadrature, Quadrature, "a quadrature such as ImportantDirection()")
    if backward is not None:
        _check("backward", backward, BackwardRule, "a backward rule such as PatternRule(patterns)")


def check_input_factor(multiply_by_inputs: bool, quadratures: Iterable[Quadrature]) -> None:
    """Check that the factor (inputs - baselines) can be left out if it shall be.

    Raises:
        ValueError: If a quadrature has none.
    """
    for quadrature in quadratures:
        if not (multiply_by_inputs or (quadrature.uses_increments and quadrature.has_input_factor)):
            raise ValueError(
                "multiply_by_inputs=False leaves out the factor (inputs - baselines) of WeightedSum; "
                f"{type(quadrature).__name__} has none. Use multiply_by_inputs=True."
            )


def check_flag(multiply_by_inputs: object) -> None:
    """Check that ``multiply_by_inputs`` is a truth value, and not another argument in its place.

    Raises:
        TypeError: If it is something else.
    """
    if not (is_boolean(multiply_by_inputs) or is_integer(multiply_by_inputs)):
        raise TypeError(f"multiply_by_inputs: expected True or False, got {_name(multiply_by_inputs)}.")


def check_not_flag(name: str, value: object, expected: str) -> None:
    """Check that the argument in the place of Captum's ``multiply_by_inputs`` is no truth value.

    Raises:
        TypeError: If it is one.
    """
    if is_boolean(value):
        raise TypeError(
            f"{name}: expected {expected}, got {value}. If that is Captum's multiply_by_inputs, write "
            f"multiply_by_inputs={value}."
        )


def check_has_factor(name: str, multiply_by_inputs: object) -> None:
    """Check that a method without the factor (inputs - baselines) is not asked to leave it out.

    Raises:
        ValueError: If it is.
    """
    check_flag(multiply_by_inputs)
    if not multiply_by_inputs:
        raise ValueError(
            f"multiply_by_inputs=False leaves out the factor (inputs - baselines), which {name} does not have. Use "
            "multiply_by_inputs=True."
        )


def check_quadratures(quadratures: object) -> tuple[Quadrature, ...]:
    """Several quadratures as a tuple.

    Raises:
        TypeError: If they are not quadratures.
        ValueError: If there are none.
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
        _check("quadratures", quadrature, Quadrature, "quadratures such as ImportantDirection()")
    return checked


def _check(name: str, value: object, kind: Any, example: str) -> None:
    if isinstance(value, type) or not isinstance(value, kind):
        got = f"the class {value.__name__}; write {value.__name__}()" if isinstance(value, type) else _name(value)
        raise TypeError(f"{name}: expected {example}, got {got}.")


def _name(value: object) -> str:
    return type(value).__name__
