"""The run: batches of images, shared among processes, of which each finished one is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from captum_ext._utils.errors import UserError
from captum_ext._utils.optional import optional
from captum_ext._utils.text import printable
from captum_ext.evaluation.images import LabelledImage
from captum_ext.evaluation.prepare import Models, check, described, prepared
from captum_ext.evaluation.settings import Settings
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE, Results
from captum_ext.evaluation.workers import workers
from captum_ext.patterns import Patterns

T = TypeVar("T")


@dataclass(frozen=True)
class Summary:
    """What became of the images, by model.

    Attributes:
        explained: How many were explained.
        misclassified: How many were left out since the model has another class for them.
        unreadable: Those that could not be read, by name, and why.
    """

    explained: dict[str, int]
    misclassified: dict[str, int]
    unreadable: dict[str, str]


def evaluate(
    models: Models,
    images: Sequence[LabelledImage],
    output: str | Path,
    settings: Settings = Settings(),  # noqa: B008 -- immutable
    patterns: Mapping[str, Patterns] | None = None,
    show_progress: bool = False,
) -> Summary:
    """Explain images by many methods and judge the maps by many metrics; what is finished is kept.

    Each batch of images becomes one file below ``output``, put in place whole. A run that ended, however it ended, is
    gone on with by the same call: finished batches are not done again. Under ``torchrun`` the batches are shared among
    its processes; a batch's images are the same whatever their number, and so is the table.

    Args:
        models: By name, a module that gives logits (B, classes), in evaluation mode, in float32 or float64, and the
            function from a PIL image to its input (C, H, W), which goes where the module's parameters are.
        images: What :func:`find_images` returned.
        output: The folder of results.
        settings: Methods, measures and the rest.
        patterns: By the models' names, for methods that need them.
        show_progress: Whether to show a progress bar with the time left, in the first process.

    Returns:
        What became of the images, over all processes.

    Raises:
        ValueError: If a model, the labels or the folder can't be used. What was finished is intact.

    Example:
        >>> from captum_ext.evaluation import Settings, evaluate, find_images
        >>> settings = Settings(methods=("ig", "idgi"), steps=(8, 16, 32))
        >>> evaluate({"mine": (model, transform)}, find_images("photographs"), "results", settings)  # doctest: +SKIP
    """
    patterns = patterns or {}
    check(models, images, settings, patterns)
    results = Results(Path(output))
    batches = [images[at : at + settings.batch_size] for at in range(0, len(images), settings.batch_size)]
    with workers() as team:

        def pending() -> list[tuple[str, int]]:
            results.begin(described(models, images, settings, patterns))
            jobs = [(name, index) for name in models for index in range(len(batches))]
            return [job for job in jobs if not results.has(*job)]

        # Strided, as DistributedSampler deals, but without its repetitions to even out the shares.
        jobs = team.first_says(pending)[team.rank :: team.count]
        each = settings.maps_an_image()
        total = each * sum(len(batches[index]) for _, index in jobs)
        with _bar(total, show_progress and team.rank == 0) as bar:
            done = 0
            current = ""
            for name, index in jobs:
                if name != current:
                    current = name
                    evaluation = prepared(name, models[name], images, settings, patterns.get(name))
                    bar.set_description(printable(name))
                try:
                    rows = evaluation.rows(batches[index], bar.update)
                except UserError as error:
                    raise UserError(f"{name}: {error}") from error
                except Exception as error:  # the model is anybody's
                    raise UserError(
                        f"{name}: fails on the batch from {batches[index][0].name} to {batches[index][-1].name} "
                        f"(what was finished before is intact): {type(error).__name__}: {error}"
                    ) from error
                results.write(name, index, rows)
                done += each * len(batches[index])
                bar.update(done - bar.n)  # images that were left out have no maps
        team.wait()
        return team.first_says(lambda: summary(results))


def summary(results: Results) -> Summary:
    """What became of the images so far.

    Raises:
        ResultsError: If there are no results.
    """
    frame = results.read(["model", "image", "score", "variant", "note"])
    rows = frame[frame.score == "image"]
    explained, misclassified = (
        {str(name): int((group.variant == status).sum()) for name, group in rows.groupby("model", sort=False)}
        for status in (EXPLAINED, MISCLASSIFIED)
    )
    broken = rows[rows.variant == UNREADABLE].drop_duplicates("image")
    return Summary(explained, misclassified, dict(zip(broken.image, broken.note, strict=True)))


def _bar(maps: int, shown: bool) -> Any:
    settings: dict[str, Any] = {} if sys.stderr.isatty() else {"mininterval": 10, "ncols": 80}
    bar: Callable[..., Any] = optional("tqdm", "evaluation").tqdm
    return bar(total=maps, unit="map", disable=not shown, **settings)
