"""Distinguish additional arguments with one row per example from those that belong to all examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from captum_ext._engine.arguments import PUT_EXAMPLES_FIRST
from captum_ext._engine.batching import split
from captum_ext._engine.forward_args import SharedArgument, repeated, rows_of
from captum_ext._utils.devices import is_out_of_memory
from captum_ext._utils.tensors import Tensors, sum_dtype
from captum_ext._utils.warnings import warn

_SAME_OUTPUT = 0.05  # relative; the number of rows per pass changes rounding, especially with TF32 and bfloat16


def wrap_without_rows(args: tuple[Any, ...], examples: int) -> tuple[Any, ...]:
    """Wrap arguments without one row per example, such as the target tokens of LLMGradientAttribution."""
    wrapped = (isinstance(arg, Tensor) and arg.dim() > 0 and len(arg) != examples for arg in args)
    return tuple(SharedArgument(arg.clone()) if wrap else arg for arg, wrap in zip(args, wrapped, strict=True))


class ArgumentTrials:
    """Trial passes with other rows than the user's, as on the path, that pass arguments sliced or whole.

    Args:
        function: A function of the points and the arguments.
        points: The points of the trial, one row per example.
        args: The arguments, wrapped if they have another length.
        rows: The most rows of a pass.
        look_ahead: Whether a pass may hold several points of each example.
        inputs: The number of inputs at the start of ``args``.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        points: Tensors,
        args: tuple[Any, ...],
        rows: int,
        look_ahead: bool,
        inputs: int = 0,
    ) -> None:
        self._function, self._points, self._args, self._inputs = function, points, args, inputs
        self._examples = len(points[0])
        self._chunks, nodes = split(points, 2, rows, look_ahead)
        self._copies = nodes[0].stop if self._chunks else 1
        self._error: Exception | None = None
        self.same_rows = len(self._chunks) < 2 and self._copies == 1

    def ambiguous(self) -> list[int]:
        """The arguments with one row per example according to their length alone."""
        return [
            k
            for k, argument in enumerate(self._args)
            if isinstance(argument, Tensor) and argument.dim() and len(argument) == self._examples
        ]

    def settle(self, ambiguous: Sequence[int], output: Any, whole_first: bool = False) -> tuple[Any, ...]:
        """Wrap the ambiguous arguments that must be passed whole to reproduce the output.

        Args:
            ambiguous: Their positions.
            output: F's output in a pass with exactly the user's examples.
            whole_first: Whether to try passing all of them whole first, instead of slicing all of them.

        Raises:
            ValueError: If F fails for every choice.

        Warns:
            UserWarning: If no choice reproduces the output.
        """
        expected = [torch.cat([output[chunk]] * self._copies) for chunk in self._chunks]
        subsets = [subset for size in range(len(ambiguous) + 1) for subset in combinations(ambiguous, size)]
        best: tuple[int, ...] = ()
        shortest = float("inf")
        for whole in reversed(subsets) if whole_first else subsets:
            distance = _output_distance(self._outputs(whole), expected)
            if distance < shortest:
                best, shortest = whole, distance
            if distance <= _rounding(output):
                break
        if shortest == float("inf"):
            raise ValueError(self._failure_message()) from self._error
        if not shortest <= _SAME_OUTPUT:
            warn(
                "forward_func's output for the examples changes if a pass holds other rows too, whether "
                f"{self._names_of(ambiguous)} are repeated or sliced with the rows or not. Write "
                f"SharedArgument(argument) for what belongs to the whole call, or internal_batch_size={self._examples} "
                "for passes of exactly your examples."
            )
        return self._wrap(best)

    def settle_unseen(self, ambiguous: Sequence[int]) -> tuple[Any, ...]:
        """Wrap the ambiguous arguments for which F fails with slices, or runs both ways with different outputs.

        Used if a pass may not hold all examples, so that their joint output is unknown. A tensor with one row per
        example hardly ever fits a pass with some of the examples as a whole.

        Raises:
            ValueError: If F fails for every choice.

        Warns:
            UserWarning: If an argument can be used both ways, with different outputs.
        """
        outputs = self._outputs(())
        if outputs is None:
            subsets = [subset for size in range(1, len(ambiguous) + 1) for subset in combinations(ambiguous, size)]
            for subset in subsets:
                if self._outputs(subset) is not None:
                    return self._wrap(subset)
            raise ValueError(self._failure_message()) from self._error
        whole: tuple[int, ...] = ()
        for k in ambiguous:
            others = self._outputs((*whole, k))
            if others is not None and not _output_distance(others, outputs) <= _rounding(others[0]):
                whole, outputs = (*whole, k), others
        if whole:
            warn(
                f"{self._names_of(whole)} has as many rows as there are examples, {self._examples}, but forward_func "
                "also takes it whole with some of them, and gives other outputs. It is passed on whole. Write "
                f"SharedArgument(argument) if that is right, or internal_batch_size={self._examples} if it has one row "
                "per example."
            )
        return self._wrap(whole)

    def _wrap(self, whole: Sequence[int]) -> tuple[Any, ...]:
        # Copied, because forward_func may write to arguments that the user has not wrapped.
        return tuple(SharedArgument(arg.clone()) if k in whole else arg for k, arg in enumerate(self._args))

    def _outputs(self, whole: Sequence[int]) -> list[Tensor] | None:
        """The output of each pass; ``None`` if one fails or has another number of rows."""
        outputs = []
        for chunk in self._chunks:
            points = tuple(torch.cat([point[chunk]] * self._copies) for point in self._points)
            arguments = repeated(rows_of(self._wrap(whole), chunk), self._copies)
            try:
                output = self._function(*points, *(arguments or ()))
                fits = isinstance(output, Tensor) and output.dim() > 0 and len(output) == len(points[0])
            except Exception as error:  # models raise arbitrary exceptions for arguments of wrong sizes
                if is_out_of_memory(error):
                    raise
                self._error = error
                return None
            if not fits:
                self._error = ValueError(f"its output has no row for each of {len(points[0])} rows")
                return None
            outputs.append(output.detach().clone())
        return outputs

    def _names_of(self, arguments: Sequence[int]) -> str:
        names = [
            f"inputs[{k}]" if k < self._inputs else f"additional_forward_args[{k - self._inputs}]" for k in arguments
        ]
        return ", ".join(names) or "its arguments"

    def _failure_message(self) -> str:
        return (
            f"additional_forward_args: forward_func fails in passes with other rows than your {self._examples} "
            f"examples, which the path needs: {self._error}. Tensors with one row per example are sliced and "
            f"repeated along with them, others are passed whole. {PUT_EXAMPLES_FIRST} Write "
            f"internal_batch_size={self._examples} for passes of exactly your examples."
        )


def _rounding(output: Tensor) -> float:
    return float(torch.finfo(output.dtype).eps ** 0.5) if output.is_floating_point() else 0.0


def _output_distance(outputs: list[Tensor] | None, expected: list[Tensor]) -> float:
    """The relative L2 distance of outputs; infinite if they can't be compared."""
    if outputs is None or any(a.shape != b.shape for a, b in zip(outputs, expected, strict=True)):
        return float("inf")
    first, second = (torch.cat([part.flatten().to(sum_dtype(part)) for part in parts]) for parts in (outputs, expected))
    same = (first == second) | (first.isnan() & second.isnan())
    difference = torch.where(same, 0.0, first - second).norm()
    distance = 0.0 if bool(same.all()) else float(difference / second.nan_to_num(0.0, 0.0, 0.0).norm())
    return distance if distance == distance else float("inf")
