"""What a walk asks of a quadrature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from torch import Tensor

from captum_ext._utils.tensors import Tensors
from captum_ext.quadratures.grid import Grid
from captum_ext.quadratures.segment import Segment

if TYPE_CHECKING:
    from typing_extensions import Self

Pair: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class IntegrationErrors:
    """How far one example's attributions may be from their limit.

    Attributes:
        map: The estimated L2 error of the attributions, over their L2 norm.
        completeness: How far their sum is from F(end) - F(start), over that change.
        unexplained: What the trapezoid rule along the path leaves over of F's change on each interval, combined as the
            square root of the sum of squares, over F's whole change. Near 1 if F changes where no gradient was taken.
    """

    map: float
    completeness: float
    unexplained: float


class Accumulator(ABC):
    """One quadrature during one walk: it takes the segments in order and keeps sums only."""

    error_scale: float | Tensor = 1.0
    """The factor that :meth:`result` multiplies the sum by: :meth:`Quadrature.interval_errors` are errors of the sum
    without it."""

    @abstractmethod
    def update(self, segment: Segment) -> None:
        """Take the next segment into account.

        Args:
            segment: The next points of the walk. Its gradients may be overwritten after this call: copy what you keep.
        """

    @abstractmethod
    def result(self) -> Tensors:
        """The attributions of everything taken so far, one tensor (B, ...) per input."""


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
    has_input_factor: ClassVar[bool] = True
    """If the moves are a factor: whether ``multiply_by_inputs=False`` may leave it out."""
    complete: ClassVar[bool] = True
    """Whether its attributions sum to F(end) - F(start), at least in the limit. If not, there is no delta."""

    def __post_init__(self) -> None:
        """Refuse a rule that this quadrature does not have."""
        if self.method not in self.methods:
            raise ValueError(
                f"{self.name} has no rule {self.method!r}; it takes one of: {', '.join(self.methods)}. "
                "Leave method out for the default."
            )

    def with_method(self, method: str) -> Self:
        """The same quadrature by another rule.

        Args:
            method: The rule's name, one of ``methods``.
        """
        return replace(self, method=method)

    @abstractmethod
    def grid(self, n_steps: int) -> Grid:
        """Where gradients are taken.

        Args:
            n_steps: The number of steps that the user asked for.

        Returns:
            The nodes that this rule takes for them, and their cells.
        """

    @abstractmethod
    def init(self) -> Accumulator:
        """An empty accumulator, for one walk."""

    def for_adaptive_steps(self) -> Quadrature:
        """This quadrature with the rule that ``n_steps="auto"`` takes, whose points stay when steps are halved.

        Adaptive steps hand all points of an example to a new accumulator in one segment, with cells that reach from
        neighbor to neighbor. The rule must have a result for any positions of these.

        Raises:
            ValueError: If this quadrature can't estimate its errors.
        """
        raise ValueError(f"n_steps: {self.name} estimates no errors, so 'auto' can't tell when to stop. Give a number.")

    def interval_errors(
        self, values: Pair, gradients: tuple[Tensors, Tensors], moves: Tensors, positions: Pair
    ) -> Tensor:
        """The estimated L2 error of the map on K intervals of one example's path.

        Args:
            values: F at the two ends of the intervals, each (K,).
            gradients: Its gradient at each end, one tensor (K, ...) per input.
            moves: The way from the one end to the other, shaped as a gradient.
            positions: Where on the path the two ends are, from 0 to 1, each (K,), float64 and on the CPU.

        Returns:
            The errors, (K,), in the units of the accumulator's result over its ``error_scale``.
        """
        raise NotImplementedError

    def relative_error(self, errors: IntegrationErrors) -> float:
        """What ``tol`` is compared with: the largest of all errors unless a quadrature weighs them otherwise."""
        return max(errors.map, errors.completeness, errors.unexplained)
