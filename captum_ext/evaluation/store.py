"""Results on disk: one Parquet file a batch of images, put in place whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from captum_ext._utils.errors import UserError
from captum_ext._utils.files import replace_file
from captum_ext._utils.optional import optional
from captum_ext._utils.text import as_unicode

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = "settings.json"
_MARK, _HEX_DIGITS = b"captum_ext.sha256:", 64
_ABANDONED = 86_400  # seconds without a change, after which no process is still writing a file
EXPLAINED, MISCLASSIFIED, UNREADABLE = "explained", "misclassified", "unreadable"


@dataclass(frozen=True)
class Row:
    """One score of one image under one method, or (``score="image"``) what became of the image.

    Attributes:
        image: The file's name below the folder.
        method: Such as ``"blur-ig+idgi"``; empty in an image's own row.
        steps: Of the method's path; 0 for a method without.
        score: Such as ``"insertion"``; ``"image"`` for the image's own row, whose variant is ``"explained"``,
            ``"misclassified"`` or ``"unreadable"``.
        variant: How it was measured, such as ``"signed"``.
        value: The score; the target's probability in an image's own row; NaN where there is none.
        curve: What the value is the area of, on evenly spaced points; ``None`` where there is none.
        note: Why there is no value, if there is none.
    """

    image: str
    method: str
    steps: int
    score: str
    variant: str
    value: float
    curve: list[float] | None = None
    note: str | None = None


class ResultsError(UserError):
    """Results that can't be read, written or continued; the message says what to do."""


class Results:
    """A folder of results, of which each file is finished work.

    Args:
        folder: Where; made by ``begin``.

    Example:
        >>> from pathlib import Path
        >>> from captum_ext.evaluation import Results
        >>> scores = Results(Path("results")).read()  # doctest: +SKIP
        >>> scores[scores.score == "insertion"].groupby("method").value.mean()  # doctest: +SKIP
    """

    def __init__(self, folder: Path) -> None:
        """Of this folder."""
        self.folder = folder

    def begin(self, settings: dict[str, Any]) -> None:
        """Make the folder, or make sure that what is in it was made with the same settings.

        Raises:
            ResultsError: If it was not, or the folder can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            parts = [*self.folder.glob(f".{SETTINGS}.*.tmp"), *self.folder.glob("*/.batch-*.parquet.*.tmp")]
            for part in parts:
                _remove_abandoned(part)
            path = self.folder / SETTINGS
            if not path.exists():
                if set(self.folder.iterdir()) - set(parts):
                    raise ResultsError(f"{self.folder}: has files but no {SETTINGS}. Name an empty or a new folder.")
                # Sorted, the digest comes last.
                stored = {"settings": settings, "sha256": (_MARK + b"0" * _HEX_DIGITS).decode()}
                replace_file(path, _sealed(json.dumps(stored, indent=1, sort_keys=True).encode()))
        except OSError as error:
            raise ResultsError(f"{self.folder}: can't be written ({error.strerror or error}).") from error
        found = self.settings()
        changed = [key for key in sorted({*settings, *found}) if settings.get(key) != found.get(key)]
        if changed:
            differences = "; ".join(f"{key} was {found.get(key)}, is {settings.get(key)}" for key in changed)
            raise ResultsError(
                f"{self.folder}: was made with other settings ({differences[:600]}). Go on with the same ones, or name "
                "a new folder."
            )

    def settings(self) -> dict[str, Any]:
        """The settings that the results were made with.

        Raises:
            ResultsError: If there are none, or they are damaged.
        """
        path = self.folder / SETTINGS
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ResultsError(
                f"{self.folder}: no results of captum-ext evaluate: {SETTINGS} can't be read ({error.strerror})."
            ) from error
        if not _intact(content):
            raise ResultsError(
                f"{path}: changed, damaged, or not written by this version of captum-ext evaluate. Restore it from a "
                "copy, or evaluate again into a new folder."
            )
        settings: dict[str, Any] = json.loads(content)["settings"]
        return settings

    def has(self, model: str, batch: int) -> bool:
        """Whether a batch is finished."""
        return self._path(model, batch).exists()

    def write(self, model: str, batch: int, rows: Iterable[Row]) -> None:
        """Put the file of a batch in place.

        Raises:
            ResultsError: If it can't be written; everything that was there before still is.
        """
        pa, parquet = optional("pyarrow", "evaluation"), optional("pyarrow.parquet", "evaluation")
        kinds = [pa.string()] * 2 + [pa.int32()] + [pa.string()] * 2
        kinds += [pa.float64(), pa.list_(pa.float32()), pa.string()]
        names = [field.name for field in fields(Row)]
        batch_of = json.dumps({"model": model, "batch": batch})
        metadata = {b"captum_ext": batch_of.encode(), b"captum_ext.digest": _MARK + b"0" * _HEX_DIGITS}
        schema = pa.schema([("model", pa.string()), *zip(names, kinds, strict=True)], metadata)
        stored = [{key: _storable(value) for key, value in {"model": model, **asdict(row)}.items()} for row in rows]
        buffer = pa.BufferOutputStream()
        table = pa.Table.from_pylist(stored, schema)
        parquet.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        path = self._path(model, batch)
        try:
            path.parent.mkdir(exist_ok=True)
            replace_file(path, _sealed(buffer.getvalue().to_pybytes()))
        except OSError as error:
            raise ResultsError(
                f"{path}: can't be written ({error.strerror or error}). What was finished before is intact; the same "
                "command goes on from there."
            ) from error

    def read(self, columns: list[str] | None = None) -> pd.DataFrame:
        """All rows so far, ordered by model, batch and row: the columns of :class:`Row`, and ``model``.

        Args:
            columns: Only these; without ``curve`` it takes far less memory. Default ``None``: all.

        Raises:
            ResultsError: If there are none, or a file is damaged, foreign, or there twice.
        """
        pandas = optional("pandas", "evaluation")
        optional("pyarrow", "evaluation")  # or pandas would call each file damaged
        frames = []
        try:
            for file in self._files():
                frames.append(self._read(file, columns))
        except OSError as error:
            raise ResultsError(f"{error.filename}: can't be read ({error.strerror}).") from error
        if not frames:
            raise ResultsError(f"{self.folder}: no finished batch yet.")
        frame: pd.DataFrame = pandas.concat(frames, ignore_index=True)
        return frame

    def _files(self) -> Iterator[Path]:
        """The files of batches. (Path.glob would pass over folders that can't be read.)"""
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir():
                yield from sorted(file for file in folder.iterdir() if file.match("batch-*.parquet"))

    def _read(self, file: Path, columns: list[str] | None) -> pd.DataFrame:
        pandas, parquet = optional("pandas", "evaluation"), optional("pyarrow.parquet", "evaluation")
        content = file.read_bytes()
        if not _intact(content):
            raise ResultsError(
                f"{file}: can't be read: damaged, or not written by this version of captum-ext evaluate. Remove it and "
                "evaluate again."
            )
        try:
            batch_of = json.loads(parquet.read_metadata(io.BytesIO(content)).metadata[b"captum_ext"])
            frame: pd.DataFrame = pandas.read_parquet(
                io.BytesIO(content), columns=columns, page_checksum_verification=True
            )
        except Exception as error:  # of many kinds, such as for a column that isn't there
            raise ResultsError(f"{file}: can't be read ({error}). Remove it and evaluate again.") from error
        own = self._path(batch_of["model"], batch_of["batch"])
        if own != file:
            raise ResultsError(f"{file}: is a copy of {own}, or was renamed from it. Remove it or move it there.")
        return frame

    def _path(self, model: str, batch: int) -> Path:
        name = quote(as_unicode(model), safe="")
        name = name if name.strip(".") else name.replace(".", "%2E")  # "." and ".." are other folders
        return self.folder / name / f"batch-{batch:06d}.parquet"


def _storable(value: Any) -> Any:
    return as_unicode(value) if isinstance(value, str) else value


def _sealed(content: bytes) -> bytes:
    """The content with the SHA-256 digest of all other bytes after the last mark, in the place of what is there."""
    head, mark, tail = content.rpartition(_MARK)
    assert mark, "the writer puts one there"
    digest = hashlib.sha256(head + mark + tail[_HEX_DIGITS:]).hexdigest().encode()
    return head + mark + digest + tail[_HEX_DIGITS:]


def _intact(content: bytes) -> bool:
    """Whether no bit has changed since the content was sealed; nothing that was never sealed is."""
    return _MARK in content and _sealed(content) == content


def _remove_abandoned(part: Path) -> None:
    """Remove an unfinished file of a run that was killed, and none that another process may be writing now."""
    try:
        if time.time() - part.stat().st_mtime > _ABANDONED:
            part.unlink()
    except FileNotFoundError:  # finished or removed since it was listed
        pass
