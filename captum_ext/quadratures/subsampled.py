"""A quadrature on every k-th point of a finer walk."""

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
    """A quadrature that takes only every k-th point of a closed grid: coarse runs for the price of the finest.

    On a path whose points do not depend on the number of steps (straight, blur) the result of ``every=4`` in a walk of
    ``n_steps=128`` is that of the quadrature alone at 32 steps. Where ``every`` does not divide ``n_steps``, the last
    point taken stops short of the input; by ``riemann_left`` its cell reaches to the end of the path.

    Args:
        quadrature: One whose rule is on the closed grid 0, 1/n, ..., 1.
        every: k, from 1 to ``n_steps``.

    Raises:
        TypeError: If ``every`` is no integer.
        ValueError: If it is below 1, or the quadrature takes its gradients elsewhere.

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
        """Refuse what has no subsample."""
        if type(self.every) is not int:
            raise TypeError(f"every: expected a positive integer, got {type(self.every).__name__}.")
        if self.every < 1:
            raise ValueError(f"every: expected a positive integer, got {self.every}.")
        if self.quadrature.grid(2).steps != 2:
            raise ValueError(
                f"{self.quadrature.name} by {self.quadrature.method} takes its gradients between the points of the "
                "closed grid. Use riemann_left, riemann_right or riemann_trapezoid."
            )
        object.__setattr__(self, "method", self.quadrature.method)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The quadrature's."""
        return self.quadrature.name

    @property
    def methods(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the quadrature's rules that are on the closed grid."""
        rules = self.quadrature.methods
        return tuple(rule for rule in rules if self.quadrature.with_method(rule).grid(2).steps == 2)

    @property
    def needs_values(self) -> bool:  # type: ignore[override]
        """The quadrature's."""
        return self.quadrature.needs_values

    @property
    def uses_increments(self) -> bool:  # type: ignore[override]
        """The quadrature's."""
        return self.quadrature.uses_increments

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """The quadrature's."""
        return self.quadrature.complete

    def with_method(self, method: str) -> Self:
        """The same subsample by another rule."""
        return replace(self, quadrature=self.quadrature.with_method(method))

    def grid(self, n_steps: int) -> Grid:
        """The whole closed grid, since the walk is shared.

        Raises:
            ValueError: If it has no k steps.
        """
        if self.every > n_steps:
            raise ValueError(f"every: expected at most n_steps={n_steps}, got {self.every}.")
        return closed_grid(n_steps, self.method)

    def init(self) -> Accumulator:
        """An empty accumulator, for one walk."""
        return _Thinned(self.quadrature.init(), self.every, self.uses_increments)


class _Thinned(Accumulator):
    """Hands every k-th point on as a segment of its own, once the path's move to the next one is known."""

    def __init__(self, inner: Accumulator, every: int, moves: bool) -> None:
        self._inner = inner
        self._every = every
        self._moves = moves
        self._seen = 0
        self._held: Segment | None = None
        self._behind: Tensors = ()  # the path's move from the point before the held one to it
        self._ahead: Tensors = ()  # and from it to the point now reached

    def update(self, segment: Segment) -> None:
        moves = segment.increments(0.0, 1.0) if self._moves else ()
        for k in range(len(segment.points[0])):
            if (self._seen + k) % self._every == 0:
                self._hand_on(segment.grid.nodes[k])
                self._held = _one(segment, k, self._held)
                self._behind, self._ahead = self._ahead, tuple(move[k : k + 1] for move in moves)
                if not self._behind:
                    self._behind = tuple(0 * move for move in self._ahead)
            else:
                self._ahead = tuple(ahead + move[k : k + 1] for ahead, move in zip(self._ahead, moves, strict=True))
        self._seen += len(segment.points[0])

    def _hand_on(self, reached: float) -> None:
        """Give the held point to the quadrature; its cell ends at the point that is reached."""
        if self._held is None:
            return
        behind, ahead = self._behind, self._ahead

        def increments(before: float, after: float) -> Tensors:
            return tuple(before * back + after * on for back, on in zip(behind, ahead, strict=True))

        grid = replace(self._held.grid, upper=(reached,))
        self._inner.update(self._held._replace(increments=increments, grid=grid))

    def result(self) -> Tensors:
        self._hand_on(1.0)
        self._held = None
        return self._inner.result()


def _one(segment: Segment, k: int, last: Segment | None) -> Segment:
    """One point, whose cell begins at the last one that was taken."""
    one = segment.of(segment.grid.part(slice(k, k + 1)), k, segment.increments)
    grid = replace(one.grid, lower=one.grid.nodes if last is None else last.grid.nodes)
    # Held until after the next pass, which may overwrite the gradients.
    return one._replace(gradients=tuple(gradient.clone() for gradient in one.gradients), grid=grid)
