"""Replace files atomically."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def replace_file(path: Path, content: bytes) -> None:
    """Write a temporary file in the same folder, then rename it. After a failure, the old file is unchanged.

    If the path is a link, its target is replaced. The new file has the permissions of the old one.

    Raises:
        OSError: If it can't be written.
    """
    path = Path(os.path.realpath(path))
    # A unique name, because other threads and processes may write the same file; short, because names have a limit.
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
