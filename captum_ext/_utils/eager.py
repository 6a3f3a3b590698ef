"""Run compiled models eagerly for a time."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from captum_ext._utils.locks import ShortLock


class _Call:
    """A call during which compiled models run eagerly. The weak set drops it when the call ends, in whatever way."""


_stance_lock = ShortLock()
_calls: weakref.WeakSet[_Call] = weakref.WeakSet()
_stance: list[AbstractContextManager[Any]] = []  # at most one, because torch has one stance for all threads


@contextmanager
def eager_mode() -> Iterator[None]:
    """Run compiled models eagerly until the last of several threads leaves this context."""
    call = _Call()
    try:
        with _stance_lock.hold():
            _calls.add(call)
            if not _stance and "torch._dynamo" in sys.modules:
                _stance.append(torch.compiler.set_stance("force_eager"))
        yield
    finally:
        with _stance_lock.hold():
            _calls.discard(call)
            if _stance and not _calls:
                _stance.pop().__exit__(None, None, None)
