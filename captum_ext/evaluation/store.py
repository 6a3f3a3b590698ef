"""Results on disk: one Parquet file a batch of images, put in place whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from captum_ext._errors import UserError
from captum_ext._optional import optional

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = "settings.json"
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
            for left in self.folder.rglob(".*.tmp"):  # of a run that was killed
                left.unlink()
            path = self.folder / SETTINGS
            if not path.exists():
                if any(self.folder.iterdir()):
                    raise ResultsError(f"{self.folder}: has files but no {SETTINGS}. Name an empty or a new folder.")
                _replace(path, json.dumps(settings, indent=1, sort_keys=True).encode())
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
            ResultsError: If there are none.
        """
        try:
            settings: dict[str, Any] = json.loads((self.folder / SETTINGS).read_text())
        except (OSError, ValueError) as error:
            raise ResultsError(
                f"{self.folder}: no results of captum-ext evaluate: {SETTINGS} can't be read ({error})."
            ) from error
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
        schema = pa.schema([("model", pa.string()), *zip(names, kinds, strict=True)])
        table = pa.Table.from_pylist([{"model": model, **asdict(row)} for row in rows], schema)
        buffer = pa.BufferOutputStream()
        parquet.write_table(table, buffer, compression="zstd")
        path = self._path(model, batch)
        try:
            path.parent.mkdir(exist_ok=True)
            _replace(path, buffer.getvalue())
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
            ResultsError: If there are none or a file is damaged.
        """
        pandas = optional("pandas", "evaluation")
        optional("pyarrow", "evaluation")  # or pandas would call each file damaged
        files = sorted(self.folder.glob("*/batch-*.parquet"))
        if not files:
            raise ResultsError(f"{self.folder}: no finished batch yet.")
        frames = []
        for file in files:
            try:
                frames.append(pandas.read_parquet(file, columns=columns))
            except Exception as error:  # what a damaged file makes of the reader knows no bounds
                raise ResultsError(f"{file}: can't be read ({error}). Remove it and evaluate again.") from error
        frame: pd.DataFrame = pandas.concat(frames, ignore_index=True)
        return frame

    def _path(self, model: str, batch: int) -> Path:
        return self.folder / quote(model, safe="") / f"batch-{batch:06d}.parquet"


def _replace(path: Path, content: Any) -> None:
    """Write a file under another name and rename it, so that it is never there in part."""
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
