"""The images in a folder."""

from __future__ import annotations

from pathlib import Path

from captum_ext._errors import UserError

_SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"])


def image_files(option: str, name: str) -> list[Path]:
    """The image files in a folder and those below it, by name.

    Raises:
        UserError: If it is no folder or has none.
    """
    folder = Path(name)
    if not folder.is_dir():
        raise UserError(f"{option} {name}: no such folder")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not files:
        raise UserError(f"{option} {name}: has no image files ({', '.join(sorted(_SUFFIXES))})")
    return files
