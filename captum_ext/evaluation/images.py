"""The images of an evaluation and their labels."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from captum_ext._utils.errors import UserError
from captum_ext._utils.text import as_unicode
from captum_ext.vision.folder import image_files

_COLUMNS = {"file": ("file", "filename", "image", "path"), "label": ("class_index", "label", "target")}


class LabelledImage(NamedTuple):
    r"""A file, its name below the folder, and its class, if it is known.

    Args:
        name: What the results call it. In the name of a file, bytes that are not UTF-8 become ``\udcXX``.
        path: The file.
        label: The class; ``None`` where it is not known.
        folders: Of how many folders of classes it is in one; ``None`` where the label is from a table.

    Example:
        >>> from pathlib import Path
        >>> from captum_ext.evaluation import LabelledImage
        >>> LabelledImage("cat.jpg", Path("photographs/cat.jpg"), 281).label
        281
    """

    name: str
    path: Path
    label: int | None
    folders: int | None = None


def find_images(folder: str | Path, labels: str | Path | None = None) -> list[LabelledImage]:
    """The images in a folder, by name, with their labels.

    Labels come from a CSV file with a header: a column ``file`` (or ``filename``, ``image``, ``path``), the name below
    the folder, and a column ``class_index`` (or ``label``, ``target``). Where ``labels`` is ``None``, ``labels.csv``
    in the folder is taken if there is one. Without one, folders below the folder are classes in the order of their
    names, as for torchvision's ``ImageFolder``; an evaluation by label wants one a class of the model. Otherwise images
    have no label.

    Args:
        folder: Where.
        labels: The CSV file.

    Returns:
        The images, ordered by name. Those that the CSV file names are there even if the file is missing, so that it is
        reported; those that it does not name are left out.

    Raises:
        ValueError: If there are no images, or the labels can't be used.

    Example:
        >>> from captum_ext.evaluation import find_images
        >>> find_images("photographs", "labels.csv")  # doctest: +SKIP
    """
    try:
        return _find_images(Path(folder), labels)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: can't be read ({error.strerror or error})") from error


def _find_images(root: Path, labels: str | Path | None) -> list[LabelledImage]:
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    table = Path(labels) if labels is not None else root / "labels.csv"
    if labels is not None or table.is_file():
        return _from_table(root, table)
    files = image_files("images:", str(root))
    names = [file.relative_to(root).as_posix() for file in files]
    groups = sorted({name.split("/")[0] for name in names if "/" in name})
    if not groups or any("/" not in name for name in names):
        return [LabelledImage(as_unicode(name), file, None) for name, file in zip(names, files, strict=True)]
    groups = sorted(path.name for path in root.iterdir() if path.is_dir())
    return [
        LabelledImage(as_unicode(name), file, groups.index(name.split("/")[0]), len(groups))
        for name, file in zip(names, files, strict=True)
    ]


def _from_table(root: Path, table: Path) -> list[LabelledImage]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    found: dict[str, LabelledImage] = {}
    for line, row in enumerate(rows, 2):
        name, label = (next((row[name] for name in names if row.get(name)), "") for names in _COLUMNS.values())
        if not (name and label.isascii() and label.isdigit()):
            raise UserError(
                f"{table}, line {line}: expected columns file and class_index (a number from 0 on), got "
                f"{', '.join(f'{key}={value}' for key, value in row.items())}"
            )
        if name in found:
            raise UserError(f"{table}, line {line}: {name} is there twice")
        found[name] = LabelledImage(name, root / name, int(label))
    if not found:
        raise UserError(f"{table}: names no images")
    return [found[name] for name in sorted(found)]
