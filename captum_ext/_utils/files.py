"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def replace_file(path: Path, content: bytes) -> None:
    """Write a file under another name beside it, then rename it; after a failure, what was there before still is.

    A link stays a link to its file, and a file that is replaced keeps its permissions.

    Raises:
        OSError: If it can't be written.
    """
    path = Path(os.path.realpath(path))
    # A name of its own for each call: other threads and processes may write the same file. Cut, for names have a limit.
    part = path.with_name(f".{path.name[:40]}.{uuid4().hex}.tmp")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
