"""Hooks on modules that other threads may run at the same time."""

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

_lock = threading.RLock()  # guards what follows; an interrupt that left it locked would block other threads only
_hook_counts: weakref.WeakKeyDictionary[nn.Module, int] = weakref.WeakKeyDictionary()


@contextmanager
def hooks(
    layers: Sequence[nn.Module], hook: Callable[..., Any], at_input: bool, always: bool = False
) -> Iterator[None]:
    """Have torch call ``hook(k, module, ...)`` whenever layer k runs, in any thread.

    Compiled models run eagerly meanwhile: what was compiled before has no new hook, what is compiled now would keep it.

    Args:
        layers: The modules to hook.
        hook: A forward hook, or a forward pre-hook with keyword arguments, with k in front.
        at_input: Whether it is the pre-hook.
        always: Whether the forward hook runs before all others, and even if the layer raises an exception.
    """
    with eager_mode(), ExitStack() as stack:
        for k, layer in enumerate(layers):
            stack.callback(_remove, layer, _register(layer, partial(hook, k), at_input, always))
        yield


def runs_in(thread: int, module: nn.Module) -> bool:
    """Whether this run of a module, possibly DataParallel's copy of one with :func:`hooks`, is a thread's own."""
    return thread in (threading.get_ident(), module.__dict__.get("_replicated_in"))


def _register(layer: nn.Module, hook: Callable[..., Any], at_input: bool, always: bool) -> Any:
    with _lock:  # torch may give two hooks that are registered at the same time one id
        _hook_counts[layer] = _hook_counts.get(layer, 0) + 1
        layer.__dict__["_replicate_for_data_parallel"] = types.MethodType(_replicate_for_data_parallel, layer)
        if at_input:
            return layer.register_forward_pre_hook(hook, with_kwargs=True)
        return layer.register_forward_hook(hook, prepend=always, always_call=always)


def _remove(layer: nn.Module, handle: Any) -> None:
    with _lock:
        handle.remove()
        _hook_counts[layer] -= 1
        if not _hook_counts[layer]:
            layer.__dict__.pop("_replicate_for_data_parallel", None)


def _replicate_for_data_parallel(module: nn.Module) -> nn.Module:
    """DataParallel's copy of a module, which runs in a thread of its own; it shares the module's hooks."""
    replica: nn.Module = type(module)._replicate_for_data_parallel(module)
    del replica.__dict__["_replicate_for_data_parallel"]
    replica.__dict__["_replicated_in"] = threading.get_ident()
    return replica
