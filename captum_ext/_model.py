"""What a forward pass may do to the user's model, noticed and undone."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from captum_ext._warn import warn

_LIBRARIES = ("torch.", "torchvision.", "captum.", "numpy.")  # whose functions refer to no model of the user's


@contextmanager
def untouched(forward_func: Callable[..., Any]) -> Iterator[None]:
    """Warn about layers in training mode, and put back the buffers that forward passes change.

    Warns:
        UserWarning: If a layer is in training mode whose output then depends on chance or on the batch.
    """
    modules = {module for root in modules_of(forward_func) for module in root.modules()}
    random = sorted({type(module).__name__ for module in modules if module.training and _has_two_modes(module)})
    if random:
        warn(
            f"The model has layers in training mode ({', '.join(random)}): its output depends on chance or on "
            "the other rows of a batch, and so do the attributions. Call model.eval() first."
        )
    kept = [
        (module._buffers, name, buffer, buffer.clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffers, name, buffer, value in kept:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
                if buffers.get(name) is not buffer:
                    buffers[name] = buffer


def modules_of(function: Any) -> list[nn.Module]:
    """The modules that a function is, is a method of, or refers to by name, as far as that can be seen."""
    found: list[nn.Module] = []
    seen: set[int] = set()
    pending = [function]
    while pending:
        thing = pending.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            found.append(thing)
        elif isinstance(thing, functools.partial):
            pending += [thing.func, *thing.args, *thing.keywords.values()]
        elif inspect.ismethod(thing):
            pending += [thing.__self__, thing.__func__]
        elif inspect.isfunction(thing):
            if not (thing.__module__ or "").startswith(_LIBRARIES):
                pending += _referred_to(thing)
        elif hasattr(thing, "__dict__") and callable(thing) and not isinstance(thing, type):
            pending += [*vars(thing).values(), type(thing).__call__]
    return found


def _referred_to(function: Any) -> list[Any]:
    names = function.__code__.co_names
    things = [function.__globals__[name] for name in names if name in function.__globals__]
    for cell in function.__closure__ or ():
        try:
            things.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    return [thing for thing in things if not inspect.ismodule(thing)]


def _has_two_modes(layer: nn.Module) -> bool:
    if isinstance(layer, nn.modules.batchnorm._BatchNorm | nn.RReLU):
        return True
    if isinstance(layer, nn.modules.instancenorm._InstanceNorm):
        return layer.track_running_stats
    drops = isinstance(layer, nn.modules.dropout._DropoutNd) or type(layer).__name__ in ("StochasticDepth", "DropPath")
    rate = getattr(layer, "p" if drops else "dropout", 0)
    return isinstance(rate, float) and rate > 0
