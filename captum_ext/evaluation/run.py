"""A run: batches of images, divided among processes, each stored when it is finished."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from captum_ext._utils.errors import UserError
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.optional import optional
from captum_ext._utils.text import printable
from captum_ext._utils.worker_processes import worker_processes
from captum_ext.evaluation.config import EvaluationConfig
from captum_ext.evaluation.example_maps import ExampleRecorder, examples_per_batch
from captum_ext.evaluation.images import LabeledImage
from captum_ext.evaluation.run_setup import Models, check_arguments, make_evaluator, run_settings
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE, Results
from captum_ext.evaluation.workers import process_group
from captum_ext.patterns import Patterns
from captum_ext.vision.loading import default_readers, read_ahead

Job: TypeAlias = tuple[str, int]  # a model's name, and the index of a batch
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class EvaluationSummary:
    """The numbers of images that were explained and excluded.

    Attributes:
        n_explained: Number of explained images, by model.
        n_misclassified: Number of images excluded because the model misclassifies them, by model.
        unreadable_images: The reason for each image that could not be read, by its name.
    """

    n_explained: dict[str, int]
    n_misclassified: dict[str, int]
    unreadable_images: dict[str, str]


def evaluate(
    models: Models,
    images: Sequence[LabeledImage],
    output: str | Path,
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008 -- immutable
    patterns: Mapping[str, Patterns] | None = None,
    show_progress: bool = False,
    n_examples: int = 4,
    notes: Mapping[str, str] | None = None,
    n_readers: int | None = None,
) -> EvaluationSummary:
    """Explain images with many methods and measure the maps with many metrics.

    Each batch of images is stored as one file in ``output`` when it is finished. Call it again to resume an interrupted
    run; finished batches are skipped. Under ``torchrun``, or in any processes that are given the same folder, each
    process takes the next unfinished batch that no other one has claimed, so it does not wait for a slow one. The claim
    of a process that is killed ends with it. The number of processes changes neither the batches nor the results.

    Args:
        models: By name, a module that returns logits (B, classes), in evaluation mode and in float32 or float64, and a
            function from a PIL image to its input (C, H, W), which is moved to the device of the module's parameters.
            They are read one at a time, so a mapping that loads a model when it is read keeps one of them in memory.
        images: The images, such as those from :func:`find_images`.
        output: The folder of results.
        config: Methods, metrics and all other settings.
        patterns: The patterns of each model, by its name, for methods that need them.
        show_progress: Whether to show a progress bar with the remaining time, in the first process. Default: False.
        n_examples: The number of images of which small pictures, and those of their maps with the largest step count,
            are stored with the results, for :func:`captum_ext.evaluation.html_report`. They are the first that are
            explained in evenly spaced batches. Default: 4. 0 stores none.
        notes: More lines for reports, such as the source of the images. Resuming a run does not change them.
            Default ``None``: nothing.
        n_readers: Number of processes that read and transform images ahead of the model. Outside Linux, the transform
            must be picklable, and the script must have ``if __name__ == "__main__"``. Default ``None``: 0 for a model
            on the CPU and outside Linux; otherwise the cores of this process among torchrun's, at most 4.

    Returns:
        The numbers of explained and excluded images, over all processes.

    Raises:
        ValueError: If a model, the labels or the folder is invalid. Finished batches are intact.

    Example:
        >>> from captum_ext.evaluation import EvaluationConfig, evaluate, find_images
        >>> config = EvaluationConfig(methods=("ig", "idgi"), steps=(8, 16, 32))
        >>> evaluate({"mine": (model, transform)}, find_images("photographs"), "results", config)  # doctest: +SKIP
    """
    patterns = patterns or {}
    if n_readers:
        check_positive("n_readers", n_readers)
    check_arguments(models, images, config, patterns)
    results = Results(Path(output))
    batches = [images[start : start + config.batch_size] for start in range(0, len(images), config.batch_size)]
    examples_of = examples_per_batch(n_examples, len(batches))
    with process_group() as workers:

        def unfinished_jobs() -> list[Job]:
            results.create(run_settings(models, images, config, patterns), notes)
            jobs = [(name, index) for name in models for index in range(len(batches))]
            return [job for job in jobs if not results.has(*job)]

        jobs = workers.broadcast(unfinished_jobs)
        own = set(jobs[workers.rank :: workers.count])
        total = config.maps_per_image * sum(len(batches[index]) for _, index in own)
        with _progress_bar(total, show_progress and workers.rank == 0) as bar:
            while jobs:
                for name in models:
                    indices = [index for other, index in jobs if other == name]
                    with closing(_claimed_batches(results, name, indices, own)) as claimed:
                        share = [index for index in indices if (name, index) in own]
                        pair = models, patterns
                        _evaluate_batches(
                            name, claimed, share, batches, pair, images, results, config, bar, n_readers, examples_of
                        )
                jobs = [job for job in jobs if not results.has(*job)]
                if jobs:  # other processes have claimed them, and may be killed
                    time.sleep(_POLL_SECONDS)
        return workers.broadcast(lambda: summarize(results))


def _claimed_batches(results: Results, name: str, indices: list[int], own: set[Job]) -> Generator[int, None, None]:
    """The unfinished batches of a model that no other process has claimed, each claimed until the next one.

    A process starts with its own share. Then it takes others' batches, the last ones first, which they come to last.
    """
    share = [index for index in indices if (name, index) in own]
    others = [index for index in reversed(indices) if (name, index) not in own]
    for index in [*share, *others]:
        if results.has(name, index):
            continue
        with results.claim(name, index) as is_claimed:
            may_start = (name, index) in own if is_claimed is None else is_claimed
            if may_start and not results.has(name, index):  # it may have been finished just before
                yield index


def _evaluate_batches(
    name: str,
    indices: Iterator[int],
    share: list[int],
    batches: Sequence[Sequence[LabeledImage]],
    sources: tuple[Models, Mapping[str, Patterns]],
    images: Sequence[LabeledImage],
    results: Results,
    config: EvaluationConfig,
    bar: Any,
    n_readers: int | None,
    examples_of: Sequence[int],
) -> None:
    """Evaluate and store batches of one model, which is loaded for the first of them.

    The images of this process's share are read ahead, those of other batches when they are claimed.
    """
    first = next(indices, None)
    if first is None:
        return
    models, patterns = sources
    evaluator = make_evaluator(name, models[name], images, config, patterns.get(name))
    bar.set_description(printable(name))
    if n_readers is None:
        n_readers = default_readers(evaluator.device)
    # Others' batches come last, and may never be claimed.
    ahead = share[share.index(first) :] if first in share else []
    inputs = evaluator.picture_batches([batches[index] for index in ahead])
    reading = read_ahead(inputs, min(n_readers, len(ahead)), evaluator.device)
    with reading as read, worker_processes(evaluator.n_encoders):
        position = 0
        for index in chain([first], indices):
            n_maps = config.maps_per_image * len(batches[index])
            if index not in share:
                bar.total += n_maps
            n_done = bar.n + n_maps
            examples = ExampleRecorder(examples_of[index], max(config.steps))
            try:
                pictures = None
                while index in ahead and pictures is None:
                    result = next(read)
                    pictures = result if ahead[position] == index else None  # others have claimed those between
                    position += 1
                rows = evaluator.rows(batches[index], bar.update, pictures, examples)
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
            except Exception as error:  # a user's model may raise anything
                raise UserError(
                    f"{name}: fails on the batch from {batches[index][0].name} to {batches[index][-1].name} "
                    f"(finished batches are intact): {type(error).__name__}: {error}"
                ) from error
            if examples.pictures:
                results.write_examples(name, index, examples.pictures)
            results.write(name, index, rows)
            bar.update(n_done - bar.n)  # excluded images have no maps


def summarize(results: Results) -> EvaluationSummary:
    """The numbers of explained and excluded images so far.

    Raises:
        ResultsError: If there are no results.
    """
    frame = results.read(["model", "image", "score", "variant", "note"])
    rows = frame[frame.score == "image"]
    n_explained, n_misclassified = (
        {str(name): int((group.variant == status).sum()) for name, group in rows.groupby("model", sort=False)}
        for status in (EXPLAINED, MISCLASSIFIED)
    )
    unreadable = rows[rows.variant == UNREADABLE].drop_duplicates("image")
    reasons = dict(zip(unreadable.image, unreadable.note, strict=True))
    return EvaluationSummary(n_explained, n_misclassified, reasons)


def _progress_bar(maps: int, show_progress: bool) -> Any:
    options: dict[str, Any] = {} if sys.stderr.isatty() else {"mininterval": 10, "ncols": 80}
    bar: Callable[..., Any] = optional("tqdm", "evaluation").tqdm
    return bar(total=maps, unit="map", disable=not show_progress, **options)
