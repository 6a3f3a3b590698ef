"""Which additional arguments of a layer method belong to each example, and which to all examples together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from captum_ext._engine.arguments import PUT_EXAMPLES_FIRST
from captum_ext._engine.batching import split
from captum_ext._engine.forward_args import SharedArgument, repeated, rows_of
from captum_ext._utils.tensors import Tensors, sum_dtype
from captum_ext._utils.warnings import warn

_CLOSE = 0.05  # relative; other rows per pass change rounding, TF32's and bfloat16's too


def wrap_without_rows(args: tuple[Any, ...], examples: int) -> tuple[Any, ...]:
    """The arguments, wrapped where they have no row for each example, as LLMGradientAttribution's target tokens."""
    wrapped = (isinstance(arg, Tensor) and arg.dim() > 0 and len(arg) != examples for arg in args)
    return tuple(SharedArgument(arg.clone()) if wrap else arg for arg, wrap in zip(args, wrapped, strict=True))


class Trials:
    """Passes with other rows than the user's, as the path has them, in which arguments go with their rows or whole.

    Args:
        function: What the path calls: the points, then the arguments.
        points: The points of the trial, one row per example.
        args: The arguments; those of another length are wrapped.
        rows: The most rows of a pass.
        look_ahead: Whether a pass may hold several points of each example.
        inputs: How many of the arguments are inputs.
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
        """The arguments of which their length alone says that they have a row for each example."""
        return [
            k
            for k, argument in enumerate(self._args)
            if isinstance(argument, Tensor) and argument.dim() and len(argument) == self._examples
        ]

    def settle(self, choice: Sequence[int], output: Any, whole_first: bool = False) -> tuple[Any, ...]:
        """The arguments, wrapped where passes with them whole give the output that the user's own pass has.

        Raises:
            ValueError: If no choice runs.

        Warns:
            UserWarning: If none gives that output.
        """
        expected = [torch.cat([output[chunk]] * self._copies) for chunk in self._chunks]
        subsets = [subset for size in range(len(choice) + 1) for subset in combinations(choice, size)]
        best: tuple[int, ...] = ()
        least = float("inf")
        for whole in reversed(subsets) if whole_first else subsets:
            distance = _distance(self._outputs(whole), expected)
            if distance < least:
                best, least = whole, distance
            if distance <= _rounding(output):
                break
        if least == float("inf"):
            raise ValueError(self._failure()) from self._error
        if not least <= _CLOSE:
            warn(
                "forward_func's output for the examples changes when a pass holds other rows than theirs, whether "
                f"{self._named(choice)} are repeated or sliced with the rows or not. Write SharedArgument(argument) "
                f"for what belongs to the whole call, or internal_batch_size={self._examples} for passes of exactly "
                "your examples."
            )
        return self._wrapped(best)

    def settle_unseen(self, choice: Sequence[int]) -> tuple[Any, ...]:
        """The arguments, wrapped where slices do not run, or where both run with other outputs.

        For more examples than a pass may have rows: there is no pass with all of them to compare with. A tensor with
        one row per example hardly fits a pass of some of them as a whole.

        Raises:
            ValueError: If no choice runs.

        Warns:
            UserWarning: If an argument can be used both ways, with other outputs.
        """
        outputs = self._outputs(())
        if outputs is None:
            subsets = [subset for size in range(1, len(choice) + 1) for subset in combinations(choice, size)]
            for subset in subsets:
                if self._outputs(subset) is not None:
                    return self._wrapped(subset)
            raise ValueError(self._failure()) from self._error
        whole: tuple[int, ...] = ()
        for k in choice:
            others = self._outputs((*whole, k))
            if others is not None and not _distance(others, outputs) <= _rounding(others[0]):
                whole, outputs = (*whole, k), others
        if whole:
            warn(
                f"{self._named(whole)} has as many rows as there are examples, {self._examples}, but forward_func also "
                "takes it whole with some of them, and gives other outputs. It is passed on whole. Write "
                f"SharedArgument(argument) if that is right, or internal_batch_size={self._examples} if it has one row "
                "per example."
            )
        return self._wrapped(whole)

    def _wrapped(self, whole: Sequence[int]) -> tuple[Any, ...]:
        # Copied, since forward_func may write to what the user has not wrapped.
        return tuple(SharedArgument(arg.clone()) if k in whole else arg for k, arg in enumerate(self._args))

    def _outputs(self, whole: Sequence[int]) -> list[Tensor] | None:
        """The output of each pass; ``None`` if one fails or has other rows."""
        outputs = []
        for chunk in self._chunks:
            points = tuple(torch.cat([point[chunk]] * self._copies) for point in self._points)
            arguments = repeated(rows_of(self._wrapped(whole), chunk), self._copies)
            try:
                output = self._function(*points, *(arguments or ()))
                fits = isinstance(output, Tensor) and output.dim() > 0 and len(output) == len(points[0])
            except torch.cuda.OutOfMemoryError:
                raise
            except Exception as error:  # a model may raise anything for arguments of unsuitable sizes
                self._error = error
                return None
            if not fits:
                self._error = ValueError(f"its output has no row for each of {len(points[0])} rows")
                return None
            outputs.append(output.detach().clone())
        return outputs

    def _named(self, arguments: Sequence[int]) -> str:
        names = [
            f"inputs[{k}]" if k < self._inputs else f"additional_forward_args[{k - self._inputs}]" for k in arguments
        ]
        return ", ".join(names) or "its arguments"

    def _failure(self) -> str:
        return (
            f"additional_forward_args: forward_func fails in passes of other rows than your {self._examples} examples, "
            f"which the path has: {self._error}. Tensors with one row per example are sliced and repeated along with "
            f"them, others are passed on whole. {PUT_EXAMPLES_FIRST} Write internal_batch_size={self._examples} for "
            "passes of exactly your examples."
        )


def _rounding(output: Tensor) -> float:
    return float(torch.finfo(output.dtype).eps ** 0.5) if output.is_floating_point() else 0.0


def _distance(outputs: list[Tensor] | None, expected: list[Tensor]) -> float:
    """The relative L2 distance of outputs, infinite if they can't be compared."""
    if outputs is None or any(a.shape != b.shape for a, b in zip(outputs, expected, strict=True)):
        return float("inf")
    got, wanted = (torch.cat([part.flatten().to(sum_dtype(part)) for part in parts]) for parts in (outputs, expected))
    same = (got == wanted) | (got.isnan() & wanted.isnan())
    apart = torch.where(same, 0.0, got - wanted).norm()
    distance = 0.0 if bool(same.all()) else float(apart / wanted.nan_to_num(0.0, 0.0, 0.0).norm())
    return distance if distance == distance else float("inf")
