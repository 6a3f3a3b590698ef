"""The interface of backward rules."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable


class Bound(Protocol):
    """A backward rule that is bound to one function."""

    def active(self) -> AbstractContextManager[None]:
        """Return a context in which gradients of the function use the rule."""


@runtime_checkable
class BackwardRule(Protocol):
    """A backward rule: the vector-Jacobian product that a method uses as the gradient."""

    def bind(self, forward_func: Callable[..., Any]) -> Bound:
        """Bind the rule to a function.

        Raises:
            ValueError: If the rule does not support the function.
        """
