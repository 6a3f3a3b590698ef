"""Stored results, and estimates of them over the same images."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from captum_ext.evaluation import Estimate, ScoreSample, ScoreTable, bootstrap, combine

RESULTS = Path(__file__).parent / "results"
FloatArray = NDArray[np.floating[Any]]
Statistic = Literal["mean", "median"]


class Column(NamedTuple):
    """One score of one method in one run; ``steps=None`` is the largest step count."""

    run: str
    method: str
    score: str
    variant: str
    steps: int | None = None


class Stored:
    """A folder of results, of which any may be missing.

    Args:
        folder: Where ``evidence.runs`` and the experiments write. The comparisons of all methods are in the folder
            ``results`` of its grandparent, ``studies``.
    """

    def __init__(self, folder: Path = RESULTS) -> None:
        self.folder, self.folders = folder, (folder, folder.parents[1] / "results")
        self.settings = cache(self._settings)
        self.frame = cache(self._frame)
        self.run = cache(self._run)

    def _settings(self, name: str) -> dict[str, Any]:
        """What a run or an experiment was made with."""
        files = [folder / f"{name}.settings.json" for folder in self.folders]
        settings: dict[str, Any] = json.loads(next(filter(Path.exists, files), files[0]).read_text())
        return settings

    def _frame(self, name: str) -> Any:
        """The rows of a run or an experiment as a DataFrame, with those of NAME-more; ``None`` if there are none."""
        readers: dict[str, Callable[[Path], Any]] = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
        for (suffix, read), folder in product(readers.items(), self.folders):
            files = [folder / f"{name}{part}{suffix}" for part in ("", "-more")]
            if files[0].exists():
                return pd.concat([read(file) for file in files if file.exists()], ignore_index=True)
        return None

    def _run(self, name: str) -> ScoreTable | None:
        """A run's scores; ``None`` if there are none."""
        frame = self.frame(name)
        return None if frame is None else ScoreTable(frame, self.settings(name))

    def counts(self, name: str) -> dict[str, int]:
        """How many images of a run were explained, misclassified or unreadable."""
        rows = self.frame(name).query("score == 'image'").drop_duplicates("image")
        return dict(rows["variant"].value_counts())

    def sample(self, column: Column) -> ScoreSample | None:
        """The images' values; ``None`` if there are none."""
        scores = self.run(column.run)
        sample = None if scores is None else scores.sample(scores.models[0], *column[1:])
        return sample if sample is not None and len(sample.images) else None

    def combined(self, columns: Sequence[Column], function: Callable[[FloatArray], FloatArray]) -> Estimate | None:
        """An estimate over the images that all columns have; ``None`` if one is missing. See ``combine``."""
        return combine([self.sample(column) for column in columns], function)

    def value(self, column: Column) -> Estimate | None:
        """The data set's value."""
        return self.combined([column], lambda values: values[0])

    def difference(self, one: Column, other: Column) -> Estimate | None:
        """The value of one column less that of the other."""
        return self.combined((one, other), lambda values: values[0] - values[1])

    def together(self, columns: Sequence[Column]) -> list[Estimate] | None:
        """The values of each column over the images that all have; ``None`` if one is missing."""
        estimates = [self.combined(columns, lambda values, at=at: values[at]) for at in range(len(columns))]  # type: ignore[misc]
        return [one for one in estimates if one is not None] if all(estimates) else None

    def by_image(self, column: Column) -> Any:
        """Each image's value as a Series."""
        sample = self.sample(column)
        return pd.Series(dtype=float) if sample is None else pd.Series(sample.values, sample.images)


def over_images(values: Iterable[float], statistic: Statistic = "mean") -> Estimate:
    """The mean or median of one number per image; NaN is left out."""
    numbers = np.asarray(list(values), np.float64)
    numbers = numbers[~np.isnan(numbers)]
    return ScoreSample(np.arange(len(numbers)), numbers, statistic=statistic).estimate


def share(parts: Iterable[float], wholes: Iterable[float]) -> Estimate:
    """The sum of one number per image over the sum of another."""
    above, below = (np.asarray(list(values), np.float64) for values in (parts, wholes))
    return bootstrap(lambda drawn: above[drawn].sum(1) / below[drawn].sum(1), len(above))
