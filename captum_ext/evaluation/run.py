"""The run: batches of images, shared among processes, of which each finished one is kept."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import captum_ext
from captum_ext._errors import UserError
from captum_ext._optional import optional
from captum_ext.evaluation.batch import Evaluation
from captum_ext.evaluation.images import LabelledImage
from captum_ext.evaluation.settings import Settings
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE, Results
from captum_ext.evaluation.subject import Subject
from captum_ext.evaluation.workers import workers
from captum_ext.patterns import Patterns, fold_batch_norm
from captum_ext.vision.classifier import Transform
from captum_ext.vision.pictures import read
from captum_ext.vision.probe import transformed

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
    models: Mapping[str, tuple[nn.Module, Transform]],
    images: Sequence[LabelledImage],
    output: str | Path,
    settings: Settings = Settings(),  # noqa: B008 -- immutable
    patterns: Mapping[str, Patterns] | None = None,
    device: torch.device | str = "cpu",
    show_progress: bool = False,
) -> Summary:
    """Explain images by many methods and judge the maps by many metrics; what is finished is kept.

    Each batch of images becomes one file below ``output``, put in place whole. A run that ended, however it ended, is
    gone on with by the same call: finished batches are not done again. Under ``torchrun`` the batches are shared among
    its processes; a batch's images are the same whatever their number, and so is the table.

    Args:
        models: By name, a module that gives logits (B, classes), in evaluation mode, and the function from a PIL image
            to its input (C, H, W).
        images: What :func:`find_images` returned.
        output: The folder of results.
        settings: Methods, measures and the rest.
        patterns: By the models' names, for methods that need them.
        device: Where models run.
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
    _check(models, images, settings, patterns)
    results, place = Results(Path(output)), torch.device(device)
    batches = [images[at : at + settings.batch_size] for at in range(0, len(images), settings.batch_size)]
    with workers() as team:

        def pending() -> list[tuple[str, int]]:
            results.begin(_described(models, images, settings, patterns))
            jobs = [(name, index) for name in models for index in range(len(batches))]
            return [job for job in jobs if not results.has(*job)]

        # Strided, as DistributedSampler deals, but without its repetitions to even out the shares.
        jobs = team.first_says(pending)[team.rank :: team.count]
        each = settings.maps_an_image()
        total = each * sum(len(batches[index]) for _, index in jobs)
        with _bar(total, show_progress and team.rank == 0) as bar:
            done = 0
            current, evaluation = "", None
            for name, index in jobs:
                if name != current or evaluation is None:
                    current, evaluation = name, _evaluation(name, models, images, settings, patterns, place)
                    bar.set_description(name)
                try:
                    rows = evaluation.rows(batches[index], bar.update)
                except UserError as error:
                    raise UserError(f"{name}: {error}") from error
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
    frame = results.read()
    rows = frame[frame.score == "image"]
    explained, misclassified = (
        {str(name): int((group.variant == status).sum()) for name, group in rows.groupby("model", sort=False)}
        for status in (EXPLAINED, MISCLASSIFIED)
    )
    broken = rows[rows.variant == UNREADABLE].drop_duplicates("image")
    return Summary(explained, misclassified, dict(zip(broken.image, broken.note, strict=True)))


def _evaluation(
    name: str,
    models: Mapping[str, tuple[nn.Module, Transform]],
    images: Sequence[LabelledImage],
    settings: Settings,
    patterns: Mapping[str, Patterns],
    device: torch.device,
) -> Evaluation:
    model, transform = models[name]
    model.to(device)
    some = _references(images, transform, settings).to(device)
    fitted = patterns.get(name)
    folded = None
    if fitted is not None:
        folded, fitted = fold_batch_norm(model, some[:1]), fitted.to(device)
        try:
            fitted.weights(folded)
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
    subject = Subject(model, some, settings.rows, settings.seed, fitted, folded)
    return Evaluation(subject, transform, settings, device)


def _references(images: Sequence[LabelledImage], transform: Transform, settings: Settings) -> Tensor:
    """The images that Expected Gradients draws from, chosen by the seed; where it isn't asked for, one."""
    wanted = settings.references if "expected-gradients" in settings.methods else 1
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed)).tolist()
    found: list[Tensor] = []
    for index in order:
        try:
            picture = read(str(images[index].path))
        except UserError:
            continue
        found.append(transformed(images[index].name, lambda picture=picture: transform(picture)))
        if len(found) == wanted:
            break
    if not found:
        raise UserError(f"none of {len(images)} images can be read")
    return torch.cat(found)


def _check(
    models: Mapping[str, Any], images: Sequence[LabelledImage], settings: Settings, patterns: Mapping[str, Patterns]
) -> None:
    if not models or not images:
        raise UserError(f"expected models and images, got {len(models)} and {len(images)}")
    for model in models:
        if settings.of_pattern_methods() and model not in patterns:
            raise UserError(f"{model}: {', '.join(settings.of_pattern_methods())} need patterns, and there are none")
    if settings.target == "label" and any(image.label is None for image in images):
        raise UserError("the images have no labels: name a CSV file of labels, or explain the predicted classes")


def _described(
    models: Mapping[str, tuple[nn.Module, Transform]],
    images: Sequence[LabelledImage],
    settings: Settings,
    patterns: Mapping[str, Patterns],
) -> dict[str, Any]:
    """Everything that the numbers depend on, as JSON has it: what a run must not go on with otherwise."""
    described = {
        **asdict(settings),
        "models": list(models),
        "weights": {name: _digest(*model.state_dict().values()) for name, (model, _) in models.items()},
        "patterns": {name: _digest(*patterns[name].values()) for name in models if name in patterns},
        "images": len(images),
        "image_names": _digest(*(f"{image.name}={image.label}" for image in images)),
        "threads": torch.get_num_threads(),
        "versions": {"captum_ext": captum_ext.__version__, "torch": torch.__version__},
    }
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return plain


def _digest(*parts: Tensor | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode() + b"\0")
        else:
            digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _bar(maps: int, shown: bool) -> Any:
    settings: dict[str, Any] = {} if sys.stderr.isatty() else {"mininterval": 10, "ncols": 80}
    bar: Callable[..., Any] = optional("tqdm", "evaluation").tqdm
    return bar(total=maps, unit="map", disable=not shown, **settings)
