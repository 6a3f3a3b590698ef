"""The arguments of layer and neuron methods, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._compat import format_additional_forward_args
from captum_ext._forward_args import Unrepeated
from captum_ext._layers import Activations, Tap
from captum_ext._segment import Tensors
from captum_ext._types import BaselineType
from captum_ext._walk import split
from captum_ext._warn import warn
from captum_ext.attr._arguments import Arguments, format_arguments, format_baselines


def format_layers(layer: object) -> tuple[nn.Module, ...]:
    """One layer or several, as a tuple.

    Raises:
        TypeError: If one is no module.
        ValueError: If there are none, or one twice.
    """
    layers = tuple(layer) if isinstance(layer, list) else (layer,)
    for one in layers:
        if not isinstance(one, nn.Module):
            raise TypeError(
                f"layer: expected a module of the model, or a list of them, got {type(one).__name__}. Write "
                "model.conv1, or dict(model.named_modules())[name]."
            )
        if isinstance(one, torch.jit.ScriptModule):
            raise TypeError("layer: expected a module that takes hooks, which scripted ones do not. Script it later.")
    if not layers or len(set(layers)) < len(layers):
        raise ValueError(f"layer: expected at least one layer, each once, got a list of {len(layers)}.")
    return layers


def format_layer_arguments(
    inputs: object,
    baselines: BaselineType,
    target: object,
    additional_forward_args: object,
    n_steps: object,
    internal_batch_size: object,
) -> Arguments:
    """As :func:`format_arguments`, for inputs that only the model sees: baselines take their dtype, token ids theirs.

    Additional tensors without a row for each example are passed on whole, as LLMGradientAttribution's target tokens.
    """
    given = format_arguments(inputs, None, target, None, n_steps, internal_batch_size)
    formatted: tuple[Any, ...] = format_additional_forward_args(additional_forward_args) or ()
    examples = len(given.inputs[0])
    args = tuple(
        Unrepeated(arg) if isinstance(arg, Tensor) and arg.dim() and len(arg) != examples else arg for arg in formatted
    )
    starts = format_baselines(baselines, given.inputs)
    if starts is not None:
        for start, tensor in zip(starts, given.inputs, strict=True):
            if not tensor.is_floating_point() and bool((start != start.round()).any()):
                raise ValueError(
                    f"baselines: expected whole numbers where the inputs are {tensor.dtype}, got {start.dtype} with "
                    "fractions. Give token ids, such as those of padding."
                )
        starts = format_baselines(baselines, given.inputs, lambda tensor: tensor.dtype)
    inputs_alone = tuple(tensor.detach() for tensor in given.inputs)
    return given._replace(inputs=inputs_alone, baselines=starts, forward_args=args)


def read_all(tap: Tap, inputs: Tensors, forward_args: tuple[Any, ...], rows: int) -> Activations:
    """The layers' activations of all examples, with so many rows a forward pass.

    Raises:
        ValueError: If they have no row for each example.
    """
    parts = []
    chunks = split(inputs, 1, rows, look_ahead=True)[0] or [slice(0, 0)]
    for chunk in chunks:
        # Cloned, since a model that works in place must not get at the caller's tensors.
        given = [value[chunk].clone() if isinstance(value, Tensor) and value.dim() else value for value in forward_args]
        part = tap.read([*(tensor[chunk].clone() for tensor in inputs), *given])
        _check_rows(tap, part, chunk.stop - chunk.start)
        parts.append(part)
    if len({part.runs for part in parts}) > 1:
        raise ValueError("layer: expected it to run equally often for all examples. Explain the examples one by one.")
    tensors = tuple(
        tuple(torch.cat(pieces) for pieces in zip(*layer, strict=True))
        for layer in zip(*(part.tensors for part in parts), strict=True)
    )
    return Activations(tensors, parts[0].runs)


def warn_of_runs(tap: Tap, runs: Sequence[int]) -> None:
    """Warn about layers that run several times."""
    for layer, times in zip(tap.layers, runs, strict=True):
        if times > 1:
            warn(
                f"A layer {type(layer).__name__} runs {times} times in forward_func. Explained is its last {tap.end}. "
                "To explain another, give each use a module of its own."
            )


def _check_rows(tap: Tap, activations: Activations, rows: int) -> None:
    for layer, tensors in zip(tap.layers, activations.tensors, strict=True):
        if len(tensors[0]) != rows:
            raise ValueError(
                f"layer: expected one row for each of {rows} examples in dimension 0 of the {tap.end} of a "
                f"{type(layer).__name__}, got shape {tuple(tensors[0].shape)}. Explain a layer before the examples are "
                "regrouped, or set batch_first=True."
            )
