"""The sets of baselines of :class:`Expected` and :class:`ExpectedGradients`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor

from captum_ext._engine.arguments import format_baselines
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import BaselineType

Entry: TypeAlias = BaselineType | Callable[[Any], Any]
BaselineSet: TypeAlias = Tensor | tuple[Tensor, ...] | list[Entry]


def check_set(baselines: object) -> None:
    """Check the type and length of a set of baselines.

    Raises:
        TypeError: If it is not a tensor, a tuple of tensors or a list.
        ValueError: If it is empty, or the tensors of a tuple have different lengths.
    """
    tensors = baselines if isinstance(baselines, tuple) else (baselines,)
    if isinstance(baselines, list):
        if not baselines:
            raise ValueError("baselines: expected at least one, got an empty list.")
    elif not tensors or not all(isinstance(tensor, Tensor) and tensor.dim() for tensor in tensors):
        raise TypeError(
            "baselines: expected N baselines in a tensor (N, ...), a tuple of such tensors, one per input, or a list "
            f"of baselines such as [0, x.mean(0, keepdim=True), baselines.blurred]; got {type(baselines).__name__}."
        )
    elif len({len(tensor) for tensor in tensors}) > 1 or not len(tensors[0]):
        raise ValueError(
            "baselines: expected as many, and at least one, in every tensor of the tuple, got "
            f"{[len(tensor) for tensor in tensors]}."
        )


def count(baselines: BaselineSet) -> int:
    """The number of baselines."""
    return len(baselines[0] if isinstance(baselines, tuple) else baselines)


def as_functions_take(inputs: Any) -> Any:
    """The inputs as the user's functions expect them: wrappers turn a tensor into a tuple of length 1."""
    return inputs[0] if isinstance(inputs, tuple) and len(inputs) == 1 else inputs


def one_by_one(baselines: BaselineSet, inputs: Any) -> Iterator[Any]:
    """Yield each baseline in a form that a method's ``attribute`` accepts."""
    if isinstance(baselines, list):
        for entry in baselines:
            yield entry(as_functions_take(inputs)) if callable(entry) else entry
    elif isinstance(baselines, tuple):
        for k in range(len(baselines[0])):
            yield tuple(tensor[k : k + 1] for tensor in baselines)
    else:
        for k in range(len(baselines)):
            yield baselines[k : k + 1]


def stacked(baselines: BaselineSet, inputs: Tensors) -> Tensors:
    """All baselines: for each input a tensor (N, B, ...), or (N, 1, ...) if they are the same for all examples.

    Raises:
        TypeError, ValueError: If they do not fit the inputs.
    """
    if isinstance(baselines, list):
        each = [
            format_baselines(entry, inputs) or tuple(map(torch.zeros_like, inputs))
            for entry in one_by_one(baselines, inputs)
        ]
        return tuple(torch.stack(entries) for entries in zip(*each, strict=True))
    tensors = baselines if isinstance(baselines, tuple) else (baselines,)
    # Checked as if they were the baselines of N examples; the expanded rows take no memory.
    rows = tuple(tensor.new_empty(1).expand(len(tensors[0]), *tensor.shape[1:]) for tensor in inputs)
    formatted = format_baselines(tensors, rows)
    assert formatted is not None, "not None before either"
    return tuple(tensor.unsqueeze(1) for tensor in formatted)
