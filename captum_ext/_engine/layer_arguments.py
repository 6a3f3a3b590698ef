"""The arguments of layer and neuron methods: checks, and conversion to one form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._engine.activations import Activations, LayerHooks, PatchedForward
from captum_ext._engine.arguments import Arguments, format_baselines, format_tensors
from captum_ext._engine.batching import split
from captum_ext._engine.forward_args import SharedArgument
from captum_ext._engine.shared_arguments import ArgumentTrials, wrap_without_rows
from captum_ext._utils._captum import format_additional_forward_args
from captum_ext._utils.devices import raise_device_mismatch
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import BaselineType, TargetType
from captum_ext._utils.warnings import warn


def format_layers(layer: object) -> tuple[nn.Module, ...]:
    """One layer or several, as a tuple.

    Raises:
        TypeError: If one is not a module.
        ValueError: If the list is empty or has a layer twice.
    """
    layers = tuple(layer) if isinstance(layer, list) else (layer,)
    for module in layers:
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"layer: expected a module of the model, or a list of them, got {type(module).__name__}. Write "
                "model.conv1, or dict(model.named_modules())[name]."
            )
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError("layer: expected a module that takes hooks, which scripted ones do not. Script it later.")
    if not layers or len(set(layers)) < len(layers):
        raise ValueError(f"layer: expected at least one layer, each once, got a list of {len(layers)}.")
    return layers


def format_layer_arguments(
    inputs: object,
    baselines: BaselineType,
    target: TargetType,
    additional_forward_args: object,
    create_graph: bool = False,
) -> Arguments:
    """The arguments of a layer method. Baselines get the inputs' dtypes, such as that of token ids.

    Only the model sees the inputs, so they may hold anything that it accepts, such as masks of minus infinity. The
    target is not checked here, because the number of examples is known only after the layer has run (an
    ``EmbeddingBag`` takes ids and offsets).
    """
    tensors = format_tensors(inputs)
    starts = format_baselines(baselines, tensors, finite=False)
    if starts is not None:
        for start, tensor in zip(starts, tensors, strict=True):
            if not tensor.is_floating_point() and bool((start != start.round()).any()):
                raise ValueError(
                    f"baselines: expected whole numbers where the inputs are {tensor.dtype}, got {start.dtype} with "
                    "fractions. Give token ids, such as those of padding."
                )
        starts = format_baselines(baselines, tensors, lambda tensor: tensor.dtype, finite=False)
    args: tuple[Any, ...] = format_additional_forward_args(additional_forward_args) or ()
    return Arguments(tensors if create_graph else tuple(t.detach() for t in tensors), starts, target, args)


def read_activations(hooks: LayerHooks, inputs: Tensors, args: tuple[Any, ...], rows: int) -> Activations:
    """The layers' activations of all examples; the output is included only if all examples fit in one pass.

    If layer and output have another number of rows than the inputs, these rows are the examples: the bags of an
    ``EmbeddingBag``, which takes ids and offsets.

    Args:
        hooks: The layers.
        inputs: The inputs, each (B, ...).
        args: The additional arguments.
        rows: The most rows of a forward pass.

    Raises:
        ValueError: If a layer does not have one row per example.
    """
    parts = []
    for chunk in _chunks(hooks, inputs, rows):
        # Cloned, because a model that works in place must not change the caller's tensors.
        chunk_args = [value[chunk].clone() if isinstance(value, Tensor) and value.dim() else value for value in args]
        try:
            part = hooks.read([*(tensor[chunk].clone() for tensor in inputs), *chunk_args])
        except RuntimeError as error:
            raise_device_mismatch(error, hooks.forward_func, inputs, args)
            raise
        _check_rows(hooks, part, [len(tensor[chunk]) for tensor in inputs], chunk == slice(None))
        parts.append(part)
    if len({part.runs for part in parts}) > 1:
        raise ValueError("layer: expected it to run equally often for all examples. Explain the examples one by one.")
    tensors = tuple(
        tuple(torch.cat(pieces) for pieces in zip(*layer, strict=True))
        for layer in zip(*(part.tensors for part in parts), strict=True)
    )
    output = parts[0].output
    has_output = len(parts) == 1 and isinstance(output, Tensor) and output.dim()
    return Activations(tensors, parts[0].runs, output.detach().clone() if has_output else None)


def wrap_shared_arguments(hooks: LayerHooks, arguments: Arguments, rows: int) -> Arguments:
    """The arguments with those wrapped that :func:`read_activations` must not slice."""
    if len(_chunks(hooks, arguments.inputs, rows)) < 2:
        return arguments
    args = wrap_without_rows(arguments.forward_args or (), len(arguments.inputs[0]))

    def forward(*values: Any) -> Any:
        return hooks.run(values, lambda _, activation: activation)

    trials = ArgumentTrials(forward, arguments.inputs, args, rows, look_ahead=False)
    ambiguous = trials.ambiguous()
    return arguments._replace(forward_args=trials.settle_unseen(ambiguous) if ambiguous else args)


def arguments_at_layer(
    hooks: LayerHooks, function: PatchedForward, ends: Activations, arguments: Arguments, rows: int, look_ahead: bool
) -> tuple[Any, ...]:
    """The inputs and additional arguments that ``function`` takes after the activations, wrapped if shared."""
    activations = ends.flat()
    inputs, examples = len(arguments.inputs), len(activations[0])
    regrouped = _has_bags(hooks, arguments.inputs) or any(len(tensor) != examples for tensor in arguments.inputs)
    # Cloned if they are passed whole, because a model may write to them.
    tensors = [tensor.clone() for tensor in arguments.inputs] if regrouped else arguments.inputs
    args = wrap_without_rows((*tensors, *(arguments.forward_args or ())), examples)
    trials = ArgumentTrials(function, activations, args, rows, look_ahead, inputs)
    ambiguous = [k for k in trials.ambiguous() if regrouped or k >= inputs]
    doubtful = [arg for arg in args if isinstance(arg, SharedArgument) and examples in arg.tensor.shape[1:2]]
    if ends.output is None or trials.same_rows or not (ambiguous or doubtful or regrouped):
        return args
    return trials.settle(ambiguous, ends.output, whole_first=regrouped)


def warn_of_runs(hooks: LayerHooks, runs: Sequence[int]) -> None:
    """Warn about layers that run several times."""
    for layer, times in zip(hooks.layers, runs, strict=True):
        if times > 1:
            warn(
                f"A layer {type(layer).__name__} runs {times} times in forward_func. Only its last {hooks.end} is "
                "explained. To explain another, use a separate module for each run."
            )


def _chunks(hooks: LayerHooks, inputs: Tensors, rows: int) -> list[slice]:
    if _has_bags(hooks, inputs) or len({len(tensor) for tensor in inputs}) > 1:
        return [slice(None)]
    chunks = split(inputs, 1, rows, look_ahead=True)[0]
    return chunks if len(chunks) > 1 else [slice(None)]


def _has_bags(hooks: LayerHooks, inputs: Tensors) -> bool:
    return inputs[0].dim() == 1 and any(isinstance(layer, nn.EmbeddingBag) for layer in hooks.layers)


def _check_rows(hooks: LayerHooks, part: Activations, lengths: list[int], is_all: bool) -> None:
    output = part.output
    rows = len(output) if is_all and isinstance(output, Tensor) and output.dim() else lengths[0]
    for layer, tensors in zip(hooks.layers, part.tensors, strict=True):
        if len(tensors[0]) != rows or (rows != lengths[0] and len(part.tensors) > 1):
            if len(set(lengths)) > 1:
                raise ValueError(f"inputs: expected as many examples in every tensor of the tuple, got {lengths}.")
            raise ValueError(
                f"layer: expected one row for each of {lengths[0]} examples in dimension 0 of the {hooks.end} of a "
                f"{type(layer).__name__}, got shape {tuple(tensors[0].shape)}. Explain a layer before the examples are "
                "regrouped, or set batch_first=True."
            )
