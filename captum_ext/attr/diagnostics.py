"""Diagnostics of a call of ``attribute``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_ext._engine.results import Result, sums_of
from captum_ext._utils.numbers import check_integer


@dataclass(frozen=True)
class Diagnostics:
    """The integration of each of B examples, as returned with ``return_diagnostics=True``.

    Attributes:
        n_gradients: The number of gradients, (B,).
        completeness_error: The difference between the attributions' sum and F's change, relative to that change, (B,).
            IDGI's is 0 for any number of steps. NaN with a custom backward rule and without the factor (inputs -
            baselines), where the attributions need not sum to F's change.
        estimated_error: The estimated L2 error of the map, relative to its norm, (B,). With ``n_steps="auto"``, it is
            computed from the difference between the gradients at the ends of each step. With a fixed number of steps,
            it is the change of the map if every other point is left out, or NaN if ``n_steps`` is odd or the rule is
            not on the closed grid.
        converged: Whether the tolerance was reached, (B,); all true with a fixed number of steps. It is false if F
            changes by more than ``tol`` of its whole change without a gradient that explains it, as at a jump.
        positions: The positions of each example's gradients on its path, from 0 (the start) to 1 (the input): B tensors
            (K,).
        values: F at these positions: B tensors (K,).
        number_format: The format that the model computed in, such as ``"float32"``, ``"float32 (TF32 allowed)"`` or
            ``"bfloat16 (autocast)"``. Deltas do not show what it does to the map; see the page "Number formats".
    """

    n_gradients: Tensor
    completeness_error: Tensor
    estimated_error: Tensor
    converged: Tensor
    positions: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    number_format: str = ""

    @classmethod
    def of(cls, result: Result, complete: bool, number_format: str = "") -> Diagnostics:
        """The diagnostics of a result; ``complete`` is whether its attributions should sum to F's change."""
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
            number_format,
        )

    def __str__(self) -> str:
        """A table with one row per example."""
        rows = zip(self.n_gradients.tolist(), self.shown_error().tolist(), self.converged.tolist(), strict=True)
        lines = [
            f"{k:7}  {count:9}  {error:6.1%}  {'yes' if done else 'no'}" for k, (count, error, done) in enumerate(rows)
        ]
        return "\n".join(["example  gradients   error  converged", *lines])

    def shown_error(self) -> Tensor:
        """The completeness error, or the map's estimated error if the former is 0 by construction (IDGI), (B,)."""
        exact = (self.completeness_error < 1e-5) | self.completeness_error.isnan()
        return torch.where(exact & ~self.estimated_error.isnan(), self.estimated_error, self.completeness_error)

    def plot(self, example: int = 0, axes: Any = None) -> Any:
        """Plot F along an example's path. The attributions arise where F changes.

        Args:
            example: The index of the example.
            axes: The matplotlib axes to draw on. Default: those of a new figure.

        Returns:
            The axes.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        check_integer("example", example)
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(figsize=(5, 3), layout="constrained").add_subplot()
        positions, values = self.positions[example].cpu(), self.values[example].detach().float().cpu()
        axes.plot(positions, values, marker="|", markersize=7, linewidth=1.2)
        axes.set_xlabel("position on the path, from its start (0) to the input (1)")
        axes.set_ylabel("output")
        axes.set_title(f"{int(self.n_gradients[example])} gradients (marks)", fontsize=9)
        axes.grid(alpha=0.3)
        return axes
