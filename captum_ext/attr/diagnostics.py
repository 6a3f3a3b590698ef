"""What a call of ``attribute`` did, and how far its result can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_ext._engine.results import Result, sums_of
from captum_ext._utils.numbers import check_integer


@dataclass(frozen=True)
class Diagnostics:
    """How each of B examples was integrated; what ``return_diagnostics=True`` adds.

    Attributes:
        n_gradients: How many gradients were taken, (B,).
        completeness_error: How far the sum of the attributions is from F's change, over that change, (B,). IDGI's is 0
            whatever the steps. NaN where there is nothing to be complete about: by a backward rule, or without the
            factor (inputs - baselines).
        estimated_error: The estimated L2 error of the map, relative to its norm, (B,). By ``n_steps="auto"`` from how
            much the gradients at the two ends of each step disagree. With a number of steps, how much the map changes
            if every other point is left out: for rules on the closed grid and an even number, NaN for others.
        converged: Whether the tolerance was reached, (B,); all true with a number of steps. It is false where F
            changes by more than ``tol`` of its whole change without a gradient that shows it, as at a jump.
        positions: Where on its path each example's gradients were taken, from 0 (the start) to 1 (the input): B
            tensors (K,).
        values: F there: B tensors (K,).
    """

    n_gradients: Tensor
    completeness_error: Tensor
    estimated_error: Tensor
    converged: Tensor
    positions: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @classmethod
    def of(cls, result: Result, complete: bool) -> Diagnostics:
        """The diagnostics of a result; ``complete`` is whether its attributions are to sum to F's change."""
        assert result.delta is not None, "computed with diagnostics"
        delta, records = result.delta, result.records
        error = torch.where(delta == 0, 0.0, delta.abs() / (sums_of(result.attributions) - delta).abs())
        device = delta.device
        return cls(
            torch.tensor([len(record.positions) for record in records], dtype=torch.long, device=device),
            error if complete else torch.full_like(error, torch.nan),
            torch.tensor([record.error for record in records], device=device),
            torch.tensor([record.converged for record in records], dtype=torch.bool, device=device),
            tuple(record.positions for record in records),
            tuple(record.values for record in records),
        )

    def __str__(self) -> str:
        """A table with a row per example."""
        rows = zip(self.n_gradients.tolist(), self.shown_error().tolist(), self.converged.tolist(), strict=True)
        lines = [
            f"{k:7}  {count:9}  {error:6.1%}  {'yes' if done else 'no'}" for k, (count, error, done) in enumerate(rows)
        ]
        return "\n".join(["example  gradients   error  converged", *lines])

    def shown_error(self) -> Tensor:
        """The completeness error, or where that says nothing (IDGI) the estimated error of the map, (B,)."""
        exact = (self.completeness_error < 1e-5) | self.completeness_error.isnan()
        return torch.where(exact & ~self.estimated_error.isnan(), self.estimated_error, self.completeness_error)

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
        axes.set_title(f"{int(self.n_gradients[example])} gradients, each at a mark", fontsize=9)
        axes.grid(alpha=0.3)
        return axes
