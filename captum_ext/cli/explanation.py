"""The explanation of an image: the class, its probability and the maps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captum_ext.cli.explain_methods import ImageMap, title
from captum_ext.evaluation.method_registry import base_name, method_spec

_LARGE_COMPLETENESS_ERROR, _LARGE_MAP_ERROR = 0.1, 0.25
_SMALL_CHANGE = 1e-3  # of the output; an error relative to it says nothing


@dataclass(frozen=True)
class AttributionMap:
    """One method's map of an image.

    Attributes:
        method: The method's name.
        result: The map and how well it was integrated.
        seconds: The time that it took.
        steps: The number of steps that was asked for, or ``"auto"``.
    """

    method: str
    result: ImageMap
    seconds: float
    steps: int | str

    @property
    def title(self) -> str:
        """The method's name in words."""
        return title(self.method)

    @property
    def completeness_error(self) -> float | None:
        """The difference between the map's sum and the change of the output; ``None`` if the map has no such sum."""
        return None if self.result.delta is None else abs(self.result.delta.item())

    @property
    def relative_error(self) -> float | None:
        """The completeness error relative to the change of the output; ``None`` if that hardly changes."""
        if self.completeness_error is None or self.result.change is None:
            return None
        change = abs(self.result.change.item())
        return self.completeness_error / change if change > _SMALL_CHANGE else None

    @property
    def estimated_error(self) -> float | None:
        """The estimated L2 error of the map relative to its norm; ``None`` if it is not known."""
        diagnostics = self.result.diagnostics
        error = math.nan if diagnostics is None else diagnostics.estimated_error.item()
        return None if math.isnan(error) else error

    @property
    def n_gradients(self) -> int | None:
        """The number of gradients on the path; ``None`` for methods without diagnostics."""
        return None if self.result.diagnostics is None else int(self.result.diagnostics.n_gradients.item())

    @property
    def caption(self) -> str:
        """The cost and the error that says something about the map."""
        return f"{self.cost}, {self.accuracy}"

    @property
    def cost(self) -> str:
        """The run time, and the number of gradients if the method chose it."""
        chosen = self.steps == "auto" and self.n_gradients is not None
        return f"{self.seconds:.1f} s" + (f", {self.n_gradients} gradients" if chosen else "")

    @property
    def accuracy(self) -> str:
        """The estimated error if the sum is exact by construction; otherwise the completeness error."""
        if self.result.exact_sum:
            odd = " (odd steps)" if self.steps != "auto" and int(self.steps) % 2 else ""
            error = self.estimated_error
            return f"error not known{odd}" if error is None else f"estimated error {error:.1%}"
        if self.completeness_error is None:
            return "not complete" + " with patterns" * method_spec(base_name(self.method)).needs_patterns
        share = "" if self.relative_error is None else f" ({self.relative_error:.1%})"
        return f"completeness error {self.completeness_error:.3f}{share}"

    @property
    def warning(self) -> str | None:
        """The error, if it is so large that the map should not be trusted."""
        error, limit = self.relative_error, _LARGE_COMPLETENESS_ERROR
        if self.result.exact_sum:
            error, limit = self.estimated_error, _LARGE_MAP_ERROR
        return f"{self.title} {error:.0%}" if error is not None and error > limit else None

    def as_numbers(self) -> dict[str, Any]:
        """The map's numbers for JSON."""
        return {
            "method": self.method,
            "seconds": self.seconds,
            "n_gradients": self.n_gradients,
            "completeness_error": self.completeness_error,
            "relative_completeness_error": self.relative_error,
            "estimated_error": self.estimated_error,
        }

    def pixels(self) -> NDArray[Any]:
        """The sum over channels, (H, W)."""
        summed: NDArray[Any] = self.result.attributions[0].sum(0).float().cpu().numpy()
        return summed


@dataclass(frozen=True)
class ImageExplanation:
    """An image (H, W, 3) in [0, 1], the class that is explained, and the maps."""

    name: str
    category: str
    target: int
    probability: float
    pixels: NDArray[np.floating[Any]]
    maps: list[AttributionMap]

    @property
    def class_text(self) -> str:
        """The class and its probability."""
        return f"{self.category} ({self.target}), p = {self.probability:.3f}"
