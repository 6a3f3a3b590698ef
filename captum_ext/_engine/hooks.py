"""Hooks on modules that several threads may run at the same time."""

from __future__ import annotations

import threading
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

from captum_ext._utils.eager import eager_mode
from captum_ext._utils.locks import ShortLock

_registration_lock = ShortLock()  # torch may give the same id to two hooks that are registered at the same time
_hook_counts: weakref.WeakKeyDictionary[nn.Module, int] = weakref.WeakKeyDictionary()


@contextmanager
def hooks(
    layers: Sequence[nn.Module], hook: Callable[..., Any], at_input: bool, always: bool = False
) -> Iterator[None]:
    """Call ``hook(k, module, ...)`` whenever layer k runs, in any thread.

    Compiled models run eagerly in this context: code compiled before lacks the hook, and code compiled now would keep
    it.

    Args:
        layers: The modules.
        hook: A forward hook, or a forward pre-hook with keyword arguments, preceded by k.
        at_input: Whether to register a pre-hook.
        always: Whether the forward hook runs before all others, and even if the layer raises an exception.
    """
    with eager_mode(), ExitStack() as stack:
        for k, layer in enumerate(layers):
            stack.callback(_remove, layer, _register(layer, partial(hook, k), at_input, always))
        yield


def runs_in(thread: int, module: nn.Module) -> bool:
    """Whether this run of a module belongs to a thread, in which it runs or for which DataParallel copied it."""
    return thread in (threading.get_ident(), module.__dict__.get("_replicated_in"))


def _register(layer: nn.Module, hook: Callable[..., Any], at_input: bool, always: bool) -> Any:
    with _registration_lock.hold():
        _hook_counts[layer] = _hook_counts.get(layer, 0) + 1
        layer.__dict__["_replicate_for_data_parallel"] = types.MethodType(_replicate_for_data_parallel, layer)
        if at_input:
            return layer.register_forward_pre_hook(hook, with_kwargs=True)
        return layer.register_forward_hook(hook, prepend=always, always_call=always)


def _remove(layer: nn.Module, handle: Any) -> None:
    with _registration_lock.hold():
        handle.remove()
        _hook_counts[layer] -= 1
        if not _hook_counts[layer]:
            layer.__dict__.pop("_replicate_for_data_parallel", None)


def _replicate_for_data_parallel(module: nn.Module) -> nn.Module:
    """DataParallel's copy of a module, which runs in another thread and shares the module's hooks."""
    replica: nn.Module = type(module)._replicate_for_data_parallel(module)
    del replica.__dict__["_replicate_for_data_parallel"]
    replica.__dict__["_replicated_in"] = threading.get_ident()
    return replica
