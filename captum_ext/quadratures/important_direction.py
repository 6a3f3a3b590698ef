"""IDGI's quadrature: the change of F on each step, shared in proportion to the squared gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors, by_example, by_node, numbers_like, per_node, squared_norms, sum_dtype
from captum_ext._utils.types import TensorOrTuple
from captum_ext.quadratures.base import Accumulator, Pair, Quadrature
from captum_ext.quadratures.grid import Grid, closed_grid
from captum_ext.quadratures.segment import Segment

# The shares of the step to a point and of the step from it that the direction at that point gets. The points of the
# grid cycle through these pairs.
_SHARES = {
    "riemann_left": ((0.0, 1.0),),
    "riemann_right": ((1.0, 0.0),),
    "riemann_trapezoid": ((0.5, 0.5),),
    "riemann_middle": ((0.0, 0.0), (1.0, 1.0)),
}


@dataclass(frozen=True)
class ImportantDirection(Quadrature):
    r"""IDGI's quadrature: :math:`\sum_j \frac{g_j^2}{\|g_j\|^2} (F_{j+1} - F_j)`.

    The features share the change of F on each step in proportion to their squared gradients. The direction of the path
    does not matter.

    Args:
        method: The position on each step at which the direction is taken. With ``n_steps=N``:

            - ``"riemann_left"`` (default): the start, the published rule; N + 1 points;
            - ``"riemann_right"``: the end; N + 1 points;
            - ``"riemann_trapezoid"``: both ends, whose directions are averaged; N + 1 points, about half the
              error of the published rule for a smooth F;
            - ``"riemann_middle"``: the middle; 2 N + 1 points.

    Note:
        A step whose gradient is zero adds nothing (the reference code divides 0 by 0). With the trapezoid rule, both
        ends of the step must have a zero gradient. *For any number of steps*, the attributions sum to
        F(end) - F(start) minus the change of F on such steps. The convergence delta measures only these steps and
        not the distance of the attributions from their limit; to estimate that, compare n with 2n steps.

    Raises:
        ValueError: If ``method`` is not one of the four.

    Reference:
        Yang, Wang, Bilgic: IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients.
        CVPR 2023. https://arxiv.org/abs/2303.14242

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.quadratures import ImportantDirection
        >>> method = PathAttribution(lambda x: x @ torch.tensor([3.0, 4.0]), quadrature=ImportantDirection())
        >>> method.attribute(torch.tensor([[25.0, 0.0]]))  # F changes by 75, shared 9 : 16
        tensor([[27.0000, 48.0000]])
    """

    method: str = "riemann_left"

    name: ClassVar[str] = "ImportantDirection (IDGI's quadrature)"
    methods: ClassVar[tuple[str, ...]] = tuple(_SHARES)
    needs_values: ClassVar[bool] = True
    uses_increments: ClassVar[bool] = False

    def grid(self, n_steps: int) -> Grid:
        """All points 0, 1/n, ..., 1; for the middle rule, also the points halfway between them."""
        return closed_grid(n_steps * len(_SHARES[self.method]), self.method)

    def init(self) -> Accumulator:
        """Create the accumulator of one integration."""
        return _DirectionSum(_SHARES[self.method])

    def for_adaptive_steps(self) -> Quadrature:
        """The trapezoid rule, whose points remain when steps are halved."""
        return self.with_method("riemann_trapezoid")

    def interval_errors(
        self,
        values: Pair,
        gradients: tuple[Tensors, Tensors],
        moves: Tensors,
        positions: Pair,
        velocities: tuple[Tensors, Tensors],
    ) -> Tensor:
        """The distance from the mean of the two ends' attributions, each with the whole change of F, to either."""
        differences = [before - after for before, after in zip(*map(_directions, gradients), strict=True)]
        return (values[1] - values[0]).abs() * squared_norms(differences).sqrt() / 2


class _Points(NamedTuple):
    """The squared gradients at K consecutive points."""

    squares: Tensors  # scaled so that the largest of each point is 1; one (K, B, ...) per input
    norm: Tensor  # the sum over all features, (K, B): at least 1, even for a zero gradient
    values: Tensor  # F, (K, B)
    other_share: Tensor | None  # the share of a step that its other end gets, (K, B): 1/2, or 1 if this gradient is 0

    def last(self) -> _Points:
        other_share = None if self.other_share is None else self.other_share[-1:]
        return _Points(tuple(square[-1:] for square in self.squares), self.norm[-1:], self.values[-1:], other_share)


class _DirectionSum(Accumulator):
    def __init__(self, shares: tuple[tuple[float, float], ...]) -> None:
        self._shares = shares
        self._halves = shares == _SHARES["riemann_trapezoid"]
        self._n_points = 0
        self._previous: _Points | None = None
        self._total: Tensors | None = None

    def update(self, segment: Segment) -> None:
        new, previous = self._points(segment), self._previous
        count = len(new.norm)
        arriving, leaving = zip(
            *(self._shares[(self._n_points + k) % len(self._shares)] for k in range(count)), strict=True
        )
        if self._total is None:
            self._total = tuple(torch.zeros_like(square[0]) for square in new.squares)
        elif previous is not None and self._shares[(self._n_points - 1) % len(self._shares)][1]:
            # The step between two segments needs F at the first point of the later one.
            step = new.values[:1] - previous.values
            self._add(previous, step if new.other_share is None else step * new.other_share[:1])
        weights = []
        if any(leaving) and (count > 1 or not any(arriving)):
            after = _shifted_back(new.values) - new.values  # 0 for the last point
            other = None if new.other_share is None else _shifted_back(new.other_share)
            weights.append(self._weigh(after, leaving, other))
        if any(arriving):
            before = new.values - _shifted(new.values, None if previous is None else previous.values)
            other = previous.other_share if previous is not None else None
            other = None if new.other_share is None else _shifted(new.other_share, other)
            weights.append(self._weigh(before, arriving, other))
        self._add(new, sum(weights[1:], weights[0]) if weights else new.values - new.values)
        self._previous = new.last()
        self._n_points += count

    def _weigh(self, steps: Tensor, shares: tuple[float, ...], other_share: Tensor | None) -> Tensor:
        """The share of each point's step, (K, B)."""
        if other_share is not None:
            return steps * other_share
        return steps if all(share == 1 for share in shares) else steps * numbers_like(shares, steps).unsqueeze(1)

    def _points(self, segment: Segment) -> _Points:
        assert segment.values is not None, "this quadrature needs values"
        dtype = segment.values.dtype
        for gradient in segment.gradients:
            dtype = torch.promote_types(dtype, gradient.dtype)
        gradients = tuple(gradient.to(dtype) for gradient in segment.gradients)
        # Scale before squaring, because the square of a small float32 gradient would underflow.
        maxima = [by_node(gradient.detach()).abs().amax(2) for gradient in gradients if gradient.numel()]
        largest = maxima[0] if maxima else torch.zeros_like(segment.values, dtype=dtype)
        for maximum in maxima[1:]:
            largest = torch.maximum(largest, maximum)
        is_zero = largest == 0
        scale = largest + is_zero
        scaled = (gradient / per_node(scale, gradient) for gradient in gradients)
        squares = tuple(part.square() if part.requires_grad else part.square_() for part in scaled)
        norms = [by_node(square).sum(2) for square in squares]
        norm = (norms[0] if len(norms) == 1 else torch.stack(norms).sum(0)) + is_zero
        other_share = (is_zero.to(dtype) + 1) / 2 if self._halves else None
        return _Points(squares, norm, segment.values.to(dtype), other_share)

    def _add(self, points: _Points, weights: Tensor) -> None:
        """Add K points, each with its share of F's changes, (K, B)."""
        assert self._total is not None, "the first segment sets it"
        weights = weights / points.norm
        for total, square in zip(self._total, points.squares, strict=True):
            parts = square * per_node(weights, square)
            total += parts[0] if len(parts) == 1 else parts.sum(0)

    def result(self) -> Tensors:
        assert self._total is not None, "a walk has at least one segment"
        return self._total


def _shifted_back(rows: Tensor) -> Tensor:
    """The next row in place of each, and the last one again."""
    return rows if len(rows) == 1 else torch.cat([rows[1:], rows[-1:]])


def _shifted(rows: Tensor, first: Tensor | None) -> Tensor:
    """The previous row in place of each; of the first row ``first``, or itself."""
    first = rows[:1] if first is None else first
    return first if len(rows) == 1 else torch.cat([first, rows[:-1]])


def _directions(gradients: Tensors) -> Tensors:
    """Each feature's share of K squared gradients (K, ...). The shares sum to 1, or to 0 for a zero gradient."""
    largest = [by_example(part).abs().amax(1) for part in gradients if part.numel()]
    scale = torch.stack(largest).amax(0) if largest else gradients[0].new_ones(len(gradients[0]))
    scale = torch.where(scale == 0, 1, scale)
    squares = tuple((part / per_node(scale, part)).square() for part in gradients)
    total = torch.stack([by_example(part).sum(1) for part in squares]).sum(0).clamp(min=1e-30)
    return tuple(part / per_node(total, part) for part in squares)


def idgi(gradients: TensorOrTuple, values: Tensor, method: str = "riemann_left") -> TensorOrTuple:
    """Compute IDGI from stored gradients and values along any path, with the interface of the published code.

    Args:
        gradients: The gradients of F at the N points of the path in order, (N, ...), or
            (N, B, ...) for B examples at once; or a tuple of such tensors for several inputs.
        values: F at the points, (N,) or (N, B).
        method: A rule of :class:`ImportantDirection`. For ``riemann_middle`` the points are alternately ends and
            middles of steps, so their number is odd. Default: the published ``riemann_left``, which does not use
            the last gradient.

    Returns:
        The attributions, (...) or (B, ...), a tuple if ``gradients`` is one.

    Raises:
        TypeError: If the gradients or values are not tensors.
        ValueError: If the shapes do not match, there are fewer than two points, or ``method`` is unknown.

    Reference:
        Yang, Wang, Bilgic: IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients.
        CVPR 2023. https://arxiv.org/abs/2303.14242

    Example:
        >>> from captum_ext.quadratures import idgi
        >>> idgi(torch.tensor([[3.0, 4.0], [3.0, 4.0]]), torch.tensor([0.0, 75.0]))
        tensor([27., 48.])
    """
    parts: Tensors = gradients if isinstance(gradients, tuple) else (gradients,)
    if not parts or not all(isinstance(tensor, Tensor) for tensor in (*parts, values)):
        raise TypeError("idgi: expected tensors. Write torch.stack(list_of_tensors), or torch.as_tensor(array).")
    if values.dim() not in (1, 2) or len(values) < 2:
        raise ValueError(f"values: expected (N,) or (N, B) with N >= 2 points, got {tuple(values.shape)}.")
    if any(part.shape[: values.dim()] != values.shape for part in parts):
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise ValueError(
            f"gradients: expected values' shape {tuple(values.shape)} followed by the features, got {shapes}."
        )
    quadrature = ImportantDirection(method)
    if method == "riemann_middle" and len(values) % 2 == 0:
        raise ValueError(f"method: riemann_middle needs an odd number of points, got {len(values)}.")
    one_example = values.dim() == 1
    accumulator = quadrature.init()
    stored = [part.to(sum_dtype(part)) for part in (values, *parts)]
    in_batches = [part.unsqueeze(1) for part in stored] if one_example else stored
    path_values, path_gradients = in_batches[0], tuple(in_batches[1:])
    # IDGI uses neither the points nor the moves.
    segment = Segment((), path_values, path_gradients, lambda *_: (), closed_grid(len(values) - 1))
    accumulator.update(segment)
    result = tuple(part[0] if one_example else part for part in accumulator.result())
    return result if isinstance(gradients, tuple) else result[0]
