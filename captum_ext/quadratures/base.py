"""What a walk asks of a quadrature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from captum_ext._grid import Grid
from captum_ext._segment import Segment, Tensors

if TYPE_CHECKING:
    from typing_extensions import Self


class RunningSum(ABC):
    """One quadrature over one walk: takes its segments in order and keeps sums only."""

    @abstractmethod
    def update(self, segment: Segment) -> None:
        """Take the next segment into account."""

    @abstractmethod
    def result(self) -> Tensors:
        """The attributions of everything taken so far, one tensor (B, ...) an input."""


@dataclass(frozen=True)
class Quadrature(ABC):
    """How gradients along a path become one attribution.

    Args:
        method: The rule's name, one of ``methods``.

    Raises:
        ValueError: If ``method`` is none of them.
    """

    method: str

    name: ClassVar[str]
    methods: ClassVar[tuple[str, ...]]
    needs_values: ClassVar[bool] = False
    """Whether it asks for F at the points."""
    uses_increments: ClassVar[bool] = True
    """Whether the path's moves are a factor of its attributions."""

    def __post_init__(self) -> None:
        """Refuse a rule that this quadrature does not have."""
        if self.method not in self.methods:
            raise ValueError(
                f"{self.name} has no rule {self.method!r}; it takes one of: {', '.join(self.methods)}. "
                "Leave method out for the default."
            )

    def with_method(self, method: str) -> Self:
        """The same quadrature by another rule."""
        return replace(self, method=method)

    @abstractmethod
    def grid(self, n_steps: int) -> Grid:
        """The points that ``n_steps`` steps of this rule take."""

    @abstractmethod
    def begin(self) -> RunningSum:
        """An empty sum, for one walk."""
