"""The checks before a run, and the record of what its numbers depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from captum_ext._utils.devices import allows_tf32
from captum_ext._utils.errors import UserError
from captum_ext._utils.random import as_seed
from captum_ext._utils.text import as_unicode
from captum_ext.evaluation.config import EvaluationConfig
from captum_ext.evaluation.images import LabeledImage
from captum_ext.evaluation.inputs import ProbabilityModel
from captum_ext.evaluation.method_registry import method_spec
from captum_ext.evaluation.metric_registry import METRICS, parse_metric
from captum_ext.evaluation.model_evaluator import ModelEvaluator
from captum_ext.evaluation.mosaic_batch import Companions, find_companions
from captum_ext.patterns import Patterns, fold_batch_norm
from captum_ext.vision.classifier import Transform
from captum_ext.vision.pictures import read
from captum_ext.vision.probe import class_logits, transformed

Models = Mapping[str, tuple[nn.Module, Transform]]
_PACKAGES = ("captum_ext", "captum", "torch", "torchvision", "numpy", "scipy", "pillow", "scikit-image")


def check_arguments(
    models: Models, images: Sequence[LabeledImage], config: EvaluationConfig, patterns: Mapping[str, Patterns]
) -> None:
    """Check everything that needs no model.

    Raises:
        UserError: If something is missing or invalid.
    """
    if not models or not images:
        raise UserError(f"expected models and images, got {len(models)} and {len(images)}")
    names = [as_unicode(image.name) for image in images]
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise UserError(f"images: expected each once, got {name} {names.count(name)} times")
    if config.target == "label" and any(image.label is None for image in images):
        raise UserError(
            "the images have no labels: pass a CSV file of labels, or explain the predicted classes (target predicted)"
        )
    if uses_masks(config) and all(image.mask is None for image in images):
        raise UserError(
            f"metrics: {', '.join(config.metrics)} need masks, got none: name the folder of masks with --masks, or "
            "write find_images(..., masks=FOLDER)"
        )
    unnamed = [name for name in models if not name or name != as_unicode(name)]
    if unnamed:
        raise UserError(f"models: expected a name in Unicode for each, got {unnamed[0]!r}")
    for name in models:
        if config.pattern_methods and name not in patterns:
            raise UserError(f"{name}: {', '.join(config.pattern_methods)} need patterns, got none")


def _check_model(name: str, model: nn.Module) -> None:
    if model.training:
        raise UserError(f"{name}: is in training mode, in which its output is random: call model.eval()")
    low_precision = {p.dtype for p in model.parameters() if p.is_floating_point() and p.element_size() < 4}
    if low_precision:
        raise UserError(f"{name}: expected float32 or float64, got {low_precision.pop()}: call model.float()")


def make_evaluator(
    name: str,
    model_and_transform: tuple[nn.Module, Transform],
    images: Sequence[LabeledImage],
    config: EvaluationConfig,
    patterns: Patterns | None,
) -> ModelEvaluator:
    """The evaluator of one model, after a forward pass on one image.

    Raises:
        UserError: If its output is invalid, or does not match the labels or the patterns.
    """
    model, transform = model_and_transform
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    references = _load_references(images, transform, config).to(device)
    _check_output(name, model, references[:1], images, config)
    folded_model = None
    if patterns is not None:
        try:
            folded_model, patterns = fold_batch_norm(model, references[:1]), patterns.to(device)
            patterns.weights(folded_model)
        except Exception as error:  # a user's model may raise anything
            raise UserError(f"{name}: {error}") from error
    probability_model = ProbabilityModel(
        model,
        references,
        config.internal_batch_size,
        as_seed(config.generator),
        patterns,
        folded_model,
        config.smoothgrad_ig_samples,
    )
    companions = None
    if any(METRICS[metric].needs == "mosaic_maps" for metric, _ in _metrics(config)):
        companions = _find_companions(name, probability_model, transform, images, config)
    return ModelEvaluator(probability_model, transform, config, device, companions)


def uses_masks(config: EvaluationConfig) -> bool:
    """Whether a metric compares maps with masks."""
    return any(METRICS[name].needs == "masks" for name, _ in _metrics(config))


def _metrics(config: EvaluationConfig) -> list[tuple[str, str]]:
    return [pair for text in config.metrics for pair in parse_metric(text)]


def _find_companions(
    name: str, model: ProbabilityModel, transform: Transform, images: Sequence[LabeledImage], config: EvaluationConfig
) -> Companions:
    device, shape = model.references.device, model.references.shape[1:]
    candidates = (
        (tensor.to(device), image.label if config.target == "label" else None)
        for image, tensor in _random_inputs(images, transform, config)
        if isinstance(tensor, Tensor) and tensor.shape[1:] == shape
    )
    return find_companions(name, model.model, candidates, len(images))


def _check_output(
    name: str, model: nn.Module, image: Tensor, images: Sequence[LabeledImage], config: EvaluationConfig
) -> None:
    classes = class_logits(name, model, image).shape[1]
    if config.target == "predicted":
        return
    for each in images:
        if each.label is not None and each.label >= classes:
            raise UserError(
                f"{name}: {each.name}: expected a label below the model's {classes} classes, got {each.label}"
            )
        if each.folders not in (None, classes):
            raise UserError(
                f"{name}: there are {each.folders} folders of images, and the model has {classes} classes, so the "
                "folders' order does not determine the classes: pass a CSV file of labels, file,class_index, or "
                "explain the predicted classes (target predicted)"
            )


def _load_references(images: Sequence[LabeledImage], transform: Transform, config: EvaluationConfig) -> Tensor:
    """Random images for the methods that need references; one if there is no such method."""
    count = config.references if any(method_spec(name).needs_references for name in config.methods) else 1
    references: list[Tensor] = []
    reason = ""
    for _, tensor in _random_inputs(images, transform, config):
        if isinstance(tensor, UserError):
            reason = str(tensor)
        elif not references or tensor.shape == references[0].shape:
            references.append(tensor)
        if len(references) == count:
            break
    if not references:
        raise UserError(f"none of {len(images)} images can be used; the reason for the last one: {reason}")
    return torch.cat(references)


def _random_inputs(
    images: Sequence[LabeledImage], transform: Transform, config: EvaluationConfig
) -> Iterator[tuple[LabeledImage, Tensor | UserError]]:
    """The images as inputs (1, C, H, W), or the reasons why they can't be used, in a random order."""
    generator = torch.Generator().manual_seed(as_seed(config.generator))
    for index in torch.randperm(len(images), generator=generator).tolist():
        image = images[index]
        try:
            picture = read(str(image.path))
            yield image, transformed(image.name, partial(transform, picture))
        except UserError as error:
            yield image, error


def run_settings(
    models: Models, images: Sequence[LabeledImage], config: EvaluationConfig, patterns: Mapping[str, Patterns]
) -> dict[str, Any]:
    """Everything that the numbers depend on, as JSON. A run continues only with equal settings.

    Raises:
        UserError: If a model can't be evaluated, or no image can be read.
    """
    described = {name: _describe_model(name, models, images) for name in models}  # one model in memory at a time
    settings = {
        **asdict(config),
        "models": list(models),
        "weights": {name: model.weights for name, model in described.items()},
        "transforms": {name: model.transform for name, model in described.items()},
        "devices": {name: sorted({device.type for device in model.devices}) for name, model in described.items()},
        "patterns": {name: _hash_parts(*patterns[name].values()) for name in models if name in patterns},
        "images": len(images),
        "image_names": _hash_parts(*(f"{image.name}={image.label}" for image in images)),
        "computation": _computation_settings(set().union(*(model.devices for model in described.values()))),
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    if any(image.mask is not None for image in images):
        settings["masks"] = _hash_parts(*((image.name, _file_digest(image.mask)) for image in images if image.mask))
    as_json: dict[str, Any] = json.loads(json.dumps(settings))
    return as_json


class _ModelDescription(NamedTuple):
    weights: str
    transform: str
    devices: set[torch.device]


def _describe_model(name: str, models: Models, images: Sequence[LabeledImage]) -> _ModelDescription:
    model, transform = models[name]
    _check_model(name, model)
    references = _load_references(images, transform, EvaluationConfig())
    devices = {parameter.device for parameter in model.parameters()}
    return _ModelDescription(_hash_parts(*model.state_dict().values()), _hash_parts(references), devices)


def _computation_settings(devices: set[torch.device]) -> dict[str, Any]:
    """The devices' names, the number formats and the determinism that numbers depend on; threads on a CPU only."""
    settings: dict[str, Any] = {"deterministic": torch.are_deterministic_algorithms_enabled()}
    if not devices or any(device.type == "cpu" for device in devices):
        settings["threads"] = torch.get_num_threads()
    cards = {device for device in devices if device.type == "cuda"}
    if cards:
        settings |= {
            "cards": sorted({torch.cuda.get_device_name(card) for card in cards}),
            "tf32": allows_tf32(),
            "cudnn": {
                "deterministic": torch.backends.cudnn.deterministic,
                "benchmark": torch.backends.cudnn.benchmark,
            },
        }
    return settings


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _file_digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from error


def _hash_parts(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(repr(part).encode() + b"\0")
    return digest.hexdigest()[:16]
