"""The steps of Guided IG's path on devices where each operation is a launch and each question a wait of the host."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from captum_ext._utils.tensors import numbers_like

_ROUNDS = 4  # at a time: all that a fraction of 0.25 can take


class DeviceRounds:
    """The rounds of :class:`~captum_ext.paths.GuidedPath` in a fixed number of operations.

    Four rounds are computed at a time for all examples. The host asks whether an example needs more only if four
    rounds may not move all features.

    Args:
        distance: The distance of each feature from the start to the input, (B, features).
        total: The sum of the distances, (B,).
        steps: The number of steps.
        max_dist: The largest distance from the straight line.
        lowest: The number of features that move in a round.
        tolerance: The relative tolerance of the remaining distance.
    """

    def __init__(
        self, distance: Tensor, total: Tensor, steps: int, max_dist: float, lowest: int, tolerance: float
    ) -> None:
        goals = [step / steps for step in range(1, steps + 1)]
        self._distance = distance
        self._lowest = lowest
        self._tolerance = tolerance
        self._high = [min(goal + max_dist, 1.0) for goal in goals]
        self._low = [max(goal - max_dist, 0.0) for goal in goals]
        # Remaining distances, with a minus, one row per step: (steps, B).
        self._target = numbers_like([1 - goal for goal in goals], total).unsqueeze(1) * total
        self._negative_scale = -torch.maximum(self._target, total.clamp(max=1))
        self._negative_rest = numbers_like([high - 1 for high in self._high], total).unsqueeze(1) * total
        self._infinity = torch.full_like(distance[:, :1], math.inf)  # later in the ranks' dtype
        self._below = -self._infinity

    def next_positions(self, ranks: Tensor, positions: Tensor, step: int) -> Tensor:
        """The positions after a step, which counts from 1.

        Args:
            ranks: The features' ranks, (B, features).
            positions: The positions before it, (B, features).
            step: The number of the step.

        Returns:
            The positions, (B, features).
        """
        row = slice(step - 1, step)
        low, high = self._low[step - 1], self._high[step - 1]
        n_features, lowest = ranks.shape[1], self._lowest
        alpha = positions.clamp(min=low)  # features that are too far behind jump
        way = high - alpha
        room = way * self._distance
        # Features that can't move further are excluded from the ranking.
        key = ranks.masked_fill(room == 0, math.inf)
        ordered = key.sort(dim=1).values
        if self._infinity.dtype != ordered.dtype:
            self._infinity = self._infinity.to(ordered.dtype)
            self._below = -self._infinity
        kth = torch.cat([ordered, self._infinity.expand(-1, lowest)], 1)[:, lowest - 1 :]
        remaining = self._negative_rest[row] - room.sum(1)
        threshold, done = self._below, 0
        while True:
            rounds = min(_ROUNDS, -(-n_features // lowest) - done)
            thresholds = [threshold]
            for k in range(done, done + rounds):
                # Features of equal rank move together.
                begin = torch.searchsorted(ordered, thresholds[-1], right=True) if k else None
                thresholds.append(kth[:, :1] if begin is None else kth.gather(1, begin))
            limits = torch.cat([*thresholds, thresholds[-1]], 1).T  # (rounds + 2, B)
            moved = key <= limits[: rounds + 1].unsqueeze(2)
            reach = (room * (moved[1:] ^ moved[:-1])).sum(2)
            left = torch.cat([remaining, reach]).cumsum(0)
            gap = left + self._target[row]
            unfinished = gap.abs() > torch.minimum(left, self._negative_scale[row]) * -self._tolerance
            needed = gap[:-1] / reach
            to_limit = needed < -1
            moving = torch.cat([unfinished[:1], to_limit & unfinished[1:]]).cumprod(0)
            full = (moving[:-1] * to_limit).sum(0, keepdim=True)  # rounds whose features move to their limit
            threshold = limits.gather(0, full).T
            done += rounds
            if done * lowest >= n_features or not moving[-1].any():
                break
            remaining = left.gather(0, full)
        share = (needed.nan_to_num() * (moving[:-1] > to_limit)).sum(0).unsqueeze(1)
        partial = (key <= limits[1:].gather(0, full).T) * share
        return alpha.addcmul_(partial, way, value=-1).masked_fill_(key <= threshold, high)
