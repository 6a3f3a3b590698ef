"""The arguments of ``attribute()``: checks, and conversion to one form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from captum_ext._engine.forward_args import WithoutRows
from captum_ext._utils._captum import format_additional_forward_args
from captum_ext._utils.numbers import is_boolean, is_integer, is_number
from captum_ext._utils.targets import index_bounds, remember_bounds
from captum_ext._utils.tensors import Tensors, sum_dtype
from captum_ext._utils.types import BaselineType, TargetType

PUT_EXAMPLES_FIRST = (
    "If dimension 1 counts the examples, as in the initial state (layers, B, H) of a recurrent network, put them "
    "first: give state.transpose(0, 1), and lambda x, state: model(x, state.transpose(0, 1).contiguous()) as "
    "forward_func."
)
_SEVERAL_BASELINES = (
    "For the mean over several baselines, write captum_ext.attr.Expected(method, baselines).attribute(inputs, ...)."
)


class Arguments(NamedTuple):
    """The formatted arguments: tuples of tensors, and one target and row of arguments per example."""

    inputs: Tensors
    baselines: Tensors | None
    target: TargetType
    forward_args: tuple[Any, ...] | None


def format_arguments(
    inputs: object, baselines: BaselineType, target: object, additional_forward_args: object
) -> Arguments:
    """Check all arguments that describe the examples.

    Raises:
        TypeError, ValueError: If one of them is invalid.
    """
    tensors = format_tensors(inputs)
    if len({len(tensor) for tensor in tensors}) > 1:
        raise ValueError(
            f"inputs: expected as many examples in every tensor of the tuple, got {[len(t) for t in tensors]}."
        )
    _check_finite("inputs", tensors)
    return Arguments(
        tensors,
        format_baselines(baselines, tensors),
        format_target(target, tensors),
        format_forward_args(additional_forward_args, tensors),
    )


def format_tensors(inputs: object) -> Tensors:
    """The inputs as a tuple of tensors, which may differ in length and hold NaN and infinity.

    Raises:
        TypeError: If one is not a dense tensor of real numbers.
        ValueError: If the tuple is empty, or a tensor is a scalar.
    """
    tensors = inputs if isinstance(inputs, tuple) else (inputs,)
    if not tensors:
        raise ValueError("inputs: expected at least one tensor, got an empty tuple.")
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"inputs: expected a tensor or a tuple of tensors, got {type(inputs).__name__}. "
                "Write torch.as_tensor(x), or tuple(x) for a list of tensors."
            )
        _check_dense_and_real("inputs", tensor)
        if tensor.dim() == 0:
            raise ValueError("inputs: expected examples in dimension 0, got a scalar. Write x.unsqueeze(0).")
    return tensors


def format_baselines(
    baselines: BaselineType,
    inputs: Tensors,
    dtype: Callable[[Tensor], torch.dtype] = sum_dtype,
    finite: bool = True,
) -> Tensors | None:
    """The baselines in the inputs' shapes; ``None`` stays ``None``.

    Args:
        baselines: As the user passes them.
        inputs: Formatted.
        dtype: The dtype of the baseline of an input. Default: the one that sums are computed in.
        finite: Whether to refuse NaN and infinity.

    Raises:
        TypeError: If one is neither a tensor nor a number.
        ValueError: If their number, shapes or devices do not fit the inputs, or one is not finite.
    """
    if baselines is None:
        return None
    if isinstance(baselines, list):
        raise TypeError(
            "baselines: expected a tensor, a number or a tuple of these, one per input; got a list of "
            f"{len(baselines)}. {_SEVERAL_BASELINES}"
        )
    entries = baselines if isinstance(baselines, tuple) else (baselines,)
    if len(entries) != len(inputs):
        several = f" {_SEVERAL_BASELINES}" if len(inputs) == 1 and len(entries) > 1 else ""
        raise ValueError(
            f"baselines: expected one for each of {len(inputs)} inputs, got {len(entries)}. "
            f"Write a tuple as long as the inputs' (0 for those that start from zeros).{several}"
        )
    tensors = tuple(_format_baseline(entry, like, dtype(like)) for entry, like in zip(entries, inputs, strict=True))
    if finite:
        _check_finite("baselines", tensors)
    return tensors


def _format_baseline(baseline: object, like: Tensor, dtype: torch.dtype) -> Tensor:
    if is_number(baseline):
        try:
            return torch.full_like(like, float(baseline), dtype=dtype)
        except OverflowError:
            raise ValueError(f"baselines: expected a finite number, got one of {len(str(baseline))} digits.") from None
    if not isinstance(baseline, Tensor):
        raise TypeError(f"baselines: expected tensors or numbers, got {type(baseline).__name__}.")
    if baseline.device != like.device:
        raise ValueError(
            f"baselines: expected the inputs' device {like.device}, got {baseline.device}. Write "
            "baselines.to(inputs.device)."
        )
    _check_dense_and_real("baselines", baseline)
    try:
        fits = baseline.dim() == like.dim()
        expanded = baseline.detach().to(dtype).expand_as(like)
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"baselines: expected a number, or a tensor of shape {tuple(like.shape)} or "
            f"{(1, *like.shape[1:])}, got {tuple(baseline.shape)}."
            + f" {_SEVERAL_BASELINES}"
            * (baseline.dim() == like.dim() and baseline.shape[1:] == like.shape[1:])
        )
    return expanded


def format_target(target: object, inputs: Tensors) -> TargetType:
    """The target as ``None``, one index for all examples (int or tuple), or one per example (list or tensor).

    Raises:
        TypeError: If it is not an index.
        ValueError: If the number of indices is not the number of examples.
    """
    examples = len(inputs[0])
    for entry in target if isinstance(target, list) else (target,):
        if isinstance(entry, tuple) and any(map(is_boolean, entry)):
            raise TypeError(f"target: expected a tuple of ints, got {entry}.")
    if target is None or isinstance(target, tuple):
        return target
    if is_integer(target):
        return int(target)
    if isinstance(target, Tensor):
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise TypeError(f"target: expected integer indices, got {target.dtype}. Write target.long().")
        if target.numel() == 1:
            return int(target)
        if target.shape != (examples,):
            raise ValueError(
                f"target: expected one index, or one for each of {examples} examples, shape ({examples},); got "
                f"shape {tuple(target.shape)}."
            )
        return _on_device(target.detach(), inputs[0].device)
    if isinstance(target, list):
        if len(target) != examples:
            raise ValueError(
                f"target: expected one index for each of {examples} examples, got a list of {len(target)}."
            )
        if not all(isinstance(entry, tuple) or is_integer(entry) for entry in target):
            raise TypeError(f"target: expected a list of ints or of tuples of ints, got {target[:6]}.")
        if target and all(map(is_integer, target)):
            indices = list(map(int, target))
            return indices[0] if examples == 1 else _on_device(_as_tensor(indices), inputs[0].device)
        return [entry if isinstance(entry, tuple) else int(entry) for entry in target]  # type: ignore[return-value]
    raise TypeError(
        f"target: expected an int, a tuple of ints, a tensor or a list of them, got {type(target).__name__}. Write "
        "target.tolist() for an array."
    )


def _as_tensor(indices: list[int]) -> Tensor:
    try:
        return torch.tensor(indices, dtype=torch.long, device="cpu")
    except (OverflowError, RuntimeError):
        raise ValueError(f"target: expected indices of 64 bits, got {max(indices, key=abs)}.") from None


def _on_device(indices: Tensor, device: torch.device) -> Tensor:
    """A copy of one index per example on the inputs' device, with bounds that no pass has to read there."""
    copy = indices.to(device, torch.long, non_blocking=True, copy=True)
    return remember_bounds(copy, index_bounds(indices)) if len(indices) else copy


def format_forward_args(arguments: object, inputs: Tensors) -> tuple[Any, ...] | None:
    """The additional arguments as a tuple.

    A tensor without one row per example can't be sliced or repeated; a pass that needs that raises ``ValueError``.
    """
    formatted: tuple[Any, ...] | None = format_additional_forward_args(arguments)
    if formatted is None:
        return None
    examples = len(inputs[0])
    return tuple(
        WithoutRows(argument, examples, _missing_rows_message(position, argument, examples))
        if isinstance(argument, Tensor) and argument.dim() and len(argument) != examples
        else argument
        for position, argument in enumerate(formatted)
    )


def _missing_rows_message(position: int, argument: Tensor, examples: int) -> str:
    advice = (
        "Write SharedArgument(argument) for a tensor that belongs to the whole call, or "
        f"internal_batch_size={examples} for passes of exactly your examples."
    )
    if argument.dim() > 1 and argument.shape[1] == examples:
        advice = f"{PUT_EXAMPLES_FIRST} {advice}"
    return (
        f"additional_forward_args[{position}]: expected one row for each of {examples} examples in a tensor, got shape "
        f"{tuple(argument.shape)}. {advice}"
    )


def _check_dense_and_real(name: str, tensor: Tensor) -> None:
    if tensor.is_complex():
        raise TypeError(f"{name}: expected real numbers, got {tensor.dtype}. Write torch.view_as_real(x).")
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_quantized or tensor.is_meta:
        kind = "meta" if tensor.is_meta else "nested" if tensor.is_nested else str(tensor.layout)
        raise TypeError(f"{name}: expected an ordinary dense tensor, got a {kind} one. Write x.to_dense().")
    if tensor.is_floating_point() and tensor.element_size() < 2:
        raise TypeError(f"{name}: expected at least half precision, got {tensor.dtype}. Write x.to(torch.bfloat16).")


def _check_finite(name: str, tensors: Tensors) -> None:
    for position, tensor in enumerate(tensors):
        if not bool(torch.isfinite(tensor).all()):
            bad = [row for row, example in enumerate(tensor) if not bool(torch.isfinite(example).all())]
            raise ValueError(f"{name}: tensor {position} has a NaN or infinity in examples {bad[:10]}.")
