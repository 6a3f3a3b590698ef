"""A lock for sections of microseconds that an interrupt can't leave locked for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS = 5.0  # far longer than any section takes


class ShortLock:
    """A reentrant lock; :meth:`hold` is its context.

    Ctrl-C between the lines of a ``with`` statement may leave a lock locked. The next thread that waits for it in vain
    replaces it.
    """

    def __init__(self) -> None:
        """Unlocked."""
        self._lock = threading.RLock()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for the lock and hold it."""
        lock = self._lock
        if not lock.acquire(timeout=_SECONDS):
            self._lock = threading.RLock()
            yield
            return
        try:
            yield
        finally:
            lock.release()
