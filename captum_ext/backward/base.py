"""What a method asks of a backward rule: the vector-Jacobian product that counts as the gradient."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable


class Bound(Protocol):
    """A rule for one function."""

    def active(self) -> AbstractContextManager[None]:
        """A context in which gradients through the function are taken by the rule."""


@runtime_checkable
class BackwardRule(Protocol):
    """A rule that any function may be bound to."""

    def bind(self, forward_func: Callable[..., Any]) -> Bound:
        """The rule for this function; raises ``ValueError`` if it does not fit."""
