"""The interface through which paths evaluate the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import TargetType


class PathEvaluator(Protocol):
    """F and its gradient for the examples of one trajectory, at any points."""

    @property
    def target(self) -> TargetType:
        """The output that F is, ``None``, an index for all examples, or a tensor or list with one for each."""

    @property
    def has_gradient(self) -> bool:
        """Whether there has been a gradient so far."""

    def __call__(self, points: Tensors, keep: bool = False) -> tuple[Tensor | None, Tensors]:
        """F (K, B) and its gradients at points (K, B, ...). F is ``None`` if no quadrature needs it.

        Args:
            points: One tensor (K, B, ...) per input.
            keep: Whether the gradients are copies. Otherwise the next pass may overwrite them.
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

    def outputs(self, points: Tensors) -> Tensor:
        """All outputs at one point (B, ...) of each example, such as the scores of all classes, without gradient.

        Args:
            points: One tensor (B, ...) per input.

        Returns:
            What the function returns, (B, ...).
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

    def at_layer(self, layer: nn.Module) -> PathEvaluator:
        """The output of one of the model's layers as the function, flattened to (B, features).

        Args:
            layer: The module.

        Returns:
            The evaluator, for :meth:`outputs` and :meth:`of_output`.
        """

    def of_output(self, function: Callable[..., Tensor], *arguments: Tensor) -> PathEvaluator:
        """A function of all outputs, such as their distance to those of another input.

        Args:
            function: Takes the outputs (rows, ...) and the rows of ``arguments``; returns one number per row, (rows,).
            *arguments: Tensors with one row per example.

        Returns:
            The evaluator of that function.
        """
