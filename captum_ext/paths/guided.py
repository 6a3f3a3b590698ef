"""The path of Guided Integrated Gradients, which moves the features with small gradients first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from captum_ext._utils.devices import widest_dtype
from captum_ext._utils.numbers import check_number
from captum_ext._utils.tensors import Tensors, by_example
from captum_ext.paths._guided_rounds import DeviceRounds
from captum_ext.paths.base import Path, Trajectory
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.quadratures.grid import Grid

_TOLERANCE = 1e-9  # for the length of a step, as in PAIR's code
_STRIDE = 61  # a prime, so that a sample of an image has pixels from all of its columns
_GROUP = 2**15  # features that move together on a CPU: 256 KB of float64, which fit in its caches


@dataclass(frozen=True)
class GuidedPath(Path):
    """Guided IG's path: at each step the features with the smallest gradient move towards the input first.

    Every example has its own path. The features of all inputs of a tuple are ranked together. The state of the path
    is float64 for any dtype of the inputs (float32 on devices without float64).

    Args:
        fraction: The share of all features, in (0, 1], that moves at a time. Default: 0.25, as in PAIR's
            code (its notebooks use 0.5).
        max_dist: The largest distance of a feature from its position on the straight line, in [0, 1], as a share of
            its distance from start to input. 0 is the straight line; 1 sets no limit. Default: 0.02, as in PAIR's
            code (its notebooks use 1).

    Note:
        On a real network the path is chaotic. On EfficientNet-Lite0 (64 photographs, 16 steps, these defaults)
        two threads instead of one changed the attributions by 39% of their norm (median), and relative noise of
        1e-5 in the gradients changed them by 49%.

    Raises:
        ValueError: If a setting is out of range.

    Reference:
        Kapishnikov et al.: Guided Integrated Gradients: An Adaptive Path Method for Removing Noise. CVPR 2021.
        https://arxiv.org/abs/2106.09788

    Example:
        >>> from captum_ext.attr import IDGI
        >>> from captum_ext.paths import GuidedPath
        >>> method = IDGI(lambda x: torch.exp(x).prod(1), path=GuidedPath(fraction=0.5, max_dist=1.0))
        >>> method.attribute(torch.tensor([[1.0, 2.0]])).shape
        torch.Size([1, 2])
    """

    fraction: float = 0.25
    max_dist: float = 0.02

    look_ahead: ClassVar[bool] = False
    default_method: ClassVar[str] = "riemann_left"

    def __post_init__(self) -> None:
        """Check the settings."""
        for name, value in (("fraction", self.fraction), ("max_dist", self.max_dist)):
            check_number(name, value)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction: expected a share of the features in (0, 1], got {self.fraction}.")
        if not 0 <= self.max_dist <= 1:
            raise ValueError(f"max_dist: expected a share of the distance in [0, 1], got {self.max_dist}.")

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """Start the path of some examples."""
        assert grid.steps is not None, "adapt_grid() returns closed grids"
        return _GuidedTrajectory(inputs, start, grid.steps, self.fraction, self.max_dist, self.rank)

    def rank(self, gradient: Tensor, positions: Tensor, move: Tensor) -> Tensor:
        """Numbers (B, all features) that rank the features; those with the smallest move first.

        Args:
            gradient: F's gradient at the current point.
            positions: How far each feature has moved, from 0 (the start) to 1 (the input).
            move: The whole move of each feature, from the start to the input.

        Returns:
            Numbers that are not negative.
        """
        return gradient.abs()


class _GuidedTrajectory(Trajectory):
    def __init__(
        self,
        inputs: Tensors,
        start: Tensors,
        steps: int,
        fraction: float,
        max_dist: float,
        rank: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> None:
        self._rank = rank
        self._like = inputs
        self._steps = steps
        self._max_dist = max_dist
        wide = widest_dtype(inputs[0].device)
        self._start = _joined_features(start).to(wide)
        self._move = _joined_features(inputs).to(wide) - self._start
        self._distance = self._move.abs()
        self._total = self._distance.sum(1)
        self._lowest = 1 + math.floor(fraction * (self._move.shape[1] - 1))  # as numpy's "lower" quantile
        self._device_rounds = None
        if self._move.device.type != "cpu" and self._move.numel():
            self._device_rounds = DeviceRounds(self._distance, self._total, steps, max_dist, self._lowest, _TOLERANCE)
        self._steps_done = 0
        # Each feature's position between start (0) and input (1) at the previous, the current and the next point.
        self._previous = self._current = self._next = torch.zeros_like(self._move)

    def points(self, grid: Grid) -> Tensors:
        assert len(grid) == 1, "one point at a time"
        self._previous, self._current = self._current, self._next
        return self._split(torch.addcmul(self._start, self._current, self._move))

    def visit(self, grid: Grid, evaluator: PathEvaluator) -> tuple[Tensors, Tensor | None, Tensors]:
        points, values, gradients = super().visit(grid, evaluator)
        if self._steps_done < self._steps:
            self._steps_done += 1
            gradient = _joined_features(tuple(gradient[0] for gradient in gradients))
            ranks = self._rank(gradient, self._current, self._move)
            self._next = self._next_positions(ranks)
        return points, values, gradients

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        move = self._next - self._current
        if (before, after) != (0, 1):  # not the left rule, which is Guided IG's
            move = after * move + before * (self._current - self._previous)
        return self._split(move.mul_(self._move))

    def _next_positions(self, ranks: Tensor) -> Tensor:
        if self._steps_done == self._steps:
            return torch.ones_like(self._current)
        if self._device_rounds is not None:
            return self._device_rounds.next_positions(ranks, self._current, self._steps_done)
        examples, features = ranks.shape
        size = max(1, _GROUP // max(features, 1))
        return torch.cat([self._moved(slice(first, first + size), ranks) for first in range(0, examples, size)])

    def _moved(self, rows: slice, ranks: Tensor) -> Tensor:
        """The next positions of some examples' features, from the features' ranks at the current point."""
        goal = self._steps_done / self._steps
        positions, distance, total = self._current[rows], self._distance[rows], self._total[rows]
        low, high = max(goal - self._max_dist, 0.0), min(goal + self._max_dist, 1.0)
        alpha = positions.clamp(min=low)  # features that are too far behind jump
        room = (high - alpha).mul_(distance)
        remaining = total * (1 - high) + room.sum(1)
        target = total * (1 - goal)
        moving = ~_reached(remaining, target, total)
        # A feature that can't move further is excluded from the ranking.
        rank = _exclude(ranks[rows], _mask(torch.eq, room, 0))
        nothing = torch.full_like(rank[:, 0], -math.inf)
        last, share = nothing, torch.zeros_like(remaining)
        largest = torch.finfo(rank.dtype).max
        # The loop ends because every round moves at least one feature of each moving example to its limit.
        while moving.any():
            threshold = _kth_smallest(rank, self._lowest).clamp(max=largest).where(moving, nothing)
            lowest = _mask(torch.le, rank, threshold.unsqueeze(1))
            reach = (room * lowest).sum(1)
            needed = (remaining - target) / reach
            to_limit = moving & (needed > 1) & (reach > 0)
            last_round = moving & ~to_limit & (reach > 0)
            last, share = threshold.where(last_round, last), needed.where(last_round, share)
            remaining = (remaining - reach).where(to_limit, remaining)
            if to_limit.any():
                rank = _exclude(rank, lowest * to_limit.unsqueeze(1))
            moving = to_limit & ~_reached(remaining, target, total)
        excluded = _mask(torch.eq, rank, math.inf).to(alpha.dtype)
        alpha = alpha.maximum(excluded * high)
        partial = _mask(torch.le, rank, last.unsqueeze(1)) * share.unsqueeze(1)
        return alpha.addcmul_(partial, high - alpha)

    def _split(self, flat: Tensor) -> Tensors:
        """Split (B, all features) into one tensor (1, B, ...) per input."""
        parts = flat.split([math.prod(tensor.shape[1:]) for tensor in self._like], dim=1)
        return tuple(part.to(like.dtype).reshape(1, *like.shape) for part, like in zip(parts, self._like, strict=True))


def _mask(compare: Callable[..., Tensor], values: Tensor, other: Tensor | float) -> Tensor:
    """0 and 1 in the values' dtype. A CPU multiplies with these ten times as fast as it selects with booleans."""
    return compare(values, other, out=torch.empty_like(values))


def _exclude(rank: Tensor, mask: Tensor) -> Tensor:
    """Replace by infinity where the mask is 1."""
    return rank.maximum((mask / (1 - mask)).to(rank.dtype))


def _reached(remaining: Tensor, target: Tensor, total: Tensor) -> Tensor:
    # PAIR's tolerances; the absolute one is in units of the total distance, so that small inputs move too.
    absolute = _TOLERANCE * total.clamp(max=1)
    return (remaining - target).abs() <= torch.maximum(_TOLERANCE * torch.maximum(remaining, target), absolute)


def _kth_smallest(rows: Tensor, k: int) -> Tensor:
    """The k-th smallest entry of each row on the CPU, (rows,)."""
    values = rows.numpy()
    if len(values) > 1:
        return torch.from_numpy(np.partition(values, k - 1, axis=1)[:, k - 1])
    return torch.from_numpy(np.array([_select(values[0], k - 1)], values.dtype))


def _select(values: np.ndarray, index: int) -> float:
    """``np.sort(values)[index]``, from the values between two quantiles of a sample (Floyd and Rivest, 1975)."""
    sample = np.sort(values[::_STRIDE])
    middle, margin = index // _STRIDE, 2 * math.isqrt(len(sample))
    if middle >= margin and middle + margin < len(sample):
        low, high = sample[middle - margin], sample[middle + margin]
        between = values[np.flatnonzero((values >= low) & (values <= high))]
        rest = index - np.count_nonzero(values < low)
        if 0 <= rest < len(between):
            return float(np.partition(between, rest)[rest])
    return float(np.partition(values, index)[index])


def _joined_features(tensors: Tensors) -> Tensor:
    """Join inputs (B, ...) to one tensor (B, all features)."""
    return by_example(tensors[0]) if len(tensors) == 1 else torch.cat([by_example(part) for part in tensors], dim=1)
