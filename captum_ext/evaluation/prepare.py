"""Before the work: what is asked for, checked; and what the numbers depend on, written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._utils.buffers import preserve_buffers
from captum_ext._utils.errors import UserError
from captum_ext._utils.text import as_unicode
from captum_ext.evaluation.batch import Evaluation
from captum_ext.evaluation.images import LabelledImage
from captum_ext.evaluation.settings import Settings
from captum_ext.evaluation.subject import Subject
from captum_ext.patterns import Patterns, fold_batch_norm
from captum_ext.vision.classifier import Transform
from captum_ext.vision.pictures import read
from captum_ext.vision.probe import transformed

Models = Mapping[str, tuple[nn.Module, Transform]]
_PACKAGES = ("captum_ext", "captum", "torch", "torchvision", "numpy", "scipy", "pillow", "torchmetrics")


def check(
    models: Models, images: Sequence[LabelledImage], settings: Settings, patterns: Mapping[str, Patterns]
) -> None:
    """Check what can be checked without a forward pass.

    Raises:
        UserError: If something is missing or can't be used.
    """
    if not models or not images:
        raise UserError(f"expected models and images, got {len(models)} and {len(images)}")
    names = [as_unicode(image.name) for image in images]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"images: expected each once, got {twice} {names.count(twice)} times")
    if settings.target == "label" and any(image.label is None for image in images):
        raise UserError("the images have no labels: name a CSV file of labels, or explain the predicted classes")
    unnamed = [name for name in models if not name or name != as_unicode(name)]
    if unnamed:
        raise UserError(f"models: expected a name in Unicode for each, got {unnamed[0]!r}")
    for name, (model, _) in models.items():
        if settings.of_pattern_methods() and name not in patterns:
            raise UserError(f"{name}: {', '.join(settings.of_pattern_methods())} need patterns, and there are none")
        if model.training:
            raise UserError(f"{name}: is in training mode, in which its output depends on chance: call model.eval()")
        narrow = {p.dtype for p in model.parameters() if p.is_floating_point() and p.element_size() < 4}
        if narrow:
            raise UserError(f"{name}: expected float32 or float64, got {narrow.pop()}: call model.float()")


def prepared(
    name: str,
    model_and_transform: tuple[nn.Module, Transform],
    images: Sequence[LabelledImage],
    settings: Settings,
    patterns: Patterns | None,
) -> Evaluation:
    """The evaluation of one model, which has answered for one image.

    Raises:
        UserError: If its answer can't be used, or does not fit the labels or the patterns.
    """
    model, transform = model_and_transform
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    some = _references(images, transform, settings).to(device)
    _check_answer(name, model, some[:1], images, settings)
    folded = None
    if patterns is not None:
        try:
            folded, patterns = fold_batch_norm(model, some[:1]), patterns.to(device)
            patterns.weights(folded)
        except Exception as error:  # the model is anybody's
            raise UserError(f"{name}: {error}") from error
    subject = Subject(model, some, settings.rows, settings.seed, patterns, folded, settings.smoothgrad_ig_samples)
    return Evaluation(subject, transform, settings, device)


def _check_answer(
    name: str, model: nn.Module, image: Tensor, images: Sequence[LabelledImage], settings: Settings
) -> None:
    try:
        with torch.no_grad(), preserve_buffers(model.modules()):
            logits = model(image)
    except Exception as error:  # the model is anybody's
        raise UserError(f"{name}: the model fails on an input of shape {tuple(image.shape)}: {error}") from error
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != 1 or logits.shape[1] < 2:
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"{name}: expected the model to return logits of shape (1, 2 classes or more), got {got}")
    if settings.target == "predicted":
        return
    classes = logits.shape[1]
    for each in images:
        if each.label is not None and each.label >= classes:
            raise UserError(
                f"{name}: {each.name}: expected a label below the model's {classes} classes, got {each.label}"
            )
        if each.folders not in (None, classes):
            raise UserError(
                f"{name}: there are {each.folders} folders of images, and the model has {classes} classes, so the "
                "folders' order says nothing of the classes: name a CSV file of labels, file,class_index"
            )


def _references(images: Sequence[LabelledImage], transform: Transform, settings: Settings) -> Tensor:
    """The images that Expected Gradients draws from, chosen by the seed; where it isn't asked for, one."""
    wanted = settings.references if "expected-gradients" in settings.methods else 1
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed)).tolist()
    found: list[Tensor] = []
    reason = ""
    for index in order:
        try:
            picture = read(str(images[index].path))
            tensor = transformed(images[index].name, lambda picture=picture: transform(picture))
        except UserError as error:
            reason = str(error)
            continue
        if not found or tensor.shape == found[0].shape:
            found.append(tensor)
        if len(found) == wanted:
            break
    if not found:
        raise UserError(f"none of {len(images)} images can be used, the last since: {reason}")
    return torch.cat(found)


def described(
    models: Models, images: Sequence[LabelledImage], settings: Settings, patterns: Mapping[str, Patterns]
) -> dict[str, Any]:
    """What the numbers depend on, as JSON has it: what a run must not go on with otherwise."""
    described = {
        **asdict(settings),
        "models": list(models),
        "weights": {name: _digest(*model.state_dict().values()) for name, (model, _) in models.items()},
        "transforms": {name: _digest(_references(images, t, Settings())) for name, (_, t) in models.items()},
        "devices": {name: sorted({p.device.type for p in model.parameters()}) for name, (model, _) in models.items()},
        "patterns": {name: _digest(*patterns[name].values()) for name in models if name in patterns},
        "images": len(images),
        "image_names": _digest(*(f"{image.name}={image.label}" for image in images)),
        "threads": torch.get_num_threads(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return plain


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(repr(part).encode() + b"\0")
    return digest.hexdigest()[:16]
