"""The gradient of each row's output, and which output that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from captum_ext._utils._captum import select_targets
from captum_ext._utils.devices import run
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import TargetType

GradientFunc = Callable[..., tuple[Tensor | None, ...]]


def compute_gradients(
    forward_fn: Callable[..., Tensor],
    inputs: Tensors,
    target_ind: TargetType = None,
    additional_forward_args: Any = None,
) -> tuple[Tensor | None, ...]:
    """The gradient of each row's output with respect to that row, as Captum's function of the same name.

    Captum differentiates a list of one scalar a row, which takes a time quadratic in the number of rows; this
    passes all rows at once, with equal results. It is ``None`` for an input that the outputs do not depend on.

    Raises:
        TypeError: If the output is not a tensor of real numbers.
        ValueError: If there is not one output a row.
    """
    return _gradients(torch.ones_like, forward_fn, inputs, target_ind, additional_forward_args)


def compute_gradients_from_output(
    forward_fn: Callable[..., Tensor],
    inputs: Tensors,
    target_ind: TargetType = None,
    additional_forward_args: Any = None,
) -> tuple[Tensor | None, ...]:
    """As :func:`compute_gradients`, but the backward pass starts from the output's value in place of 1."""
    return _gradients(torch.detach, forward_fn, inputs, target_ind, additional_forward_args)


def compute_differentiable_gradients(
    forward_fn: Callable[..., Tensor],
    inputs: Tensors,
    target_ind: TargetType = None,
    additional_forward_args: Any = None,
) -> tuple[Tensor | None, ...]:
    """As :func:`compute_gradients`, with the graph of the gradients themselves."""
    return _gradients(torch.ones_like, forward_fn, inputs, target_ind, additional_forward_args, create_graph=True)


def _gradients(
    start: Callable[[Tensor], Tensor],
    forward_fn: Callable[..., Tensor],
    inputs: Tensors,
    target: TargetType,
    additional_forward_args: Any,
    create_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    with torch.enable_grad():
        # Cloned, so that a model may work in place on its input, which it may not on a leaf.
        given = tuple(tensor.clone() for tensor in inputs)
        output = select_target(run(forward_fn, given, additional_forward_args), target, len(inputs[0]))
        if not output.requires_grad:
            return (None,) * len(inputs)
        return torch.autograd.grad(output, inputs, start(output), allow_unused=True, create_graph=create_graph)


def select_target(output: object, target: TargetType, rows: int) -> Tensor:
    """The target's entry of each row of the output, (rows,).

    Raises:
        TypeError: If the output is not a tensor of real numbers.
        ValueError: If the target does not pick one value a row.
    """
    output = check_outputs(output, rows)
    shape = tuple(output.shape)
    if isinstance(target, Tensor):
        target = target.to(output.device)  # a model may return its outputs on another device than its inputs'
    try:
        _check_bounds(target, output)
        selected = select_targets(output, target)
    except (AssertionError, IndexError, TypeError) as error:
        raise ValueError(f"target: {_shown(target)} picks no entries of an output of shape {shape}: {error}") from error
    if selected.numel() != rows:
        raise ValueError(
            f"target: expected one value for each of {rows} rows, got shape {tuple(selected.shape)} from an "
            f"output of shape {shape} and target {_shown(target)}. Name the output to explain, as in target=3 for a "
            "classifier."
        )
    return selected.reshape(rows)


def check_outputs(output: object, rows: int) -> Tensor:
    """The output of a function, if it is a tensor of real numbers with one row per row of its inputs.

    Raises:
        TypeError: If it is not a tensor of real numbers.
        ValueError: If it has another number of rows.
    """
    if not isinstance(output, Tensor):
        raise TypeError(
            f"forward_func: expected it to return a tensor, got {type(output).__name__}. Wrap it, as in "
            "lambda x: model(x).logits."
        )
    if output.is_complex():
        raise TypeError(f"forward_func: expected real outputs, got {output.dtype}. Explain their abs(), real or imag.")
    shape = tuple(output.shape)
    if not shape or shape[0] != rows:
        raise ValueError(
            f"forward_func: expected one row of output for each of {rows} rows of input, got shape {shape}. A function "
            "that sums over its rows can't be explained."
        )
    return output


def _check_bounds(target: TargetType, output: Tensor) -> None:
    # For one index a row Captum uses gather, whose own error on a GPU ends the CUDA context.
    one_a_row = isinstance(target, Tensor) or (isinstance(target, list) and isinstance(target[0], int))
    if one_a_row and output.dim() == 2:
        indices = target if isinstance(target, Tensor) else torch.as_tensor(target, device="cpu")
        if indices.min() < 0 or indices.max() >= output.shape[1]:
            raise IndexError(f"indices go from 0 to {output.shape[1] - 1}")


def _shown(target: TargetType) -> str:
    many = isinstance(target, list | Tensor) and len(target) > 6
    return f"[{', '.join(str(entry) for entry in target[:6])}, ...]" if many else str(target)  # type: ignore[index]
