"""The images in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from captum_ext._utils.errors import UserError

_SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"])


def image_files(option: str, name: str) -> list[Path]:
    """The image files in a folder and its subfolders, sorted by name.

    Raises:
        UserError: If the folder does not exist or has no image files, or it or a subfolder can't be read.
    """
    try:
        if not Path(name).is_dir():
            raise UserError(f"{option} {name}: no such folder")
        # Path.rglob would silently skip folders that can't be read.
        paths = (Path(folder) / file for folder, _, files in os.walk(name, onerror=_raise) for file in files)
        files = sorted(path for path in paths if path.suffix.lower() in _SUFFIXES and path.is_file())
    except OSError as error:
        raise UserError(f"{option} {error.filename or name}: can't be read ({error.strerror or error})") from error
    if not files:
        raise UserError(f"{option} {name}: has no image files ({', '.join(sorted(_SUFFIXES))})")
    return files


def _raise(error: OSError) -> NoReturn:
    raise error
