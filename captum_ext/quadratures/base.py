"""The interface of quadratures."""

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
    """Estimates of the distance between one example's attributions and their limit.

    Attributes:
        map: The estimated L2 error of the attributions, over their L2 norm.
        completeness: The difference between their sum and F(end) - F(start), over that change.
        unexplained: The difference between F's change on each interval and the trapezoid rule's integral, combined as
            the square root of the sum of squares, over F's change on the whole path. It is close to 1 if F changes
            where no gradient was taken.
    """

    map: float
    completeness: float
    unexplained: float


class Accumulator(ABC):
    """The state of a quadrature during one integration. It consumes the segments in order and keeps only sums."""

    error_scale: float | Tensor = 1.0
    """The factor that :meth:`result` multiplies the sum by: :meth:`Quadrature.interval_errors` are errors of the sum
    without it."""

    @abstractmethod
    def update(self, segment: Segment) -> None:
        """Add the next segment.

        Args:
            segment: The next points of the path. Its gradients may be overwritten after this call; copy what you keep.
        """

    @abstractmethod
    def result(self) -> Tensors:
        """The attributions from all segments so far, one tensor (B, ...) per input."""


@dataclass(frozen=True)
class Quadrature(ABC):
    """A rule that combines gradients along a path into one attribution.

    Args:
        method: The rule's name, one of ``methods``.

    Raises:
        ValueError: If ``method`` is not one of ``methods``.
    """

    method: str

    name: ClassVar[str]
    methods: ClassVar[tuple[str, ...]]
    needs_values: ClassVar[bool] = False
    """Whether the quadrature uses F at the points."""
    uses_increments: ClassVar[bool] = True
    """Whether the quadrature multiplies gradients by the path's moves."""
    has_input_factor: ClassVar[bool] = True
    """If it does: whether ``multiply_by_inputs=False`` may omit them."""
    complete: ClassVar[bool] = True
    """Whether its attributions sum to F(end) - F(start), at least in the limit of many steps. If not, there is no
    delta."""

    def __post_init__(self) -> None:
        """Check the rule."""
        if self.method not in self.methods:
            raise ValueError(
                f"method: expected a rule of {self.name}, one of: {', '.join(self.methods)}; got {self.method!r}. "
                "Omit method for the default."
            )

    def with_method(self, method: str) -> Self:
        """The same quadrature with another rule.

        Args:
            method: The rule's name, one of ``methods``.
        """
        return replace(self, method=method)

    @abstractmethod
    def grid(self, n_steps: int) -> Grid:
        """The nodes at which gradients are taken.

        Args:
            n_steps: The number of steps.

        Returns:
            The nodes of this rule and their cells.
        """

    @abstractmethod
    def init(self) -> Accumulator:
        """Create the accumulator of one integration."""

    def for_adaptive_steps(self) -> Quadrature:
        """This quadrature with its rule for ``n_steps="auto"``, whose points remain when steps are halved.

        Adaptive steps hand all points of an example to a new accumulator in one segment, with cells that reach from
        neighbor to neighbor. The rule must have a result for any positions of these.

        Raises:
            ValueError: If this quadrature can't estimate its errors.
        """
        raise ValueError(f"n_steps: {self.name} does not estimate errors, which 'auto' needs. Pass a number of steps.")

    def interval_errors(
        self,
        values: Pair,
        gradients: tuple[Tensors, Tensors],
        moves: Tensors,
        positions: Pair,
        velocities: tuple[Tensors, Tensors],
    ) -> Tensor:
        """The estimated L2 error of the map on K intervals of one example's path.

        Args:
            values: F at the two ends of the intervals, each (K,).
            gradients: The gradients of F at each end, one tensor (K, ...) per input.
            moves: The path's moves from one end to the other, one tensor (K, ...) per input.
            positions: The positions of the two ends on the path, from 0 to 1, each (K,), float64 and on the CPU.
            velocities: The path's derivative with respect to its position at each end, one tensor (K, ...) per input.

        Returns:
            The errors, (K,), in the units of the accumulator's result over its ``error_scale``.
        """
        raise NotImplementedError

    def relative_error(self, errors: IntegrationErrors) -> float:
        """The error that is compared with ``tol``. Default: the largest of the three."""
        return max(errors.map, errors.completeness, errors.unexplained)
