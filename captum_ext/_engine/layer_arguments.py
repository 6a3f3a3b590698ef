"""The arguments of layer and neuron methods, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._engine.activations import Activations, LayerHooks, PatchedForward
from captum_ext._engine.arguments import Arguments, format_baselines, format_tensors
from captum_ext._engine.batching import split
from captum_ext._engine.forward_args import SharedArgument
from captum_ext._engine.shared_arguments import Trials, wrap_without_rows
from captum_ext._utils._captum import format_additional_forward_args
from captum_ext._utils.devices import device_mismatch_explained
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import BaselineType, TargetType
from captum_ext._utils.warnings import warn


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
    target: TargetType,
    additional_forward_args: object,
    create_graph: bool = False,
) -> Arguments:
    """As :func:`format_arguments`, for inputs that only the model sees: baselines take their dtype, token ids theirs.

    Inputs may hold what the model takes, such as masks of minus infinity. How many examples they are is known when the
    layer has run (``EmbeddingBag`` takes ids and offsets); the target is left as it is until then.
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


def read_all(tap: LayerHooks, inputs: Tensors, args: tuple[Any, ...], rows: int) -> Activations:
    """The layers' activations of all examples, with so many rows a forward pass; with F's output if it is one pass.

    Where the layer makes other rows of the inputs than there are, and the output has as many, those are the examples:
    the bags of an ``EmbeddingBag``, which takes ids and offsets.

    Raises:
        ValueError: If the layer has no row for each example.
    """
    parts = []
    for chunk in _chunks(tap, inputs, rows):
        # Cloned, since a model that works in place must not get at the caller's tensors.
        given = [value[chunk].clone() if isinstance(value, Tensor) and value.dim() else value for value in args]
        with device_mismatch_explained(tap.forward_func, inputs, args):
            part = tap.read([*(tensor[chunk].clone() for tensor in inputs), *given])
        _check_rows(tap, part, [len(tensor[chunk]) for tensor in inputs], chunk == slice(None))
        parts.append(part)
    if len({part.runs for part in parts}) > 1:
        raise ValueError("layer: expected it to run equally often for all examples. Explain the examples one by one.")
    tensors = tuple(
        tuple(torch.cat(pieces) for pieces in zip(*layer, strict=True))
        for layer in zip(*(part.tensors for part in parts), strict=True)
    )
    return Activations(tensors, parts[0].runs, _copied(parts[0].output) if len(parts) == 1 else None)


def settle_arguments(tap: LayerHooks, given: Arguments, rows: int) -> Arguments:
    """The additional arguments as :func:`read_all` takes them: wrapped if slices of them do not do."""
    if len(_chunks(tap, given.inputs, rows)) < 2:
        return given  # passed on as they are
    args = wrap_without_rows(given.forward_args or (), len(given.inputs[0]))

    def plain(*values: Any) -> Any:
        return tap.run(values, lambda _, activation: activation)

    trials = Trials(plain, given.inputs, args, rows, look_ahead=False)
    choice = trials.ambiguous()
    return given._replace(forward_args=trials.settle_unseen(choice) if choice else args)


def arguments_at_layer(
    tap: LayerHooks, function: PatchedForward, ends: Activations, given: Arguments, rows: int, look_ahead: bool
) -> tuple[Any, ...]:
    """What ``function`` takes after the activations: inputs and additional arguments, wrapped if they are shared."""
    activations = tuple(tensor for tensors in ends.tensors for tensor in tensors)
    inputs, examples = len(given.inputs), len(activations[0])
    regrouped = _has_bags(tap, given.inputs) or any(len(tensor) != examples for tensor in given.inputs)
    own = [tensor.clone() for tensor in given.inputs] if regrouped else given.inputs  # a model may write to them
    args = wrap_without_rows((*own, *(given.forward_args or ())), examples)
    trials = Trials(function, activations, args, rows, look_ahead, inputs)
    choice = [k for k in trials.ambiguous() if regrouped or k >= inputs]
    doubtful = [arg for arg in args if isinstance(arg, SharedArgument) and examples in arg.tensor.shape[1:2]]
    if ends.output is None or trials.same_rows or not (choice or doubtful or regrouped):
        return args
    return trials.settle(choice, ends.output, whole_first=regrouped)


def _chunks(tap: LayerHooks, inputs: Tensors, rows: int) -> list[slice]:
    if _has_bags(tap, inputs) or len({len(tensor) for tensor in inputs}) > 1:
        return [slice(None)]
    chunks = split(inputs, 1, rows, look_ahead=True)[0]
    return chunks if len(chunks) > 1 else [slice(None)]


def _has_bags(tap: LayerHooks, inputs: Tensors) -> bool:
    return inputs[0].dim() == 1 and any(isinstance(layer, nn.EmbeddingBag) for layer in tap.layers)


def warn_of_runs(tap: LayerHooks, runs: Sequence[int]) -> None:
    """Warn about layers that run several times."""
    for layer, times in zip(tap.layers, runs, strict=True):
        if times > 1:
            warn(
                f"A layer {type(layer).__name__} runs {times} times in forward_func. Explained is its last {tap.end}. "
                "To explain another, give each use a module of its own."
            )


def _copied(output: object) -> Tensor | None:
    return output.detach().clone() if isinstance(output, Tensor) and output.dim() else None


def _check_rows(tap: LayerHooks, part: Activations, lengths: list[int], is_all: bool) -> None:
    output = part.output
    rows = len(output) if is_all and isinstance(output, Tensor) and output.dim() else lengths[0]
    for layer, tensors in zip(tap.layers, part.tensors, strict=True):
        if len(tensors[0]) != rows or (rows != lengths[0] and len(part.tensors) > 1):
            if len(set(lengths)) > 1:
                raise ValueError(f"inputs: expected as many examples in every tensor of the tuple, got {lengths}.")
            raise ValueError(
                f"layer: expected one row for each of {lengths[0]} examples in dimension 0 of the {tap.end} of a "
                f"{type(layer).__name__}, got shape {tuple(tensors[0].shape)}. Explain a layer before the examples are "
                "regrouped, or set batch_first=True."
            )
