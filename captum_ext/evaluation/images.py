"""The images of an evaluation and their labels."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from captum_ext._utils.errors import UserError
from captum_ext._utils.text import as_unicode
from captum_ext.vision.folder import image_files

_COLUMNS = {"file": ("file", "filename", "image", "path"), "label": ("class_index", "label", "target")}


class LabeledImage(NamedTuple):
    r"""An image file and its class.

    Args:
        name: Its name in the results. Bytes of a file name that are not UTF-8 become ``\udcXX``.
        path: The file.
        label: The class; ``None`` if it is unknown.
        folders: The number of class folders, if the label comes from a folder; otherwise ``None``.
        mask: The file of the object's mask; ``None`` if there is none.

    Example:
        >>> from pathlib import Path
        >>> from captum_ext.evaluation import LabeledImage
        >>> LabeledImage("cat.jpg", Path("photographs/cat.jpg"), 281).label
        281
    """

    name: str
    path: Path
    label: int | None
    folders: int | None = None
    mask: Path | None = None


def find_images(
    folder: str | Path, labels: str | Path | None = None, masks: str | Path | None = None
) -> list[LabeledImage]:
    """The images in a folder, with their labels, and the masks of their objects.

    Labels come from a CSV file with a header: a column ``file`` (or ``filename``, ``image``, ``path``) with names
    relative to the folder, and a column ``class_index`` (or ``label``, ``target``). Without such a file, subfolders are
    classes in the order of their names, as for torchvision's ``ImageFolder``; evaluating labels requires one subfolder
    per class of the model. Otherwise images have no label.

    Args:
        folder: The folder of images.
        labels: The CSV file. Default ``None``: ``labels.csv`` in the folder, if it exists.
        masks: A folder of masks, PNG files with the images' names and sizes: ``birds/1.png`` for ``birds/1.jpg``. A
            pixel is inside the object if its value is not 0. Images may lack a mask; the results then say so. Default
            ``None``: no masks.

    Returns:
        The images, ordered by name. With a CSV file these are the images that it names, including missing files, which
        the evaluation reports.

    Raises:
        ValueError: If there are no images, the labels are invalid, no image has a mask, or two images have the same.

    Example:
        >>> from captum_ext.evaluation import find_images
        >>> find_images("photographs", "labels.csv")  # doctest: +SKIP
    """
    try:
        images = _find_images(Path(folder), labels)
        return images if masks is None else _with_masks(images, Path(folder), Path(masks))
    except OSError as error:
        raise UserError(f"{error.filename or folder}: can't be read ({error.strerror or error})") from error


def _find_images(root: Path, labels: str | Path | None) -> list[LabeledImage]:
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    table = Path(labels) if labels is not None else root / "labels.csv"
    if labels is not None or table.is_file():
        return _from_table(root, table)
    files = image_files("images:", str(root))
    names = [file.relative_to(root).as_posix() for file in files]
    groups = sorted({name.split("/")[0] for name in names if "/" in name})
    if not groups or any("/" not in name for name in names):
        return [LabeledImage(as_unicode(name), file, None) for name, file in zip(names, files, strict=True)]
    groups = sorted(path.name for path in root.iterdir() if path.is_dir())
    return [
        LabeledImage(as_unicode(name), file, groups.index(name.split("/")[0]), len(groups))
        for name, file in zip(names, files, strict=True)
    ]


def _with_masks(images: list[LabeledImage], root: Path, folder: Path) -> list[LabeledImage]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    if folder.resolve() == root.resolve():
        raise UserError(f"{folder}: is the folder of images; put their masks into another folder")
    found: dict[Path, str] = {}
    result = []
    for image in images:
        relative = image.path.relative_to(root) if image.path.is_relative_to(root) else Path(image.path.name)
        mask = folder / relative.with_suffix(".png")
        if not mask.is_file():
            result.append(image)
            continue
        if mask in found:
            raise UserError(f"{mask}: is the mask of {found[mask]} and of {image.name}; give them different names")
        found[mask] = image.name
        result.append(image._replace(mask=mask))
    if not found:
        relative = Path(images[0].name).with_suffix(".png")
        raise UserError(f"{folder}: has no mask of any of {len(images)} images, such as {relative}")
    return result


def _from_table(root: Path, table: Path) -> list[LabeledImage]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    images: dict[str, LabeledImage] = {}
    for line, row in enumerate(rows, 2):
        name, label = (next((row[name] for name in names if row.get(name)), "") for names in _COLUMNS.values())
        if not (name and label.isascii() and label.isdigit()):
            raise UserError(
                f"{table}, line {line}: expected columns file and class_index (an integer from 0), got "
                f"{', '.join(f'{key}={value}' for key, value in row.items())}"
            )
        if name in images:
            raise UserError(f"{table}, line {line}: {name} is there twice")
        images[name] = LabeledImage(name, root / name, int(label))
    if not images:
        raise UserError(f"{table}: names no images")
    return [images[name] for name in sorted(images)]
