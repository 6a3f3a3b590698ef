"""The gradient of F at path points, and F itself from the same forward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._engine.activations import LayerHooks
from captum_ext._engine.forward_args import ForwardArgs, repeated, rows_of
from captum_ext._engine.gradients import GradientFunc, check_outputs, compute_gradients, select_target
from captum_ext._engine.memory_format import MemoryFormats, in_layouts
from captum_ext._utils._captum import expand_target
from captum_ext._utils.devices import has_float64, run
from captum_ext._utils.tensors import Tensors, by_example, float_dtype, sum_dtype
from captum_ext._utils.types import TargetType


class Evaluator:
    """Evaluates F and its gradient at points of the path, in the inputs' dtype and the layout that suits the model.

    Args:
        forward_func: F.
        gradient_func: Called with Captum's keywords, as Captum's wrappers replace it.
        target: Formatted: ``None``, an index for all rows, or one index a row.
        additional_forward_args: Formatted: tensors have one row an example.
        inputs: The user's inputs, whose dtypes and layouts the model gets.
        needs_values: Whether to keep F from the forward pass of the gradient.
        create_graph: Whether what it gives can be differentiated.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        gradient_func: GradientFunc,
        target: TargetType,
        additional_forward_args: tuple[Any, ...] | None,
        inputs: Tensors,
        needs_values: bool,
        create_graph: bool = False,
    ) -> None:
        self._forward_func = forward_func
        self._gradient_func = gradient_func
        self._target = target
        self._args = additional_forward_args
        self._inputs = inputs
        self._needs_values = needs_values
        self._create_graph = create_graph
        self._formats = MemoryFormats(
            forward_func, inputs, partial(_example, forward_func, additional_forward_args, inputs)
        )
        self._found = [False]  # whether any pass had a gradient; shared with the evaluators of some rows

    @property
    def target(self) -> TargetType:
        """Which output F is, formatted."""
        return self._target

    @property
    def has_gradient(self) -> bool:
        """Whether there has been a gradient so far."""
        return self._found[0]

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

    def with_target(self, target: TargetType) -> Evaluator:
        """The same function for other targets: an int, or a tensor (B,)."""
        other = copy.copy(self)
        other._target = target
        return other

    def with_function(self, function: Callable[..., Tensor]) -> Evaluator:
        """Another function of the inputs and additional arguments, with one number per row."""
        other = Evaluator(function, compute_gradients, None, self._args, self._inputs, True)
        other._found = self._found
        return other

    def at_layer(self, layer: nn.Module) -> Evaluator:
        """The output of a layer as the function, flattened to (B, features)."""
        other = copy.copy(self)
        other._forward_func = partial(_layer_output, self._forward_func, layer)
        other._target = None
        return other

    def of_output(self, function: Callable[..., Tensor], *arguments: Tensor) -> Evaluator:
        """A function of all outputs and of tensors with one row per example."""
        other = copy.copy(self)
        other._forward_func = partial(_composed, function, self._forward_func, len(arguments))
        other._gradient_func = compute_gradients
        other._args = (*(self._args or ()), *arguments)
        other._target = None
        other._found = [False]
        return other

    def __call__(self, points: Tensors, keep: bool = False) -> tuple[Tensor | None, Tensors]:
        """F (K, B), if asked for, and its gradients at points (K, B, ...), in at least float32.

        The next pass may overwrite the gradients, unless they are to be kept.
        """
        return self._formats.attempt(lambda: self._evaluate(points, keep))

    def at(self, points: Tensors) -> tuple[Tensor, Tensors]:
        """F (B,) and its gradients at one point (B, ...) of each example; copies."""
        valued = copy.copy(self)
        valued._needs_values = True
        values, gradients = valued(tuple(point.unsqueeze(0) for point in points), keep=True)
        assert values is not None, "asked for"
        return values[0], tuple(gradient[0] for gradient in gradients)

    def _evaluate(self, points: Tensors, copy: bool) -> tuple[Tensor | None, Tensors]:
        steps, rows = points[0].shape[:2]
        flat = self._as_inputs(tuple(point.flatten(0, 1) for point in points))
        target = expand_target(self._target, steps)
        recorder = _Recorder(self._forward_func, self._create_graph)
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
            values = self._widened(recorder.value(target, steps * rows, found), points[0], True).reshape(steps, rows)
        return values, tuple(
            torch.zeros_like(point) if gradient is None else self._widened(gradient, point, copy).reshape(point.shape)
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
        return self._formats.attempt(lambda: self._value(points))

    def _value(self, points: Tensors) -> Tensor:
        output = self._run(points)
        return self._widened(select_target(output, self._target, len(points[0])), points[0], True)

    def outputs(self, points: Tensors) -> Tensor:
        """All outputs at one point (B, ...) of each example, without gradient; (B, ...)."""
        return self._formats.attempt(lambda: self._outputs(points))

    def _outputs(self, points: Tensors) -> Tensor:
        return self._widened(check_outputs(self._run(points), len(points[0])), points[0], True)

    def _run(self, points: Tensors) -> Any:
        # Cloned, since a model that works in place must not get at the caller's tensors.
        inputs = tuple(tensor.clone() for tensor in self._as_inputs(points))
        return run(self._forward_func, inputs, repeated(self._args, 1))

    def _as_inputs(self, flat: Tensors) -> Tensors:
        return self._formats.apply(
            tuple(
                self._detached(tensor).to(dtype=float_dtype(like))
                for tensor, like in zip(flat, self._inputs, strict=True)
            )
        )

    def _detached(self, tensor: Tensor) -> Tensor:
        return tensor if self._create_graph and tensor.requires_grad else tensor.detach()

    def _widened(self, result: Tensor, like: Tensor, copy: bool) -> Tensor:
        """What a pass gave, in at least float32 and on the device of ``like``.

        Whatever outlives the pass is copied: a model with static buffers (a CUDA graph) writes the next one to the same
        memory.
        """
        dtype = sum_dtype(result) if has_float64(like.device) else torch.float32
        return self._detached(result).to(like.device, dtype, copy=copy)


class _Recorder:
    """F, remembering its output and whether a gradient came back through it."""

    def __init__(self, forward_func: Callable[..., Any], create_graph: bool) -> None:
        self._forward_func = forward_func
        self._create_graph = create_graph
        self._outputs: list[Any] = []
        self._differentiated = False

    def __call__(self, *args: Any) -> Any:
        output = self._forward_func(*args)
        detach = isinstance(output, Tensor) and not self._create_graph
        self._outputs.append(output.detach() if detach else output)
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
        return select_target(self._outputs[0], target, rows)


def _layer_output(forward_func: Callable[..., Any], layer: nn.Module, *given: Any) -> Tensor:
    hooked = LayerHooks(forward_func, (layer,), at_input=False)
    with hooked.hooked():
        (tensors,) = hooked.read(given).tensors
    return torch.cat([by_example(tensor) for tensor in tensors], dim=1)


def _composed(function: Callable[..., Tensor], forward_func: Callable[..., Any], count: int, *given: Any) -> Tensor:
    split = len(given) - count
    return function(forward_func(*given[:split]), *given[split:])


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
