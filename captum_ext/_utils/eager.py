"""Compiled models, run eagerly for a while."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch


class _Call:
    """A call that needs compiled models to run eagerly; gone with the call, however that ends."""


_lock = threading.RLock()  # guards what follows; an interrupt that left it locked would block other threads only
_calls: weakref.WeakSet[_Call] = weakref.WeakSet()
_stance: list[AbstractContextManager[Any]] = []  # at most one: torch's stance is that of all threads


@contextmanager
def eager_mode() -> Iterator[None]:
    """Run what torch.compile made eagerly, until the last of the threads that are inside has left."""
    call = _Call()
    try:
        with _lock:
            _calls.add(call)
            if not _stance and "torch._dynamo" in sys.modules:
                _stance.append(torch.compiler.set_stance("force_eager"))
        yield
    finally:
        with _lock:
            _calls.discard(call)
            if _stance and not _calls:
                _stance.pop().__exit__(None, None, None)
