"""Locks of files, which end with the process that holds them."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        # A record lock: forked processes, which may outlive this one, do not inherit it.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_HELD_ELSEWHERE = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@dataclass
class FileLock:
    """An open file that may be locked; as a context, it is closed and removed at the end.

    Attributes:
        path: The file.
        file: The open file.
        is_held: Whether it is locked: ``False`` if another process holds the lock, ``None`` if the file system has no
            locks.
    """

    path: Path
    file: IO[bytes]
    is_held: bool | None

    def __enter__(self) -> FileLock:
        """The lock itself."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Release the lock, and remove the file if this process held it."""
        self.file.close()
        if self.is_held:
            with suppress(OSError):  # another process has it open, on Windows, or removed it
                self.path.unlink()


def lock_file(path: Path) -> FileLock:
    """Try to lock a file, without waiting. A process that is killed leaves the file, but not the lock.

    Raises:
        OSError: If the file can't be written.
    """
    path.parent.mkdir(exist_ok=True)
    file = path.open("ab")
    try:
        _lock(file)
    except OSError as error:
        return FileLock(path, file, False if error.errno in _HELD_ELSEWHERE else None)
    return FileLock(path, file, True)
