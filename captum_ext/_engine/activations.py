"""Activations of layers: reading them in a forward pass, and replacing them."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel.scatter_gather import scatter

from captum_ext._engine.forward_args import SharedArgument
from captum_ext._engine.hooks import hooks, runs_in
from captum_ext._utils.tensors import Tensors


class Activations(NamedTuple):
    """The activations of layers in one forward pass.

    Attributes:
        tensors: The tensors of each layer, one row per row of the inputs; copies.
        runs: The number of runs of each layer. The tensors are those of the last run.
        output: The function's output.
    """

    tensors: tuple[Tensors, ...]
    runs: tuple[int, ...]
    output: Any

    def flat(self) -> Tensors:
        """The tensors of all layers in one tuple."""
        return tuple(tensor for tensors in self.tensors for tensor in tensors)


class LayerHooks:
    """Hooks with which the activations of layers are read and replaced.

    The hooks act only during :meth:`run`, in the thread that made this object and in the copies of the layers that
    DataParallel makes for it. In other threads, and if an interrupt prevented their removal, they do nothing.

    Args:
        forward_func: The function that runs the layers.
        layers: The layers.
        at_input: Whether to use the layers' inputs instead of their outputs.
        device_ids: The devices of a DataParallel model in the order of the batch. Default: those of ``forward_func``.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layers: Sequence[nn.Module],
        at_input: bool,
        device_ids: Sequence[int] | None = None,
    ) -> None:
        self.forward_func = forward_func
        self.layers = tuple(layers)
        self.at_input = at_input
        self.end = "input" if at_input else "output"
        self.device_ids = list(device_ids or getattr(forward_func, "device_ids", None) or ())
        self._thread = threading.get_ident()
        self._replace: Callable[[int, Any], Any] | None = None  # set during a pass
        self._backward_pass: int | None = None
        self._replay: weakref.ref[Callable[[int, Any], Any]] | None = None  # of that backward pass

    def active(self) -> AbstractContextManager[None]:
        """A context in which the hooks are registered."""
        return hooks(self.layers, self._before if self.at_input else self._after, self.at_input)

    def run(self, arguments: Sequence[Any], replace: Callable[[int, Any], Any]) -> Any:
        """Run the function, with ``replace(k, activation)`` in place of layer k's activation."""
        self._replace = replace
        try:
            return self.forward_func(*(arg.tensor if isinstance(arg, SharedArgument) else arg for arg in arguments))
        finally:
            self._replace = None

    def replay(self, output: Any, replace: Callable[[int, Any], Any]) -> None:
        """Replace the activations in the same way if the backward pass from this output runs the layers again.

        Activation checkpointing does so. The function that replaces them lives as long as the output's graph.
        """

        def note_backward_pass(gradient: Tensor) -> None:
            # On a GPU, autograd's threads run the backward passes of all threads, so only the id identifies this one.
            self._backward_pass = torch._C._current_graph_task_id()
            # A graph of the gradient would run the layers once more when these hooks are gone.
            self._replay = None if torch.is_grad_enabled() else weakref.ref(replace)

        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(note_backward_pass)

    def _before(self, k: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Any:
        replace = self._replacement(k, module)
        if replace is None or kwargs is None:  # in another thread, torch may call the hook without kwargs
            return None
        # Keyword arguments hold the activation only if positional ones do not.
        return (replace(k, args), kwargs) if tensors_of(args) or not tensors_of(kwargs) else (args, replace(k, kwargs))

    def _after(self, k: int, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        replace = self._replacement(k, module)
        return None if replace is None else replace(k, output)

    def _replacement(self, k: int, module: nn.Module) -> Callable[[int, Any], Any] | None:
        """The current pass's function for layer k's activation, or ``None`` if this run is not part of that pass."""
        if self._backward_pass is not None and torch._C._current_graph_task_id() == self._backward_pass:
            again = None if self._replay is None else self._replay()
            if again is None:
                raise ValueError(
                    f"create_graph: the layer {type(self.layers[k]).__name__} runs again in backward passes, because "
                    "of checkpointing, and the attributions' own would find another point. Turn it off, as in "
                    "model.gradient_checkpointing_disable()."
                )
            return again
        return self._replace if runs_in(self._thread, module) else None

    def read(self, arguments: Sequence[Any]) -> Activations:
        """The layers' activations in one forward pass, in the current gradient mode.

        Raises:
            ValueError: If a layer did not run, or has no activations of real numbers.
        """
        activations: list[dict[torch.device, Tensors]] = [{} for _ in self.layers]
        runs: list[dict[torch.device, int]] = [{} for _ in self.layers]
        lock = threading.Lock()  # DataParallel runs the layers in several threads

        def record(k: int, value: Any) -> Any:
            tensors = tensors_of(value)
            if not tensors:
                raise ValueError(
                    f"layer: expected floating point tensors in the {self.end} of the layer "
                    f"{type(self.layers[k]).__name__}, got {_describe(value)}. "
                    + ("Explain its output." if self.at_input else "Explain another layer.")
                )
            with lock:
                # Copied, because a later layer may work in place.
                activations[k][tensors[0].device] = tuple(tensor.clone() for tensor in tensors)
                runs[k][tensors[0].device] = runs[k].get(tensors[0].device, 0) + 1
            return value

        output = self.run(arguments, record)
        return Activations(
            tuple(self.gather(k, by_device) for k, by_device in enumerate(activations)),
            tuple(max(counts.values()) for counts in runs),
            output,
        )

    def scatter(self, tensors: Tensors) -> dict[torch.device, Tensors]:
        """The rows that DataParallel runs on each device."""
        if len(self.device_ids) < 2 or tensors[0].device.type == "cpu":
            return {tensors[0].device: tensors}
        return {part[0].device: part for part in scatter(tensors, self.device_ids)}

    def gather(self, k: int, by_device: dict[torch.device, Tensors]) -> Tensors:
        """Layer k's activations in the order of the batch, from those on each device.

        Raises:
            ValueError: If the layer did not run, or the order of the devices is unknown.
        """
        if not by_device:
            raise ValueError(
                f"layer: the layer {type(self.layers[k]).__name__} did not run in forward_func, or ran where hooks are "
                "not called (in a scripted model, or in a thread that forward_func starts). Give a layer of the very "
                "model that forward_func calls, before it is scripted."
            )
        if len(by_device) == 1:
            return next(iter(by_device.values()))
        if not self.device_ids:
            raise ValueError("device_ids: expected the order of the devices that the layer ran on. Give device_ids.")
        parts = [by_device[device] for device in sorted(by_device, key=lambda d: self.device_ids.index(d.index))]
        return tuple(
            torch.cat([piece.to(parts[0][0].device) for piece in pieces]) for pieces in zip(*parts, strict=True)
        )


class PatchedForward:
    """A function of layers' activations: runs the hooked function with its activations replaced by these.

    Call it with the activations, one tensor after another, followed by the arguments of the hooked function. If a layer
    runs several times, only its last run is replaced.

    Args:
        hooks: The function and its layers.
        like: Activations with the same structure.
    """

    def __init__(self, hooks: LayerHooks, like: Activations) -> None:
        self._hooks = hooks
        self._runs = like.runs
        self._sizes = [len(tensors) for tensors in like.tensors]

    def __call__(self, *args: Any) -> Any:
        """The hooked function's output."""
        count = sum(self._sizes)
        by_device = self._hooks.scatter(args[:count])
        runs: dict[tuple[int, torch.device], int] = {}

        def replace(k: int, value: Any) -> Any:
            device = tensors_of(value)[0].device
            runs[k, device] = runs.get((k, device), 0) + 1
            if runs[k, device] != self._runs[k]:
                return value
            return put(k, value, device)

        def replace_again(k: int, value: Any) -> Any:
            if self._runs[k] > 1:
                raise ValueError(
                    f"layer: a {type(self._hooks.layers[k]).__name__} runs {self._runs[k]} times in forward_func and "
                    "again in the backward pass, because of activation checkpointing, and which run that repeats is "
                    "not known. Turn it off, as in model.gradient_checkpointing_disable()."
                )
            return put(k, value, tensors_of(value)[0].device)

        def put(k: int, value: Any, device: torch.device) -> Any:
            start = sum(self._sizes[:k])
            return with_tensors(value, by_device[device][start : start + self._sizes[k]])

        output = self._hooks.run(args[count:], replace)
        self._hooks.replay(output, replace_again)
        return output


def tensors_of(value: Any) -> Tensors:
    """The activations among a layer's arguments or outputs: floating point tensors with as many rows as the first."""
    parts = _parts_of(value)
    tensors = [part for part in parts if isinstance(part, Tensor) and part.is_floating_point() and part.dim() > 0]
    return tuple(tensor for tensor in tensors if len(tensor) == len(tensors[0]))


def with_tensors(value: Any, tensors: Tensors) -> Any:
    """A layer's arguments or outputs with other activations."""
    if isinstance(value, Tensor):
        return tensors[0]
    replaced, new = set(map(id, tensors_of(value))), iter(tensors)
    if isinstance(value, Mapping):
        changed: Any = copy.copy(value)
        for key, part in value.items():
            if id(part) in replaced:
                changed[key] = next(new)
        return changed
    parts = [next(new) if id(part) in replaced else part for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _parts_of(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else (value,)


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}"
    parts = _parts_of(value) if isinstance(value, Mapping | tuple | list) else ()
    return f"{type(value).__name__}({', '.join(_describe(part) for part in parts)})" if parts else type(value).__name__
