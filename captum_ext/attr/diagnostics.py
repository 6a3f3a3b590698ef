"""What a call of ``attribute`` did, and how far its result can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_ext._utils.numbers import check_integer
from captum_ext.quadratures.segment import Segment


@dataclass(frozen=True)
class Diagnostics:
    """How each of B examples was integrated; what ``return_diagnostics=True`` adds.

    Attributes:
        gradients: How many gradients were taken, (B,).
        completeness_error: How far the sum of the attributions is from F's change, over that change, (B,). IDGI's is 0
            whatever the steps. NaN where there is nothing to be complete about: by a backward rule, or without the
            factor (inputs - baselines).
        estimated_error: The estimated L2 error of the map, relative to its norm, (B,). By ``n_steps="auto"`` from how
            much the gradients at the two ends of each step disagree. With a number of steps, how much the map changes
            if every other point is left out: for rules on the closed grid and an even number, NaN for others.
        reached: Whether the tolerance was reached, (B,); all true with a number of steps. It is false where F
            changes by more than ``tol`` of its whole change without a gradient that shows it, as at a jump.
        positions: Where on its path each example's gradients were taken, from 0 (the start) to 1 (the input): B
            tensors (K,).
        values: F there: B tensors (K,).
    """

    gradients: Tensor
    completeness_error: Tensor
    estimated_error: Tensor
    reached: Tensor
    positions: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def plot(self, example: int = 0, axes: Any = None) -> Any:
        """Draw F along an example's path: where it changes is where attributions come from.

        Args:
            example: Which.
            axes: Matplotlib axes to draw on. Default: a new figure's.

        Returns:
            The axes.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        check_integer("example", example)
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(figsize=(5, 3), layout="constrained").add_subplot()
        at, values = self.positions[example].cpu(), self.values[example].detach().float().cpu()
        axes.plot(at, values, marker="|", markersize=7, linewidth=1.2)
        axes.set_xlabel("position on the path, from its start (0) to the input (1)")
        axes.set_ylabel("output")
        axes.set_title(f"{int(self.gradients[example])} gradients, each at a mark", fontsize=9)
        axes.grid(alpha=0.3)
        return axes


class Trail:
    """Keeps F's values along walks of so many nodes, chunk of examples after chunk."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._chunks: list[list[Tensor]] = []

    def __call__(self, segment: Segment) -> None:
        """Take the next segment's values."""
        assert segment.values is not None, "asked for"
        if not self._chunks or sum(map(len, self._chunks[-1])) == self._nodes:
            self._chunks.append([])
        self._chunks[-1].append(segment.values)

    def values(self) -> Tensor:
        """F, (B, nodes)."""
        return torch.cat([torch.cat(chunk).T for chunk in self._chunks]) if self._chunks else torch.empty(0, 0)
