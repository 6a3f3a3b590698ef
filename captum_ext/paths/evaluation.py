"""The interface through which paths evaluate the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from captum_ext._utils.tensors import Tensors


class PathEvaluator(Protocol):
    """F and its gradient for the examples of one trajectory, at any points."""

    def __call__(self, points: Tensors) -> tuple[Tensor | None, Tensors]:
        """F (K, B) and its gradients at points (K, B, ...). F is ``None`` if no quadrature needs it.

        The next pass may overwrite the gradients.
        """

    def at(self, points: Tensors) -> tuple[Tensor, Tensors]:
        """F (B,) and its gradients at one point (B, ...) of each example.

        Args:
            points: One tensor (B, ...) per input.

        Returns:
            F, and the gradients with the points' shapes. Later passes do not overwrite them.
        """

    def value(self, points: Tensors) -> Tensor:
        """F at one point (B, ...) of each example, without its gradient, (B,).

        Args:
            points: One tensor (B, ...) per input.
        """

    def rows(self, rows: slice | Tensor) -> PathEvaluator:
        """The evaluator of some of the examples.

        Args:
            rows: A slice, or the examples' indices.

        Returns:
            The evaluator of these examples.
        """

    def with_target(self, target: Any) -> PathEvaluator:
        """The same function for other targets.

        Args:
            target: An int for all examples, or a tensor (B,) with one target per example.

        Returns:
            The evaluator for these targets.
        """

    def with_function(self, function: Callable[..., Tensor]) -> PathEvaluator:
        """Another function of the inputs, such as the distance between a layer's activations and a reference.

        Args:
            function: A function with the arguments of ``forward_func`` that returns one number per row, (rows,).

        Returns:
            The evaluator of that function.
        """
