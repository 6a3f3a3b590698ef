"""What the page is made of: condensed runs, experiments' files, and estimates of them over the same images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from captum_ext._optional import optional
from captum_ext.evaluation.reporting.estimates import (
    Estimate,
    Floats,
    Sample,
    estimate,
    mean,
    median,
    replicates,
)
from captum_ext.evaluation.reporting.findings import Findings
from captum_ext.evaluation.reporting.measures import measure

if TYPE_CHECKING:
    import pandas as pd

RESULTS = Path(__file__).parent / "results"


class Column(NamedTuple):
    """What one method got for one score in one run; ``steps=None`` is its most."""

    run: str
    method: str
    score: str
    variant: str
    steps: int | None = None


class Stored:
    """A folder of results, of which any may be missing.

    Args:
        folder: Where ``evidence.condense`` and the experiments write.
    """

    def __init__(self, folder: Path = RESULTS) -> None:
        """Of this folder."""
        self.folder = folder
        self._runs: dict[str, Findings | None] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._rows: dict[str, pd.DataFrame | None] = {}
        self._differences: dict[tuple[Column, Column], Estimate | None] = {}
        self._replicates: dict[tuple[Column, tuple[str, ...]], Floats] = {}

    def run(self, name: str) -> Findings | None:
        """A run's samples; ``None`` if there are none."""
        if name not in self._runs:
            rows = self.folder / f"{name}.parquet"
            self._runs[name] = None
            if rows.exists():
                frame: pd.DataFrame = optional("pandas", "evaluation").read_parquet(rows)
                self._runs[name] = Findings(frame, self.settings(name))
                own = frame[frame["score"] == "image"].drop_duplicates("image")
                self._counts[name] = {str(kind): int(count) for kind, count in own["variant"].value_counts().items()}
        return self._runs[name]

    def counts(self, name: str) -> dict[str, int]:
        """How many images of a run were explained, misclassified or unreadable."""
        return self._counts[name] if self.run(name) else {}

    def settings(self, name: str) -> dict[str, Any]:
        """A run's settings."""
        if name not in self._settings:
            self._settings[name] = json.loads((self.folder / f"{name}.settings.json").read_text())
        return self._settings[name]

    def rows(self, name: str) -> pd.DataFrame | None:
        """An experiment's CSV; ``None`` if it was not run."""
        if name not in self._rows:
            file = self.folder / f"{name}.csv"
            self._rows[name] = optional("pandas", "evaluation").read_csv(file) if file.exists() else None
        return self._rows[name]

    def sample(self, column: Column) -> Sample | None:
        """The images' values; ``None`` if there are none."""
        found = self.run(column.run)
        if found is None or column.method not in found.steps:
            return None
        steps = found.most(column.method) if column.steps is None else column.steps
        some = found.sample(found.models[0], column.method, steps, measure(column.score, column.variant))
        return some if some is not None and len(some.images) else None

    def value(self, column: Column) -> Estimate | None:
        """The data set's value."""
        return self.combined([column], lambda found: found[0])

    def difference(self, one: Column, other: Column) -> Estimate | None:
        """The value of one less that of the other, over the images that both have."""
        key = (one, other)
        if key not in self._differences:
            self._differences[key] = self.combined(key, lambda found: found[0] - found[1])
        return self._differences[key]

    def together(self, columns: Sequence[Column]) -> list[Estimate] | None:
        """The values of each over the images that all have; ``None`` if one is missing."""
        found = [self.combined(columns, lambda values, at=at: values[at]) for at in range(len(columns))]  # type: ignore[misc]
        given = [one for one in found if one is not None]
        return given if len(given) == len(columns) else None

    def by_image(self, column: Column) -> dict[str, float]:
        """Each image's value; none if there are none."""
        found = self.sample(column)
        return {} if found is None else dict(zip(found.images.tolist(), found.values.tolist(), strict=True))

    def combined(self, columns: Sequence[Column], combine: Callable[[Floats], Floats]) -> Estimate | None:
        """Something of several values over the same draws of the images that all have.

        Args:
            columns: Which.
            combine: From values (columns, 1 + resamples), the first of all images, to (1 + resamples,).

        Returns:
            The estimate; ``None`` if a column is missing.
        """
        samples = [self.sample(column) for column in columns]
        given = [sample for sample in samples if sample is not None]
        if len(given) < len(samples):
            return None
        common = reduce(np.intersect1d, [sample.images for sample in given])
        found = [self._over(column, sample, common) for column, sample in zip(columns, given, strict=True)]
        with np.errstate(invalid="ignore"):  # infinity less infinity
            return estimate(combine(np.stack(found)), len(common))

    def _over(self, column: Column, sample: Sample, images: Any) -> Floats:
        key = (column, tuple(images))
        if key not in self._replicates:
            some, of = sample.only(images), measure(column.score, column.variant)
            self._replicates[key] = replicates(lambda drawn: of.summary(some, drawn), len(images))
        return self._replicates[key]


def change(found: Floats) -> Floats:
    """How much the last of values (columns, 1 + resamples) is from the first, in the direction that all images say."""
    moved = found[-1] - found[0]
    far: Floats = moved if moved[0] >= 0 else -moved
    return far


def over_images(values: Iterable[float], summary: Literal["mean", "median"] = "mean") -> Estimate:
    """The mean or median of one number an image, with its interval."""
    every = np.asarray(list(values), np.float64)
    every = every[~np.isnan(every)]
    sample = Sample(np.arange(len(every)).astype(str), every)
    of = {"mean": mean, "median": median}[summary]
    return estimate(replicates(lambda drawn: of(sample, drawn), len(every)), len(every))


def share(parts: Iterable[float], wholes: Iterable[float]) -> Estimate:
    """The sum of one number an image over the sum of another, with its interval."""
    above, below = (np.asarray(list(values), np.float64) for values in (parts, wholes))
    return estimate(replicates(lambda drawn: above[drawn].sum(1) / below[drawn].sum(1), len(above)), len(above))
