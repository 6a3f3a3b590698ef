"""Compiled models, run eagerly for a while."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

_lock = threading.Lock()  # guards what follows
_calls: set[object] = set()
_stance: list[AbstractContextManager[Any]] = []  # at most one: torch's stance is that of all threads


@contextmanager
def eager_mode() -> Iterator[None]:
    """Run what torch.compile made eagerly, until the last of the threads that are inside has left."""
    call = object()
    try:
        with _lock:
            _calls.add(call)
            if not _stance and "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):  # torch 2.6
                _stance.append(torch.compiler.set_stance("force_eager"))
        yield
    finally:
        with _lock:
            _calls.discard(call)
            if _stance and not _calls:
                _stance.pop().__exit__(None, None, None)
