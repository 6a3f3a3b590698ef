"""Results on disk: one Parquet file per batch of images, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from captum_ext._utils.errors import UserError
from captum_ext._utils.files import replace_file
from captum_ext._utils.optional import optional
from captum_ext._utils.text import as_unicode
from captum_ext.evaluation.claims import lock_file

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = "settings.json"
_DIGEST_MARK, _HEX_DIGITS = b"captum_ext.sha256:", 64
_ABANDONED_SECONDS = 86_400  # a file without a change for so long is not being written
EXPLAINED, MISCLASSIFIED, UNREADABLE = "explained", "misclassified", "unreadable"


@dataclass(frozen=True)
class ResultRow:
    """One score of one image for one method, or the status of the image (``score="image"``).

    Attributes:
        image: The file's name, relative to the folder.
        method: The method, such as ``"blur-ig+idgi"``; empty in the status row.
        steps: The number of steps; 0 for methods without a path.
        score: The score, such as ``"insertion"``; ``"image"`` in the status row.
        variant: The variant of the metric, such as ``"signed"``; ``"explained"``, ``"misclassified"`` or
            ``"unreadable"`` in the status row.
        value: The value; the target's probability in the status row; NaN if there is none.
        curve: The curve whose area is the value, on evenly spaced points; ``None`` if there is none.
        note: The reason if there is no value.
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
    """Results can't be read, written or continued; the message says what to do."""


class Results:
    """A folder of results, one file per finished batch.

    Args:
        folder: The folder.

    Example:
        >>> from pathlib import Path
        >>> from captum_ext.evaluation import Results
        >>> scores = Results(Path("results")).read()  # doctest: +SKIP
        >>> scores[scores.score == "insertion"].groupby("method").value.mean()  # doctest: +SKIP
    """

    def __init__(self, folder: Path) -> None:
        """See the class."""
        self.folder = folder

    def create(self, settings: dict[str, Any]) -> None:
        """Create the folder, or check that its results have the same settings.

        Raises:
            ResultsError: If they have not, or the folder can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            parts = [*self.folder.glob(f".{SETTINGS}.*.tmp"), *self.folder.glob("*/.batch-*.parquet.*.tmp")]
            for part in parts:
                _remove_abandoned(part)
            path = self.folder / SETTINGS
            if not path.exists():
                foreign = [file for file in self.folder.iterdir() if not file.match(f".{SETTINGS}.*.tmp")]
                if foreign and not path.exists():  # another process may have created it
                    raise ResultsError(f"{self.folder}: has files but no {SETTINGS}. Name an empty or a new folder.")
                # Sorted, the digest comes last.
                stored = {"settings": settings, "sha256": (_DIGEST_MARK + b"0" * _HEX_DIGITS).decode()}
                replace_file(path, _with_digest(json.dumps(stored, indent=1, sort_keys=True).encode()))
        except OSError as error:
            raise ResultsError(f"{self.folder}: can't be written ({error.strerror or error}).") from error
        stored_settings = self.settings()
        keys = sorted({*settings, *stored_settings})
        changed = [key for key in keys if settings.get(key) != stored_settings.get(key)]
        if changed:
            differences = "; ".join(f"{key} was {stored_settings.get(key)}, is {settings.get(key)}" for key in changed)
            raise ResultsError(
                f"{self.folder}: was made with other settings ({differences[:600]}). Continue with the same ones, or "
                "name a new folder."
            )

    def settings(self) -> dict[str, Any]:
        """The settings of the results: the fields of the configuration, and digests of models, images and patterns.

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
        if not _is_intact(content):
            raise ResultsError(
                f"{path}: changed, damaged, or not written by this version of captum-ext evaluate. Restore it from a "
                "copy, or evaluate again into a new folder."
            )
        settings: dict[str, Any] = json.loads(content)["settings"]
        return settings

    def has(self, model: str, batch: int) -> bool:
        """Whether a batch is finished."""
        return self._path(model, batch).exists()

    @contextmanager
    def claim(self, model: str, batch: int) -> Iterator[bool | None]:
        """Claim a batch while the context is active: whether it succeeds, or ``None`` without locks of files.

        Another process can claim the batch as soon as this one ends, however it ends.

        Raises:
            ResultsError: If the folder can't be written.
        """
        path = self._path(model, batch)
        try:
            lock = lock_file(path.with_name(f".{path.stem}.lock"))
        except OSError as error:
            raise ResultsError(f"{path.parent}: can't be written ({error.strerror or error}).") from error
        with lock:
            yield lock.is_held

    def write(self, model: str, batch: int, rows: Iterable[ResultRow]) -> None:
        """Write the file of a batch.

        Raises:
            ResultsError: If it can't be written; all other files are intact.
        """
        pa, parquet = optional("pyarrow", "evaluation"), optional("pyarrow.parquet", "evaluation")
        kinds = [pa.string()] * 2 + [pa.int32()] + [pa.string()] * 2
        kinds += [pa.float64(), pa.list_(pa.float32()), pa.string()]
        names = [field.name for field in fields(ResultRow)]
        batch_of = json.dumps({"model": model, "batch": batch})
        metadata = {b"captum_ext": batch_of.encode(), b"captum_ext.digest": _DIGEST_MARK + b"0" * _HEX_DIGITS}
        schema = pa.schema([("model", pa.string()), *zip(names, kinds, strict=True)], metadata)
        stored = [
            {key: as_unicode(value) if isinstance(value, str) else value for key, value in asdict(row).items()}
            | {"model": as_unicode(model)}
            for row in rows
        ]
        buffer = pa.BufferOutputStream()
        table = pa.Table.from_pylist(stored, schema)
        parquet.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        path = self._path(model, batch)
        try:
            path.parent.mkdir(exist_ok=True)
            replace_file(path, _with_digest(buffer.getvalue().to_pybytes()))
        except OSError as error:
            raise ResultsError(
                f"{path}: can't be written ({error.strerror or error}). What was finished before is intact; run the "
                "same command again to resume."
            ) from error

    def read(self, columns: list[str] | None = None) -> pd.DataFrame:
        """All rows so far, ordered by model, batch and row: the columns of :class:`ResultRow`, and ``model``.

        Args:
            columns: The columns to read; without ``curve`` it takes far less memory. Default ``None``: all.

        Raises:
            ResultsError: If there are none, or a file is damaged, foreign or a copy.
        """
        pandas = optional("pandas", "evaluation")
        optional("pyarrow", "evaluation")  # or pandas would call each file damaged
        try:
            frames = [self._read(file, columns) for file in self._files()]
        except OSError as error:
            raise ResultsError(f"{error.filename}: can't be read ({error.strerror}).") from error
        if not frames:
            raise ResultsError(f"{self.folder}: no finished batch yet.")
        frame: pd.DataFrame = pandas.concat(frames, ignore_index=True)
        return frame

    def _files(self) -> Iterator[Path]:
        """The files of batches. Path.glob would silently skip folders that can't be read."""
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir():
                yield from sorted(file for file in folder.iterdir() if file.match("batch-*.parquet"))

    def _read(self, file: Path, columns: list[str] | None) -> pd.DataFrame:
        pandas, parquet = optional("pandas", "evaluation"), optional("pyarrow.parquet", "evaluation")
        content = file.read_bytes()
        if not _is_intact(content):
            raise ResultsError(
                f"{file}: can't be read: damaged, or not written by this version of captum-ext evaluate. Remove it and "
                "evaluate again."
            )
        try:
            batch_of = json.loads(parquet.read_metadata(io.BytesIO(content)).metadata[b"captum_ext"])
            frame: pd.DataFrame = pandas.read_parquet(
                io.BytesIO(content), columns=columns, page_checksum_verification=True
            )
        except Exception as error:  # of many types, such as for a missing column
            raise ResultsError(f"{file}: can't be read ({error}). Remove it and evaluate again.") from error
        expected = self._path(batch_of["model"], batch_of["batch"])
        if expected != file:
            raise ResultsError(f"{file}: is a copy of {expected}, or was renamed from it. Remove it or move it there.")
        return frame

    def _path(self, model: str, batch: int) -> Path:
        name = quote(as_unicode(model), safe="")
        name = name if name.strip(".") else name.replace(".", "%2E")  # "." and ".." are other folders
        return self.folder / name / f"batch-{batch:06d}.parquet"


def _with_digest(content: bytes) -> bytes:
    """The content, in which the digest after the last mark is the SHA-256 of all other bytes."""
    head, mark, tail = content.rpartition(_DIGEST_MARK)
    assert mark, "written with one"
    digest = hashlib.sha256(head + mark + tail[_HEX_DIGITS:]).hexdigest().encode()
    return head + mark + digest + tail[_HEX_DIGITS:]


def _is_intact(content: bytes) -> bool:
    """Whether the content has a digest and no bit has changed since."""
    return _DIGEST_MARK in content and _with_digest(content) == content


def _remove_abandoned(part: Path) -> None:
    """Remove an unfinished file of a killed run, but not one that another process may be writing now."""
    try:
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            part.unlink()
    except FileNotFoundError:  # renamed or removed in the meantime
        pass
