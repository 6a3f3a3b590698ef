"""The gradient of F at path points, and F itself from the same forward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from captum_ext._engine.forward_args import ForwardArgs, repeated, rows_of
from captum_ext._engine.gradients import GradientFunc, one_value_a_row
from captum_ext._engine.memory_format import Layouts, in_layouts
from captum_ext._utils._captum import expand_target
from captum_ext._utils.devices import has_float64, run
from captum_ext._utils.types import TargetType
from captum_ext.quadratures.segment import Tensors


class Evaluator:
    """Evaluates F and its gradient at points of the path, in the inputs' dtype and the layout that suits the model.

    Args:
        forward_func: F.
        gradient_func: Called with Captum's keywords, as Captum's wrappers replace it.
        target: Formatted: ``None``, an index for all rows, or one index a row.
        additional_forward_args: Formatted: tensors have one row an example.
        inputs: The user's inputs, whose dtypes and layouts the model gets.
        needs_values: Whether to keep F from the forward pass of the gradient.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        gradient_func: GradientFunc,
        target: TargetType,
        additional_forward_args: tuple[Any, ...] | None,
        inputs: Tensors,
        needs_values: bool,
    ) -> None:
        self._forward_func = forward_func
        self._gradient_func = gradient_func
        self._target = target
        self._args = additional_forward_args
        self._inputs = inputs
        self._needs_values = needs_values
        self._layouts = Layouts(forward_func, inputs, partial(_example, forward_func, additional_forward_args, inputs))
        self._found = [False]  # whether any pass had a gradient; shared with the evaluators of some rows

    def rows(self, rows: slice | Tensor) -> Evaluator:
        """The same for some of the examples: a slice, or their indices."""
        some = copy.copy(self)
        if isinstance(self._target, Tensor):
            some._target = self._target[rows]
        elif isinstance(self._target, list):
            chosen = range(len(self._target))[rows] if isinstance(rows, slice) else rows.tolist()
            some._target = [self._target[index] for index in chosen]  # type: ignore[assignment]
        some._args = rows_of(self._args, rows)
        return some

    def __call__(self, points: Tensors) -> tuple[Tensor | None, Tensors]:
        """F (K, B), if asked for, and its gradients at points (K, B, ...), in at least float32; copies, to be kept."""
        return self._layouts.attempt(lambda: self._evaluate(points, copy=True))

    def transient(self, points: Tensors) -> tuple[Tensor | None, Tensors]:
        """The same, but the next pass may overwrite the gradients: for who has used them by then."""
        return self._layouts.attempt(lambda: self._evaluate(points, copy=False))

    def _evaluate(self, points: Tensors, copy: bool) -> tuple[Tensor | None, Tensors]:
        steps, rows = points[0].shape[:2]
        flat = self._as_inputs(tuple(point.flatten(0, 1) for point in points))
        target = expand_target(self._target, steps)
        recorder = _Recorder(self._forward_func)
        with torch.enable_grad():
            gradients = self._gradient_func(
                forward_fn=recorder if self._needs_values else self._forward_func,
                inputs=tuple(tensor.requires_grad_() for tensor in flat),
                target_ind=target,
                additional_forward_args=repeated(self._args, steps),
            )
        found = any(gradient is not None for gradient in gradients)
        self._found[0] |= found
        values = None
        if self._needs_values:
            values = _widened(recorder.value(target, steps * rows, found), points[0], copy=True).reshape(steps, rows)
        return values, tuple(
            torch.zeros_like(point) if gradient is None else _widened(gradient, point, copy).reshape(point.shape)
            for gradient, point in zip(gradients, points, strict=True)
        )

    def check_gradient(self) -> None:
        """Call when all is evaluated.

        Raises:
            ValueError: If no forward pass had a gradient.
        """
        if not self._found[0]:
            raise ValueError(
                "forward_func's output does not depend on its inputs (or the layer explained) by differentiable "
                "operations, so it has no gradient. Look for detach(), .data, numpy(), argmax(), long() or "
                "torch.no_grad() in it."
            )

    def value(self, points: Tensors) -> Tensor:
        """F at one point (B, ...) of each example, without gradient; (B,)."""
        return self._layouts.attempt(lambda: self._value(points))

    def _value(self, points: Tensors) -> Tensor:
        # Cloned, since a model that works in place must not get at the caller's tensors.
        inputs = tuple(tensor.clone() for tensor in self._as_inputs(points))
        output = run(self._forward_func, inputs, repeated(self._args, 1))
        return _widened(one_value_a_row(output, self._target, len(points[0])), points[0], copy=True)

    def _as_inputs(self, flat: Tensors) -> Tensors:
        return self._layouts.apply(
            tuple(tensor.detach().to(dtype=float_dtype(like)) for tensor, like in zip(flat, self._inputs, strict=True))
        )


class _Recorder:
    """F, remembering its output and whether a gradient came back through it."""

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        self._forward_func = forward_func
        self._outputs: list[Any] = []
        self._differentiated = False

    def __call__(self, *args: Any) -> Any:
        output = self._forward_func(*args)
        self._outputs.append(output.detach() if isinstance(output, Tensor) else output)
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(self._saw_gradient)
        return output

    def _saw_gradient(self, gradient: Tensor) -> None:
        self._differentiated = True

    def value(self, target: TargetType, rows: int, found: bool) -> Tensor:
        # A gradient that goes in and does not come out is lost inside F, as in quantized layers; check_gradient raises.
        if len(self._outputs) != 1 or (found and not self._differentiated):
            raise ValueError(
                "This quadrature needs the values of F, which it takes from the forward pass that gives the "
                "gradient; but the gradient_func in place differentiates something else than the output of "
                "forward_fn, as Captum's layer and neuron wrappers do. Use WeightedSum there."
            )
        return one_value_a_row(self._outputs[0], target, rows)


def _example(
    forward_func: Callable[..., Any],
    arguments: ForwardArgs,
    inputs: Tensors,
    index: int,
    layouts: list[torch.memory_format],
) -> Any:
    """F's output for one of the examples, given in these layouts as a pass would be."""
    one = slice(index, index + 1)
    row = in_layouts(tuple(tensor[one].detach().to(dtype=float_dtype(tensor)) for tensor in inputs), layouts)
    given = tuple(tensor.clone().requires_grad_().clone() for tensor in row)
    return run(forward_func, given, repeated(rows_of(arguments, one), 1))


def float_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype in which a model is given points between a baseline and this input."""
    return tensor.dtype if tensor.is_floating_point() else torch.get_default_dtype()


def sum_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype of paths, sums and attributions: float32 at least."""
    return torch.promote_types(float_dtype(tensor), torch.float32)


def _widened(result: Tensor, like: Tensor, copy: bool) -> Tensor:
    """What a pass gave, in at least float32 and on the device of ``like``.

    Whatever outlives the pass is copied: a model with static buffers (a CUDA graph) writes the next one to the same
    memory.
    """
    dtype = sum_dtype(result) if has_float64(like.device) else torch.float32
    return result.detach().to(like.device, dtype, copy=copy)
