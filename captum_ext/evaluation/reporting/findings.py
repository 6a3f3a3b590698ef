"""All numbers of a report: samples by model, method, steps and measure, and their estimates."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from captum_ext.evaluation.reporting import methods
from captum_ext.evaluation.reporting.estimates import Estimate, Floats, Sample, estimate, replicates
from captum_ext.evaluation.reporting.measures import Measure, ordered

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str, int, Measure]


class Findings:
    """What results say.

    Args:
        frame: :meth:`captum_ext.evaluation.store.Results.read`.
        settings: :meth:`captum_ext.evaluation.store.Results.settings`.

    Attributes:
        models: In the settings' order.
        methods: In the papers' order.
        measures: Likewise.
        steps: Of each method that has a path, from the least; empty for the others.
    """

    def __init__(self, frame: pd.DataFrame, settings: dict[str, Any]) -> None:
        """Of these rows."""
        self.models = list(dict.fromkeys([*settings["models"], *frame["model"].unique()]))
        scored = frame[frame["score"] != "image"]
        self.methods = methods.ordered(
            [*(m for m in settings["methods"] if m in set(scored["method"])), *scored["method"].unique()]
        )
        self.measures = ordered(scored[["score", "variant"]].drop_duplicates().itertuples(index=False, name=None))
        self.steps: dict[str, list[int]] = {method: [] for method in self.methods}
        by_name = {(measure.score, measure.variant): measure for measure in self.measures}
        self._samples: dict[Key, Sample] = {}
        for (model, method, steps, score, variant), rows in scored.groupby(
            ["model", "method", "steps", "score", "variant"]
        ):
            self._samples[model, method, int(steps), by_name[score, variant]] = _sample(rows)
            if steps and int(steps) not in self.steps[method]:
                self.steps[method] = sorted([*self.steps[method], int(steps)])
        self._replicates: dict[Key, Floats] = {}

    def most(self, method: str) -> int:
        """The largest step count of the method; 0 without a path."""
        return max(self.steps[method], default=0)

    def sample(self, model: str, method: str, steps: int, measure: Measure) -> Sample | None:
        """The images' values; ``None`` if the method was not measured so."""
        return self._samples.get((model, method, steps, measure))

    def estimate(self, model: str, method: str, steps: int, measure: Measure) -> Estimate | None:
        """The data set's value."""
        key = (model, method, steps, measure)
        return estimate(self._over(key), len(self._samples[key].images)) if key in self._samples else None

    def at_most(self, model: str, method: str, measure: Measure) -> Estimate | None:
        """The value at the most steps."""
        return self.estimate(model, method, self.most(method), measure)

    def difference(self, model: str, method: str, measure: Measure) -> Estimate | None:
        """IDGI's value less its base's at the most steps, over the images that both have."""
        root = methods.base(method)
        if root is None or root not in self.steps or self.most(root) != self.most(method):
            return None
        keys = [(model, name, self.most(method), measure) for name in (method, root)]
        return self._combined(keys, lambda found: found[0] - found[1])

    def spread(self, model: str, method: str, measure: Measure) -> Estimate | None:
        """The largest less the smallest value over the step counts, over the images that all have.

        The two step counts are fixed by all images: the range over each draw would never be 0 and lie above the value.
        """
        keys = [(model, method, steps, measure) for steps in self.steps[method]]
        return self._combined(keys, _range) if len(keys) > 1 else None

    def same_images(self, keys: list[Key]) -> bool:
        """Whether all of these that there are have the same images."""
        found = [self._samples[key].images for key in keys if key in self._samples]
        return all(np.array_equal(found[0], images) for images in found[1:])

    def _over(self, key: Key) -> Floats:
        """The replicates, made once: those of one set of images are of the same draws whatever the method."""
        if key not in self._replicates:
            self._replicates[key] = _drawn(self._samples[key], key[-1])
        return self._replicates[key]

    def _combined(self, keys: list[Key], combine: Callable[[Floats], Floats]) -> Estimate | None:
        """Of several samples' values over the same draws of the images that they share."""
        if any(key not in self._samples for key in keys):
            return None
        if self.same_images(keys):
            common = self._samples[keys[0]].images
            found = [self._over(key) for key in keys]
        else:
            samples = [self._samples[key] for key in keys]
            common = reduce(np.intersect1d, [sample.images for sample in samples])
            found = [_drawn(sample.only(common), key[-1]) for sample, key in zip(samples, keys, strict=True)]
        with np.errstate(invalid="ignore"):  # infinity less infinity
            return estimate(combine(np.stack(found)), len(common))


def _range(found: Floats) -> Floats:
    """Of replicates (steps, 1 + R), the first of which are of all images."""
    change: Floats = found[found[:, 0].argmax()] - found[found[:, 0].argmin()]
    return change


def _drawn(sample: Sample, measure: Measure) -> Floats:
    return replicates(lambda drawn: measure.summary(sample, drawn), len(sample.images))


def _sample(rows: pd.DataFrame) -> Sample:
    rows = rows[rows["value"].notna()].sort_values("image")
    curves = [curve for curve in rows["curve"] if curve is not None]
    whole = len(rows) > 0 and len(curves) == len(rows) and len({len(curve) for curve in curves}) == 1
    return Sample(
        rows["image"].to_numpy(dtype=str),
        rows["value"].to_numpy(dtype=np.float64),
        np.stack(curves) if whole else None,
    )
