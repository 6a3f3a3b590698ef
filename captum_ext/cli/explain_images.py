"""The images of ``captum-ext explain``: files, folders and patterns of names."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import NamedTuple

from captum_ext._utils.text import printable
from captum_ext.cli.errors import CommandError
from captum_ext.vision.folder import image_files


class ImageFile(NamedTuple):
    """An image to explain.

    Attributes:
        name: Its name in everything that is printed and written; each image has another one.
        path: The file; ``None`` for scikit-image's photograph.
        is_named: Whether the user named the file itself, so that an unreadable one is an error.
    """

    name: str
    path: str | None
    is_named: bool


def find_image_files(arguments: list[str], excluded: Path | None = None) -> list[ImageFile]:
    """The images that files, folders and patterns such as ``"photos/*.jpg"`` name, each once.

    Args:
        arguments: From the command line; without any, scikit-image's photograph.
        excluded: A folder whose images are left out: the one that an earlier run wrote.

    Raises:
        CommandError: If a pattern matches no file, or a folder has no images.
    """
    if not arguments:
        return [ImageFile("coffee", None, True)]
    paths: dict[str, bool] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            files = [str(file) for file in image_files("IMAGE", argument) if not _is_below(file, excluded)]
            if not files:
                raise CommandError(f"IMAGE {argument}: has no image files besides those in {excluded}")
        elif not path.exists() and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 -- the pattern may be absolute
            files = [match for match in matches if Path(match).is_file() and not _is_below(Path(match), excluded)]
            if not files:
                raise CommandError(f"IMAGE {argument}: no file has a name like this")
        else:
            paths[argument] = True
            continue
        for file in files:
            paths.setdefault(file, False)
    short = [printable(Path(path).name) for path in paths]
    names = short if len(set(short)) == len(short) else [printable(path) for path in paths]
    return [ImageFile(name, path, named) for name, (path, named) in zip(names, paths.items(), strict=True)]


def _is_below(file: Path, folder: Path | None) -> bool:
    return folder is not None and folder.resolve() in file.resolve().parents
