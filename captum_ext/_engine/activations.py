"""The activations of layers: read from a forward pass, or put into one."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel.scatter_gather import scatter

from captum_ext._engine.forward_args import SharedArgument
from captum_ext._engine.hooks import hooks, runs_in
from captum_ext._utils.tensors import Tensors


class Activations(NamedTuple):
    """What layers took in or put out in a forward pass.

    Attributes:
        tensors: The tensors of each layer, one row a row of the inputs, copied.
        runs: How often each layer ran. The tensors are those of its last run.
        output: What the function returned.
    """

    tensors: tuple[Tensors, ...]
    runs: tuple[int, ...]
    output: Any


class LayerHooks:
    """Some layers of a function, where activations can be read.

    A tap belongs to the thread that makes it. Its hooks act in the passes of :meth:`run` only, in that thread and in
    the copies of the layers that DataParallel makes for it. In other threads, and after an interrupt that kept a hook
    from being removed, they do nothing.

    Args:
        forward_func: The function that runs the layers.
        layers: The layers.
        at_input: Whether their input counts, or their output.
        device_ids: The devices of a DataParallel model in the order of the batch; ``None`` looks for them in
            ``forward_func``.
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
        self.device_ids = list(device_ids or getattr(forward_func, "device_ids", None) or ())
        self._thread = threading.get_ident()
        self._see: Callable[[int, Any], Any] | None = None  # set during a pass
        self._backward_pass: int | None = None

    @property
    def end(self) -> str:
        """Which end of the layers, in words."""
        return "input" if self.at_input else "output"

    def hooked(self) -> AbstractContextManager[None]:
        """A context in which the layers have the hooks that :meth:`run` needs."""
        return hooks(self.layers, self._before if self.at_input else self._after, self.at_input)

    def run(self, given: Sequence[Any], see: Callable[[int, Any], Any]) -> Any:
        """Run the function; ``see(k, activation)`` gives what layer k's activation is replaced by."""
        self._see = see
        try:
            return self.forward_func(*(value.tensor if isinstance(value, SharedArgument) else value for value in given))
        finally:
            self._see = None

    def guard(self, output: Any) -> None:
        """Refuse runs of the layers in the backward pass from this output.

        Activation checkpointing has such: its backward pass runs the layers anew, when nothing is in their place.
        """

        def note(gradient: Tensor) -> None:
            # On a GPU, autograd's own threads run the backward passes of all threads: only the id tells whose it is.
            self._backward_pass = torch._C._current_graph_task_id()

        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(note)

    def _before(self, k: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Any:
        see = self._seen_by(k, module)
        if see is None or kwargs is None:  # torch may not know yet, in another thread, that the hook takes kwargs
            return None
        # Keyword arguments count where no positional one could.
        return (see(k, args), kwargs) if tensors_of(args) or not tensors_of(kwargs) else (args, see(k, kwargs))

    def _after(self, k: int, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        see = self._seen_by(k, module)
        return None if see is None else see(k, output)

    def _seen_by(self, k: int, module: nn.Module) -> Callable[[int, Any], Any] | None:
        """What the pass under way does with layer k's activation, or ``None`` if this run of it is not the pass's."""
        if self._backward_pass is not None and torch._C._current_graph_task_id() == self._backward_pass:
            raise ValueError(
                f"layer: {_name(self.layers[k])} ran again in the backward pass, so the gradient would be another "
                "point's. Turn off activation checkpointing, as in model.gradient_checkpointing_disable()."
            )
        return self._see if runs_in(self._thread, module) else None

    def read(self, given: Sequence[Any]) -> Activations:
        """The layers' activations in one forward pass, in the gradient mode that is on.

        Raises:
            ValueError: If a layer did not run, or has no activations of real numbers.
        """
        found: list[dict[torch.device, Tensors]] = [{} for _ in self.layers]
        runs: list[dict[torch.device, int]] = [{} for _ in self.layers]
        lock = threading.Lock()  # DataParallel runs the layers in several threads

        def keep(k: int, value: Any) -> Any:
            tensors = tensors_of(value)
            if not tensors:
                raise ValueError(
                    f"layer: expected floating point tensors in the {self.end} of {_name(self.layers[k])}, got "
                    f"{_described(value)}. " + ("Explain its output." if self.at_input else "Explain another layer.")
                )
            with lock:
                # Copied, since a later layer may work in place.
                found[k][tensors[0].device] = tuple(tensor.clone() for tensor in tensors)
                runs[k][tensors[0].device] = runs[k].get(tensors[0].device, 0) + 1
            return value

        output = self.run(given, keep)
        tensors = tuple(self.gather(k, by_device) for k, by_device in enumerate(found))
        return Activations(tensors, tuple(max(counts.values()) for counts in runs), output)

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
                f"layer: {_name(self.layers[k])} did not run in forward_func, or ran where hooks are not called (in a "
                "scripted model, or in a thread that forward_func starts). Give a layer of the very model that "
                "forward_func calls, before it is scripted."
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
    """A function of layers' activations: the tapped function, run with these in the place of its own.

    Called with the activations, one tensor after another, and then what the tapped function takes. Only the last run
    of a layer that runs several times is replaced.

    Args:
        tap: The function and its layers.
        like: What the layers' activations look like.
    """

    def __init__(self, tap: LayerHooks, like: Activations) -> None:
        self._tap = tap
        self._runs = like.runs
        self._sizes = [len(tensors) for tensors in like.tensors]

    def __call__(self, *given: Any) -> Any:
        """The tapped function's output."""
        count = sum(self._sizes)
        by_device = self._tap.scatter(given[:count])
        runs: dict[tuple[int, torch.device], int] = {}

        def put(k: int, value: Any) -> Any:
            device = tensors_of(value)[0].device
            runs[k, device] = runs.get((k, device), 0) + 1
            if runs[k, device] != self._runs[k]:
                return value
            start = sum(self._sizes[:k])
            return with_tensors(value, by_device[device][start : start + self._sizes[k]])

        output = self._tap.run(given[count:], put)
        self._tap.guard(output)
        return output


def tensors_of(value: Any) -> Tensors:
    """The activations in what a layer takes or returns: floating point tensors with as many rows as the first."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else (value,)
    return tuple(part for part in parts if _is_activation(part, _rows(parts)))


def with_tensors(value: Any, tensors: Tensors) -> Any:
    """The same with other activations."""
    if isinstance(value, Tensor):
        return tensors[0]
    new = iter(tensors)
    rows = _rows(value.values() if isinstance(value, Mapping) else value)
    if isinstance(value, Mapping):
        changed: Any = copy.copy(value)
        for key, part in value.items():
            if _is_activation(part, rows):
                changed[key] = next(new)
        return changed
    parts = [next(new) if _is_activation(part, rows) else part for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _rows(parts: Any) -> int | None:
    return next((len(part) for part in parts if _is_activation(part, None)), None)


def _is_activation(part: Any, rows: int | None) -> bool:
    fits = isinstance(part, Tensor) and part.is_floating_point() and part.dim() > 0
    return fits and rows in (None, len(part))


def _name(layer: nn.Module) -> str:
    return f"the layer {type(layer).__name__}"


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}"
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return f"{type(value).__name__}({', '.join(_described(part) for part in parts)})" if parts else type(value).__name__
