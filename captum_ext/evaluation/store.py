"""Results on disk: one Parquet file per batch of images, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

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
_NAMES = ("model", "image", "method", "score", "variant")  # columns whose values repeat
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


@dataclass(frozen=True)
class ExamplePicture:
    """A small picture of an image or of its map, for reports.

    Attributes:
        image: The file's name, relative to the folder.
        method: The method; empty for the image itself.
        steps: The number of steps; 0 for methods without a path, and for the image.
        picture: A JPEG file.
    """

    image: str
    method: str
    steps: int
    picture: bytes


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

    def create(self, settings: dict[str, Any], notes: Mapping[str, str] | None = None) -> None:
        """Create the folder, or check that its results have the same settings.

        Args:
            settings: What the numbers depend on, as JSON.
            notes: More lines for reports, which need not be the same.

        Raises:
            ResultsError: If they have not, or the folder can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            parts = [*self.folder.glob(f".{SETTINGS}.*.tmp"), *self.folder.glob("*/.*.parquet.*.tmp")]
            for part in parts:
                _remove_abandoned(part)
            path = self.folder / SETTINGS
            if not path.exists():
                foreign = [file for file in self.folder.iterdir() if not file.match(f".{SETTINGS}.*.tmp")]
                if foreign and not path.exists():  # another process may have created it
                    raise ResultsError(f"{self.folder}: has files but no {SETTINGS}. Name an empty or a new folder.")
                # Sorted, the digest comes last.
                mark = (_DIGEST_MARK + b"0" * _HEX_DIGITS).decode()
                stored = {"settings": settings, "notes": dict(notes or {}), "sha256": mark}
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
        settings: dict[str, Any] = self._stored()["settings"]
        return settings

    def notes(self) -> dict[str, str]:
        """The notes of the first run besides the settings, such as the preset of its command."""
        notes: dict[str, str] = self._stored().get("notes", {})
        return notes

    def _stored(self) -> dict[str, Any]:
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
        stored: dict[str, Any] = json.loads(content)
        return stored

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
        pa = optional("pyarrow", "evaluation")
        kinds = [pa.string()] * 2 + [pa.int32()] + [pa.string()] * 2
        kinds += [pa.float64(), pa.list_(pa.float32()), pa.string()]
        names = [field.name for field in fields(ResultRow)]
        columns = [("model", pa.string()), *zip(names, kinds, strict=True)]
        self._write(model, batch, "batch", columns, [asdict(row) | {"model": model} for row in rows])

    def write_examples(self, model: str, batch: int, pictures: Iterable[ExamplePicture]) -> None:
        """Write the pictures of a batch's examples; call it before :meth:`write`, which says that a batch is finished.

        Raises:
            ResultsError: If they can't be written; all other files are intact.
        """
        pa = optional("pyarrow", "evaluation")
        names = [field.name for field in fields(ExamplePicture)]
        columns = list(zip(names, [pa.string(), pa.string(), pa.int32(), pa.binary()], strict=True))
        self._write(model, batch, "examples", columns, [asdict(picture) for picture in pictures])

    def _write(
        self, model: str, batch: int, kind: str, columns: list[tuple[str, Any]], rows: list[dict[str, Any]]
    ) -> None:
        pa, parquet = optional("pyarrow", "evaluation"), optional("pyarrow.parquet", "evaluation")
        batch_of = json.dumps({"model": model, "batch": batch})
        metadata = {b"captum_ext": batch_of.encode(), b"captum_ext.digest": _DIGEST_MARK + b"0" * _HEX_DIGITS}
        stored = [
            {key: as_unicode(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows
        ]
        buffer = pa.BufferOutputStream()
        table = pa.Table.from_pylist(stored, pa.schema(columns, metadata))
        parquet.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        path = self._path(model, batch, kind)
        try:
            path.parent.mkdir(exist_ok=True)
            replace_file(path, _with_digest(buffer.getvalue().to_pybytes()))
        except OSError as error:
            raise ResultsError(
                f"{path}: can't be written ({error.strerror or error}). What was finished before is intact; run the "
                "same command again to resume."
            ) from error

    def read(
        self, columns: list[str] | None = None, model: str | None = None, categorical: bool = False
    ) -> pd.DataFrame:
        """All rows so far, ordered by model, batch and row: the columns of :class:`ResultRow`, and ``model``.

        Args:
            columns: The columns to read; without ``curve`` it takes far less memory. Default ``None``: all.
            model: Read the rows of this model only. Default ``None``: of all.
            categorical: Whether columns of names are categorical, which takes less memory. Default: False.

        Raises:
            ResultsError: If there are none, or a file is damaged, foreign or a copy.
        """
        optional("pandas", "evaluation")  # before the files are read
        pa = optional("pyarrow", "evaluation")
        names = [name for name in _NAMES if columns is None or name in columns] if categorical else []
        tables = [self._read(file, columns, names) for file in self._files("batch", model)]
        if not tables:
            raise ResultsError(f"{self.folder}: no finished batch yet.")
        frame: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
        return frame

    def models(self) -> list[str]:
        """The models with a finished batch, in the settings' order."""
        finished = [unquote(file.parent.name) for file in self._files("batch", None)]
        known = [name for name in self.settings()["models"] if name in finished]
        return list(dict.fromkeys([*known, *finished]))

    def examples(self, model: str) -> list[ExamplePicture]:
        """The pictures of a model's examples; none in results that have none.

        Raises:
            ResultsError: If a file is damaged, foreign or a copy.
        """
        tables = [self._read(file, None, []) for file in self._files("examples", model)]
        return [ExamplePicture(**row) for table in tables for row in table.to_pylist()]

    def _files(self, kind: str, model: str | None) -> list[Path]:
        """The files of batches, or of their examples. Path.glob would silently skip folders that can't be read."""
        try:
            folders = sorted(self.folder.iterdir()) if model is None else [self._path(model, 0, kind).parent]
            return [
                file
                for folder in folders
                if folder.is_dir()
                for file in sorted(folder.iterdir())
                if file.match(f"{kind}-*.parquet")
            ]
        except OSError as error:
            raise ResultsError(f"{error.filename}: can't be read ({error.strerror}).") from error

    def _read(self, file: Path, columns: list[str] | None, categorical: list[str]) -> Any:
        """An Arrow table."""
        parquet = optional("pyarrow.parquet", "evaluation")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ResultsError(f"{error.filename}: can't be read ({error.strerror}).") from error
        if not _is_intact(content):
            raise ResultsError(
                f"{file}: can't be read: damaged, or not written by this version of captum-ext evaluate. Remove it and "
                "evaluate again."
            )
        try:
            batch_of = json.loads(parquet.read_metadata(io.BytesIO(content)).metadata[b"captum_ext"])
            table = parquet.read_table(
                io.BytesIO(content), columns=columns, read_dictionary=categorical, page_checksum_verification=True
            )
        except Exception as error:  # of many types, such as for a missing column
            raise ResultsError(f"{file}: can't be read ({error}). Remove it and evaluate again.") from error
        expected = self._path(batch_of["model"], batch_of["batch"], file.name.partition("-")[0])
        if expected != file:
            raise ResultsError(f"{file}: is a copy of {expected}, or was renamed from it. Remove it or move it there.")
        return table.replace_schema_metadata(None)

    def _path(self, model: str, batch: int, kind: str = "batch") -> Path:
        name = quote(as_unicode(model), safe="")
        name = name if name.strip(".") else name.replace(".", "%2E")  # "." and ".." are other folders
        return self.folder / name / f"{kind}-{batch:06d}.parquet"


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
