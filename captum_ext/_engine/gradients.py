"""The gradient of each row's output with respect to that row, and the selection of the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from captum_ext._utils._captum import select_targets
from captum_ext._utils.devices import run
from captum_ext._utils.targets import index_bounds
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import TargetType

GradientFunc = Callable[..., tuple[Tensor | None, ...]]


class OutputError(ValueError):
    """The output does not have one value for each row of a pass."""


def compute_gradients(
    forward_fn: Callable[..., Tensor],
    inputs: Tensors,
    target_ind: TargetType = None,
    additional_forward_args: Any = None,
    *,
    output_gradient: Callable[[Tensor], Tensor] = torch.ones_like,
    create_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradient of each row's output with respect to that row, with the signature of Captum's ``compute_gradients``.

    Captum differentiates a list with one scalar per row, which takes time quadratic in the number of rows. This
    function differentiates all rows at once, with equal results.

    Args:
        forward_fn: The function.
        inputs: Tensors that require a gradient.
        target_ind: Which output to differentiate.
        additional_forward_args: Further arguments of the function.
        output_gradient: The values that the backward pass starts from, given the outputs. Default: ones.
        create_graph: Whether the gradients can be differentiated.

    Returns:
        One gradient per input; ``None`` if the outputs do not depend on it.

    Raises:
        TypeError: If the output is not a tensor of real numbers.
        ValueError: If there is not one output per row, or the function uses reentrant checkpointing.
    """
    with torch.enable_grad():
        # Cloned, because a model may work in place on its input, but not on a leaf.
        copies = tuple(tensor.clone() for tensor in inputs)
        output = select_target(run(forward_fn, copies, additional_forward_args), target_ind, len(inputs[0]))
        if not output.requires_grad:
            return (None,) * len(inputs)
        try:
            return torch.autograd.grad(
                output, inputs, output_gradient(output), allow_unused=True, create_graph=create_graph
            )
        except RuntimeError as error:
            if "use_reentrant" not in str(error):
                raise
            raise ValueError(
                "forward_func: uses reentrant activation checkpointing, whose backward pass can't give gradients of "
                "chosen tensors. Write use_reentrant=False, as in "
                "model.gradient_checkpointing_enable({'use_reentrant': False})."
            ) from error


def compute_gradients_from_output(*args: Any, **kwargs: Any) -> tuple[Tensor | None, ...]:
    """:func:`compute_gradients` with a backward pass that starts from the output's value instead of 1."""
    return compute_gradients(*args, **kwargs, output_gradient=torch.detach)


def compute_differentiable_gradients(*args: Any, **kwargs: Any) -> tuple[Tensor | None, ...]:
    """:func:`compute_gradients` with a graph of the gradients."""
    return compute_gradients(*args, **kwargs, create_graph=True)


def select_target(output: object, target: TargetType, rows: int) -> Tensor:
    """Select the target's entry in each row of the output, (rows,).

    Raises:
        TypeError: If the output is not a tensor of real numbers.
        ValueError: If the target does not select one value per row.
    """
    output = check_outputs(output, rows)
    shape = tuple(output.shape)
    # For one index per row, Captum uses gather, which takes no negative ones and whose own error ends a CUDA context.
    index_per_row = isinstance(target, Tensor) or (
        isinstance(target, list) and isinstance(next(iter(target), None), int)
    )
    try:
        if index_per_row and output.dim() == 2:
            lowest, highest = index_bounds(target if isinstance(target, Tensor) else torch.tensor(target, device="cpu"))
            if lowest < 0 or highest >= output.shape[1]:
                wrong = lowest if lowest < 0 else highest
                raise IndexError(f"indices go from 0 to {output.shape[1] - 1}, got {wrong}")  # noqa: TRY301 -- below
        # The outputs may be on another device than the inputs.
        selected = select_targets(output, target.to(output.device) if isinstance(target, Tensor) else target)
    except (AssertionError, IndexError, TypeError) as error:
        classes = shape[1] if len(shape) == 2 else 0
        lowest_class = 0 if index_per_row else -classes
        wrong_class = next((i for i in _target_classes(target) if not lowest_class <= i < classes), None)
        if classes and wrong_class is not None:
            raise ValueError(
                f"target {wrong_class} is out of range for a model with {classes} outputs (classes 0 to {classes - 1})."
            ) from error
        raise ValueError(
            f"target: {_abbreviate_target(target)} picks no entries of an output of shape {shape}: {error}"
        ) from error
    if selected.numel() != rows:
        raise OutputError(
            f"target: expected one value for each of {rows} rows, got shape {tuple(selected.shape)} from an "
            f"output of shape {shape} and target {_abbreviate_target(target)}. Name the output to explain, as in "
            "target=3 for a classifier."
        )
    return selected.reshape(rows)


def _target_classes(target: TargetType) -> list[int]:
    """The indices of a target that selects from outputs (rows, classes)."""
    if isinstance(target, Tensor):
        target = target.reshape(-1).tolist() if target.dim() < 2 else []
    entries: Any = target if isinstance(target, list) else [target]
    entries = [entry[0] if isinstance(entry, tuple) and len(entry) == 1 else entry for entry in entries]
    return [entry for entry in entries if isinstance(entry, int)]


def check_outputs(output: object, rows: int) -> Tensor:
    """Check a function's output: a tensor of real numbers with one row per row of the inputs.

    Raises:
        TypeError: If it is not a tensor of real numbers.
        ValueError: If it has another number of rows.
    """
    if not isinstance(output, Tensor):
        raise TypeError(f"forward_func: expected it to return a tensor, got {_describe_output(output)}.")
    if output.is_complex():
        raise TypeError(f"forward_func: expected real outputs, got {output.dtype}. Explain their abs(), real or imag.")
    shape = tuple(output.shape)
    if not shape or shape[0] != rows:
        raise OutputError(
            f"forward_func: expected one row of output for each of {rows} rows of input, got shape {shape}. A function "
            "that sums over its rows can't be explained."
        )
    return output


def _describe_output(output: object) -> str:
    """The type of an output that is not a tensor, its parts, and how to choose one."""
    name = type(output).__name__
    if isinstance(output, Mapping) and output:
        keys = [str(key) for key in output]
        key = "logits" if "logits" in keys else keys[0]
        return f"{name} with the keys {', '.join(keys)}. Choose one, as in lambda x: model(x)[{key!r}]"
    if isinstance(output, tuple | list) and output:
        return f"{name} of {len(output)} values. Choose one, as in lambda x: model(x)[0]"
    return f"{name}. Wrap it, as in lambda x: model(x).logits"


def _abbreviate_target(target: TargetType) -> str:
    many = isinstance(target, list | Tensor) and len(target) > 6
    return f"[{', '.join(str(entry) for entry in target[:6])}, ...]" if many else str(target)  # type: ignore[index]
