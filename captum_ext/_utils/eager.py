"""A context in which compiled models run eagerly."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch


class _Call:
    """A call that needs compiled models to run eagerly; removed when the call ends, even after an interrupt."""


_stance_lock = threading.RLock()  # if an interrupt leaves it locked, only other threads are blocked
_calls: weakref.WeakSet[_Call] = weakref.WeakSet()
_stance: list[AbstractContextManager[Any]] = []  # at most one, because all threads share torch's stance


@contextmanager
def eager_mode() -> Iterator[None]:
    """Run compiled models eagerly until the last thread has left this context."""
    call = _Call()
    try:
        with _stance_lock:
            _calls.add(call)
            if not _stance and "torch._dynamo" in sys.modules:
                _stance.append(torch.compiler.set_stance("force_eager"))
        yield
    finally:
        with _stance_lock:
            _calls.discard(call)
            if _stance and not _calls:
                _stance.pop().__exit__(None, None, None)
