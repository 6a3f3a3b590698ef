"""A quadrature on every k-th point of a finer grid."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from captum_ext._utils.tensors import Tensors
from captum_ext.quadratures.base import Accumulator, Quadrature
from captum_ext.quadratures.grid import Grid, closed_grid
from captum_ext.quadratures.segment import Segment

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Subsampled(Quadrature):
    """A quadrature that uses only every k-th point of a closed grid: several step counts for the cost of the largest.

    On a path whose points do not depend on the number of steps (straight, blur), ``every=4`` with ``n_steps=128`` gives
    the result of the quadrature with 32 steps. If ``every`` does not divide ``n_steps``, the last point that is used is
    before the input; with ``riemann_left``, its cell extends to the end of the path.

    Args:
        quadrature: A quadrature with a rule on the closed grid 0, 1/n, ..., 1.
        every: k, at least 1 and at most ``n_steps``.

    Raises:
        TypeError: If ``every`` is not an integer.
        ValueError: If ``every`` is below 1, or the quadrature has other nodes.

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.quadratures import ImportantDirection, Subsampled
        >>> rules = [Subsampled(ImportantDirection(), every) for every in (4, 2, 1)]
        >>> coarse, medium, fine = PathAttribution(lambda x: (x**3).sum(1)).attribute_each(
        ...     rules, torch.tensor([[1.0, 2.0]]), n_steps=8
        ... )
    """

    method: str = field(init=False)
    quadrature: Quadrature
    every: int

    def __post_init__(self) -> None:
        """Check the number and the quadrature."""
        if type(self.every) is not int:
            raise TypeError(f"every: expected a positive integer, got {type(self.every).__name__}.")
        if self.every < 1:
            raise ValueError(f"every: expected a positive integer, got {self.every}.")
        if self.quadrature.grid(2).steps != 2:
            raise ValueError(
                f"{self.quadrature.name} with {self.quadrature.method} takes gradients between the points of the "
                "closed grid. Use riemann_left, riemann_right or riemann_trapezoid."
            )
        object.__setattr__(self, "method", self.quadrature.method)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the quadrature."""
        return self.quadrature.name

    @property
    def methods(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the quadrature's rules that are on the closed grid."""
        rules = self.quadrature.methods
        return tuple(rule for rule in rules if self.quadrature.with_method(rule).grid(2).steps == 2)

    @property
    def needs_values(self) -> bool:  # type: ignore[override]
        """Whether the quadrature uses F at the points."""
        return self.quadrature.needs_values

    @property
    def uses_increments(self) -> bool:  # type: ignore[override]
        """Whether the quadrature multiplies gradients by the path's moves."""
        return self.quadrature.uses_increments

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """The quadrature's."""
        return self.quadrature.complete

    def with_method(self, method: str) -> Self:
        """The same subsample with another rule."""
        return replace(self, quadrature=self.quadrature.with_method(method))

    def grid(self, n_steps: int) -> Grid:
        """The whole closed grid, which other quadratures can share.

        Raises:
            ValueError: If it has fewer than k steps.
        """
        if self.every > n_steps:
            raise ValueError(f"every: expected at most n_steps={n_steps}, got {self.every}.")
        return closed_grid(n_steps, self.method)

    def init(self) -> Accumulator:
        """Create the accumulator of one integration."""
        return _SubsampledAccumulator(self.quadrature.init(), self.every, self.uses_increments)


class _SubsampledAccumulator(Accumulator):
    """Pass every k-th point on as a separate segment, when the path's move to the next one is known."""

    def __init__(self, inner: Accumulator, every: int, moves: bool) -> None:
        self._inner = inner
        self._every = every
        self._moves = moves
        self._n_points = 0
        self._pending: Segment | None = None
        self._move_before: Tensors = ()  # the path's move from the previous k-th point to the pending one
        self._move_after: Tensors = ()  # the path's move from the pending point to the current one

    def update(self, segment: Segment) -> None:
        moves = segment.increments(0.0, 1.0) if self._moves else ()
        for k in range(len(segment.points[0])):
            if (self._n_points + k) % self._every == 0:
                self._release(segment.grid.nodes[k])
                self._pending = _single_point(segment, k, self._pending)
                self._move_before, self._move_after = self._move_after, tuple(move[k : k + 1] for move in moves)
                if not self._move_before:
                    self._move_before = tuple(0 * move for move in self._move_after)
            else:
                self._move_after = tuple(
                    total + move[k : k + 1] for total, move in zip(self._move_after, moves, strict=True)
                )
        self._n_points += len(segment.points[0])

    def _release(self, end: float) -> None:
        """Pass the pending point to the quadrature, with a cell that ends at ``end``."""
        if self._pending is None:
            return
        moves = self._move_before, self._move_after

        def increments(before: float, after: float) -> Tensors:
            return tuple(before * arriving + after * leaving for arriving, leaving in zip(*moves, strict=True))

        grid = replace(self._pending.grid, upper=(end,))
        self._inner.update(self._pending._replace(increments=increments, grid=grid))

    def result(self) -> Tensors:
        self._release(1.0)
        self._pending = None
        return self._inner.result()


def _single_point(segment: Segment, k: int, previous: Segment | None) -> Segment:
    """The segment of point k, whose cell starts at the previous k-th point."""
    one = segment.of(segment.grid.part(slice(k, k + 1)), k, segment.increments)
    grid = replace(one.grid, lower=one.grid.nodes if previous is None else previous.grid.nodes)
    # The next pass may overwrite the gradients before the point is released.
    return one._replace(gradients=tuple(gradient.clone() for gradient in one.gradients), grid=grid)
