"""The activations of layers: read from a forward pass, or put into one."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel.scatter_gather import scatter

from captum_ext._forward_args import Unrepeated
from captum_ext._segment import Tensors


class Activations(NamedTuple):
    """What layers took in or put out in a forward pass.

    Attributes:
        tensors: The tensors of each layer, one row a row of the inputs, copied.
        runs: How often each layer ran. The tensors are those of its last run.
    """

    tensors: tuple[Tensors, ...]
    runs: tuple[int, ...]


class Tap:
    """Some layers of a function, where activations can be read.

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
        self._running = False
        self.device_ids = list(device_ids or getattr(forward_func, "device_ids", None) or ())

    @property
    def end(self) -> str:
        """Which end of the layers, in words."""
        return "input" if self.at_input else "output"

    def run(self, given: Sequence[Any], see: Callable[[int, Any], Any]) -> Any:
        """Run the function; ``see(k, activation)`` gives what layer k's activation is replaced by."""
        self._running = True
        try:
            return self._run(given, see)
        finally:
            self._running = False

    def _run(self, given: Sequence[Any], see: Callable[[int, Any], Any]) -> Any:
        with _uncompiled(), _hooks(self.layers, self.at_input, see):
            return self.forward_func(*(value.tensor if isinstance(value, Unrepeated) else value for value in given))

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Refuse runs of the layers outside :meth:`run`.

        Activation checkpointing has such: its backward pass runs the layers anew, when nothing is in their place.
        """

        def check(k: int, value: Any) -> Any:
            if not self._running:
                raise ValueError(
                    f"layer: {_name(self.layers[k])} ran again in the backward pass, so the gradient would be another "
                    "point's. Turn off activation checkpointing, as in model.gradient_checkpointing_disable()."
                )
            return value

        with _hooks(self.layers, self.at_input, check):
            yield

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

        self.run(given, keep)
        for layer, by_device in zip(self.layers, found, strict=True):
            if not by_device:
                raise ValueError(
                    f"layer: {_name(layer)} did not run in forward_func, or ran where hooks are not called (in a "
                    "scripted model). Give a layer of the very model that forward_func calls, before it is scripted."
                )
        return Activations(tuple(map(self._gather, found)), tuple(max(counts.values()) for counts in runs))

    def scatter(self, tensors: Tensors) -> dict[torch.device, Tensors]:
        """The rows that DataParallel runs on each device."""
        if len(self.device_ids) < 2 or tensors[0].device.type == "cpu":
            return {tensors[0].device: tensors}
        return {part[0].device: part for part in scatter(tensors, self.device_ids)}

    def _gather(self, by_device: dict[torch.device, Tensors]) -> Tensors:
        if len(by_device) == 1:
            return next(iter(by_device.values()))
        if not self.device_ids:
            raise ValueError("device_ids: expected the order of the devices that the layer ran on. Give device_ids.")
        parts = [by_device[device] for device in sorted(by_device, key=lambda d: self.device_ids.index(d.index))]
        return tuple(
            torch.cat([piece.to(parts[0][0].device) for piece in pieces]) for pieces in zip(*parts, strict=True)
        )


class Replaced:
    """A function of layers' activations: the tapped function, run with these in the place of its own.

    Called with the activations, one tensor after another, and then what the tapped function takes. Only the last run
    of a layer that runs several times is replaced.

    Args:
        tap: The function and its layers.
        like: What the layers' activations look like.
    """

    def __init__(self, tap: Tap, like: Activations) -> None:
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

        return self._tap.run(given[count:], put)


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


@contextmanager
def _hooks(layers: Sequence[nn.Module], at_input: bool, see: Callable[[int, Any], Any]) -> Iterator[None]:
    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], k: int) -> Any:
        # Keyword arguments count where no positional one could.
        return (see(k, args), kwargs) if tensors_of(args) or not tensors_of(kwargs) else (args, see(k, kwargs))

    def after(module: nn.Module, args: tuple[Any, ...], output: Any, k: int) -> Any:
        return see(k, output)

    with ExitStack() as stack:
        for k, layer in enumerate(layers):
            if at_input:
                handle = layer.register_forward_pre_hook(partial(before, k=k), with_kwargs=True)
            else:
                handle = layer.register_forward_hook(partial(after, k=k))
            stack.callback(handle.remove)
        yield


def _uncompiled() -> AbstractContextManager[Any]:
    """Compiled models run eagerly: what was compiled before has no new hook, what is compiled now would keep it."""
    if "torch._dynamo" in sys.modules:
        stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance
    return nullcontext()


def _name(layer: nn.Module) -> str:
    return f"the layer {type(layer).__name__}"


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}"
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return f"{type(value).__name__}({', '.join(_described(part) for part in parts)})" if parts else type(value).__name__
