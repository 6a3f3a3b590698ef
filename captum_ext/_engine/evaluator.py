"""F and its gradient at points of the path, from one forward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._engine.activations import LayerHooks
from captum_ext._engine.forward_args import ForwardArgs, repeated, rows_of, select_rows
from captum_ext._engine.gradients import GradientFunc, OutputError, check_outputs, compute_gradients, select_target
from captum_ext._engine.memory_format import MemoryFormats, in_layouts
from captum_ext._engine.out_of_memory import RowLimit
from captum_ext._utils._captum import expand_target
from captum_ext._utils.devices import has_float64, run
from captum_ext._utils.targets import derived_indices
from captum_ext._utils.tensors import Tensors, by_example, float_dtype, sum_dtype
from captum_ext._utils.types import TargetType
from captum_ext._utils.warnings import warn


class Evaluator:
    """Evaluates F and its gradient at points, in the inputs' dtype and in the memory format that suits the model.

    Args:
        forward_func: F.
        gradient_func: Called with Captum's keywords, because Captum's wrappers replace it.
        target: Formatted: ``None``, an index for all rows, or one index per row.
        additional_forward_args: Formatted: tensors have one row per example.
        inputs: The user's inputs, which determine the dtypes and layouts.
        needs_values: Whether to return F from the gradient's forward pass.
        create_graph: Whether values and gradients can be differentiated.
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
        self._repeated_targets: dict[int, TargetType] = {}  # by the number of points of each example
        self._args = self._all_args = additional_forward_args  # of these rows, and of all examples
        self._inputs = inputs  # of all examples
        self._needs_values = needs_values
        self._create_graph = create_graph
        self._formats = MemoryFormats(
            forward_func, inputs, partial(_evaluate_example, forward_func, additional_forward_args, inputs)
        )
        # Whether there was a gradient in any pass, and how many rows fit; shared with the evaluators of some rows.
        self._any_gradient = [False]
        self._limit = RowLimit()

    @property
    def target(self) -> TargetType:
        """The formatted target."""
        return self._target

    @property
    def has_gradient(self) -> bool:
        """Whether there has been a gradient so far."""
        return self._any_gradient[0]

    def rows(self, rows: slice | Tensor) -> Evaluator:
        """The evaluator for some of the examples: a slice, or their indices."""
        some = copy.copy(self)
        some._repeated_targets = {}
        if isinstance(self._target, Tensor):
            some._target = derived_indices(select_rows(self._target, rows), self._target)
        elif isinstance(self._target, list):
            chosen = range(len(self._target))[rows] if isinstance(rows, slice) else rows.tolist()
            some._target = [self._target[index] for index in chosen]  # type: ignore[assignment]
        some._args = rows_of(self._args, rows)
        return some

    def with_target(self, target: TargetType) -> Evaluator:
        """The evaluator of the same function for other targets: an int, or a tensor (B,)."""
        other = copy.copy(self)
        other._target = target
        other._repeated_targets = {}
        return other

    def with_function(self, function: Callable[..., Tensor]) -> Evaluator:
        """The evaluator of another function of inputs and additional arguments, with one number per row."""
        # Made for all examples, because the memory format is chosen by one of them with its additional arguments.
        other = Evaluator(function, compute_gradients, None, self._all_args, self._inputs, True)
        other._args = self._args
        other._any_gradient = self._any_gradient
        other._limit = self._limit
        return other

    def at_layer(self, layer: nn.Module) -> Evaluator:
        """The evaluator of a layer's output, flattened to (B, features)."""
        other = copy.copy(self)
        other._forward_func = partial(_layer_output, self._forward_func, layer)
        other._target = None
        other._repeated_targets = {}
        return other

    def of_output(self, function: Callable[..., Tensor], *arguments: Tensor) -> Evaluator:
        """The evaluator of a function of all outputs and of tensors with one row per example."""
        other = copy.copy(self)
        other._forward_func = partial(_function_of_output, function, self._forward_func, len(arguments))
        other._gradient_func = compute_gradients
        other._args = (*(self._args or ()), *arguments)
        other._target = None
        other._repeated_targets = {}
        other._any_gradient = [False]
        return other

    def __call__(self, points: Tensors, keep: bool = False) -> tuple[Tensor | None, Tensors]:
        """F (K, B), or ``None`` if not needed, and its gradients at points (K, B, ...), in at least float32.

        The next pass may overwrite the gradients unless ``keep`` is set.
        """
        steps, rows = points[0].shape[:2]
        try:
            return self._limit.run(steps * rows, partial(self._in_passes, points, keep))
        except OutputError as error:
            examples = len(self._inputs[0])
            some = "your batch of" if rows == examples else f"{rows} examples of your batch of"
            points_each = "1 point each" if steps == 1 else f"{steps} points each"
            raise ValueError(f"{error} The {steps * rows} rows are {some} {examples}, at {points_each}.") from error

    def _in_passes(self, points: Tensors, keep: bool, limit: int | None) -> tuple[Tensor | None, Tensors]:
        """F and its gradients from passes of at most so many rows, split by points and then by examples."""
        steps, rows = points[0].shape[:2]
        if limit is None or steps * rows <= limit:
            return self._formats.attempt(lambda: self._evaluate(points, keep))
        if rows <= limit:
            size, dim, parts = limit // rows, 0, steps
        else:
            size, dim, parts = limit, 1, rows
        results = []
        for first in range(0, parts, size):
            part = slice(first, min(first + size, parts))
            some = self if dim == 0 else self._rows_that_fit(part)
            chosen = tuple(point[part] if dim == 0 else point[:, part] for point in points)
            results.append(some._in_passes(chosen, True, limit))
        values, gradients = zip(*results, strict=True)
        joined = tuple(torch.cat(pieces, dim) for pieces in zip(*gradients, strict=True))
        return (None if values[0] is None else torch.cat(values, dim)), joined

    def at(self, points: Tensors) -> tuple[Tensor, Tensors]:
        """F (B,) and its gradients at one point (B, ...) of each example; copies."""
        with_values = copy.copy(self)
        with_values._needs_values = True
        values, gradients = with_values(tuple(point.unsqueeze(0) for point in points), keep=True)
        assert values is not None, "needed"
        return values[0], tuple(gradient[0] for gradient in gradients)

    def _evaluate(self, points: Tensors, copy: bool) -> tuple[Tensor | None, Tensors]:
        steps, rows = points[0].shape[:2]
        flat = self._as_inputs(tuple(point.flatten(0, 1) for point in points))
        target = self._repeated_target(steps)
        recorder = _OutputRecorder(self._forward_func, self._create_graph) if self._needs_values else None
        with torch.enable_grad():
            gradients = self._gradient_func(
                forward_fn=recorder or self._forward_func,
                inputs=tuple(tensor.requires_grad_() for tensor in flat),
                target_ind=target,
                additional_forward_args=repeated(self._args, steps),
            )
        has_gradient = any(gradient is not None for gradient in gradients)
        self._any_gradient[0] |= has_gradient
        values = None
        if recorder is not None:
            recorded = recorder.value(target, steps * rows, has_gradient)
            values = self._widen(recorded, points[0], True).reshape(steps, rows)
        return values, tuple(
            torch.zeros_like(point) if gradient is None else self._widen(gradient, point, copy).reshape(point.shape)
            for gradient, point in zip(gradients, points, strict=True)
        )

    def _repeated_target(self, steps: int) -> TargetType:
        """The target of each row of a pass, made once for all passes of this size."""
        if steps not in self._repeated_targets:
            target = expand_target(self._target, steps)
            if isinstance(self._target, Tensor) and isinstance(target, Tensor):
                target = derived_indices(target, self._target)
            self._repeated_targets[steps] = target
        return self._repeated_targets[steps]

    def check_gradient(self) -> None:
        """Check that there was a gradient in any pass; call this after all of them.

        Raises:
            ValueError: If there was none.
        """
        if not self._any_gradient[0]:
            raise ValueError(
                "forward_func's output does not depend on its inputs (or the layer explained) by differentiable "
                "operations, so it has no gradient. Look for detach(), .data, numpy(), argmax(), long(), "
                "torch.no_grad(), or checkpointing without use_reentrant=False in it."
            )

    def value(self, points: Tensors) -> Tensor:
        """F at one point (B, ...) of each example, without gradient; (B,)."""
        return self._limit.run(len(points[0]), partial(self._without_gradient, Evaluator._value, points))

    def _without_gradient(
        self, function: Callable[[Evaluator, Tensors], Tensor], points: Tensors, limit: int | None
    ) -> Tensor:
        rows = len(points[0])
        if limit is None or rows <= limit:
            return self._formats.attempt(lambda: function(self, points))
        parts = [slice(first, min(first + limit, rows)) for first in range(0, rows, limit)]
        return torch.cat(
            [
                self._rows_that_fit(part)._without_gradient(function, tuple(p[part] for p in points), limit)
                for part in parts
            ]
        )

    def _rows_that_fit(self, part: slice) -> Evaluator:
        """The evaluator of some examples, because more do not fit in memory.

        Warns:
            RuntimeWarning: If that slices an argument for the first time in a call. One that belongs to the whole call
                would then give other numbers without an error.
        """
        if not self._limit.has_sliced and any(isinstance(arg, Tensor) and arg.dim() for arg in self._args or ()):
            self._limit.has_sliced = True
            warn(
                "A pass with one point per example did not fit in memory, so tensors with one row per example were "
                "sliced with the examples. Write SharedArgument(argument) for those that belong to the whole call.",
                RuntimeWarning,
            )
        return self.rows(part)

    def _value(self, points: Tensors) -> Tensor:
        return self._widen(select_target(self._run(points), self._target, len(points[0])), points[0], True)

    def outputs(self, points: Tensors) -> Tensor:
        """All outputs at one point (B, ...) of each example, without gradient; (B, ...)."""
        return self._limit.run(len(points[0]), partial(self._without_gradient, Evaluator._outputs, points))

    def _outputs(self, points: Tensors) -> Tensor:
        return self._widen(check_outputs(self._run(points), len(points[0])), points[0], True)

    def _run(self, points: Tensors) -> Any:
        # Cloned, because a model that works in place must not change the caller's tensors.
        inputs = tuple(tensor.clone() for tensor in self._as_inputs(points))
        return run(self._forward_func, inputs, repeated(self._args, 1))

    def _as_inputs(self, flat: Tensors) -> Tensors:
        """The points in the inputs' dtypes and the chosen layouts, detached unless their graph is needed."""
        detached = (tensor if self._create_graph and tensor.requires_grad else tensor.detach() for tensor in flat)
        typed = (tensor.to(dtype=float_dtype(like)) for tensor, like in zip(detached, self._inputs, strict=True))
        return in_layouts(tuple(typed), self._formats.chosen)

    def _widen(self, result: Tensor, like: Tensor, copy: bool) -> Tensor:
        """A pass's result in at least float32 and on the device of ``like``.

        Copy whatever outlives the pass: a model with static buffers (a CUDA graph) writes the next result to the same
        memory.
        """
        dtype = sum_dtype(result) if has_float64(like.device) else torch.float32
        return (result if self._create_graph else result.detach()).to(like.device, dtype, copy=copy)


class _OutputRecorder:
    """F, which records its output and whether a gradient flowed back through it."""

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
            output.register_hook(self._observe_gradient)
        return output

    def _observe_gradient(self, gradient: Tensor) -> None:
        self._differentiated = True

    def value(self, target: TargetType, rows: int, has_gradient: bool) -> Tensor:
        # A gradient may enter F and be lost inside, as in quantized layers; Evaluator.check_gradient reports that.
        if len(self._outputs) != 1 or (has_gradient and not self._differentiated):
            raise ValueError(
                "This quadrature needs the values of F, which it takes from the forward pass that gives the "
                "gradient; but the gradient_func in place differentiates something else than the output of "
                "forward_fn, as Captum's layer and neuron wrappers do. Use WeightedSum there."
            )
        return select_target(self._outputs[0], target, rows)


def _layer_output(forward_func: Callable[..., Any], layer: nn.Module, *args: Any) -> Tensor:
    hooks = LayerHooks(forward_func, (layer,), at_input=False)
    with hooks.active():
        (tensors,) = hooks.read(args).tensors
    return torch.cat([by_example(tensor) for tensor in tensors], dim=1)


def _function_of_output(
    function: Callable[..., Tensor], forward_func: Callable[..., Any], count: int, *args: Any
) -> Tensor:
    split = len(args) - count
    return function(forward_func(*args[:split]), *args[split:])


def _evaluate_example(
    forward_func: Callable[..., Any],
    arguments: ForwardArgs,
    inputs: Tensors,
    index: int,
    layouts: list[torch.memory_format],
) -> Any:
    """F's output for one example in these layouts, computed as in a pass."""
    row = slice(index, index + 1)
    typed = tuple(tensor[row].detach().to(dtype=float_dtype(tensor)) for tensor in inputs)
    leaves = (tensor.clone().requires_grad_() for tensor in in_layouts(typed, layouts))
    return run(forward_func, tuple(leaf.clone() for leaf in leaves), repeated(rows_of(arguments, row), 1))
