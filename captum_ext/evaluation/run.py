"""A run: batches of images, divided among processes, each stored when it is finished."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captum_ext._utils.errors import UserError
from captum_ext._utils.optional import optional
from captum_ext._utils.text import printable
from captum_ext.evaluation.config import EvaluationConfig
from captum_ext.evaluation.example_maps import ExampleRecorder, examples_per_batch
from captum_ext.evaluation.images import LabeledImage
from captum_ext.evaluation.run_setup import Models, check_arguments, make_evaluator, run_settings
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE, Results
from captum_ext.evaluation.workers import process_group
from captum_ext.patterns import Patterns


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
) -> EvaluationSummary:
    """Explain images with many methods and measure the maps with many metrics.

    Each batch of images is stored as one file in ``output`` when it is finished. Call it again to resume an interrupted
    run; finished batches are skipped. Under ``torchrun``, batches are divided among the processes; their number changes
    neither the batches nor the results.

    Args:
        models: By name, a module that returns logits (B, classes), in evaluation mode and in float32 or float64, and a
            function from a PIL image to its input (C, H, W), which is moved to the device of the module's parameters.
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
    check_arguments(models, images, config, patterns)
    results = Results(Path(output))
    batches = [images[start : start + config.batch_size] for start in range(0, len(images), config.batch_size)]
    examples_of = examples_per_batch(n_examples, len(batches))
    with process_group() as workers:

        def unfinished_jobs() -> list[tuple[str, int]]:
            results.create(run_settings(models, images, config, patterns), notes)
            jobs = [(name, index) for name in models for index in range(len(batches))]
            return [job for job in jobs if not results.has(*job)]

        # Strided as in DistributedSampler, but without repeating batches to give all processes the same number.
        jobs = workers.broadcast(unfinished_jobs)[workers.rank :: workers.count]
        total = config.maps_per_image * sum(len(batches[index]) for _, index in jobs)
        with _progress_bar(total, show_progress and workers.rank == 0) as bar:
            n_done = 0
            current = ""
            for name, index in jobs:
                if name != current:
                    current = name
                    evaluator = make_evaluator(name, models[name], images, config, patterns.get(name))
                    bar.set_description(printable(name))
                examples = ExampleRecorder(examples_of[index], max(config.steps))
                try:
                    rows = evaluator.rows(batches[index], bar.update, examples)
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
                n_done += config.maps_per_image * len(batches[index])
                bar.update(n_done - bar.n)  # excluded images have no maps
        workers.barrier()
        return workers.broadcast(lambda: summarize(results))


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
