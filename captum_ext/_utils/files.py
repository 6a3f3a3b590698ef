"""Replace files atomically."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
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


def file_names(names: Iterable[str], default: str) -> list[str]:
    """A name for a file for each name, without a suffix, unique even in file systems that ignore case.

    Args:
        names: Arbitrary names.
        default: For names without a character that file names can have.
    """
    chosen: list[str] = []
    taken: set[str] = set()
    for original in names:
        plain = re.sub(r"[^a-zA-Z0-9.+-]+", "_", original).strip("._")[:60] or default
        name, k = plain, 1
        while name.lower() in taken:
            k += 1
            name = f"{plain}_{k}"
        taken.add(name.lower())
        chosen.append(name)
    return chosen
