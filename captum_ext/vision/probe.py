"""Check a user's model and transform with one forward pass before a long computation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from captum_ext import baselines
from captum_ext._utils.buffers import preserve_buffers
from captum_ext._utils.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from captum_ext.vision.classifier import Classifier, Transform


class ClassifiedImage(NamedTuple):
    """An image and a black and a white picture as inputs of the model (1, C, H, W), and the image's probabilities."""

    image: Tensor
    black: Tensor
    white: Tensor
    scores: Tensor

    def pixels(self) -> NDArray[Any]:
        """The image's colors (H, W, 3) in [0, 1]."""
        return image_colors(self.image, self.black, self.white)


def image_colors(image: Tensor, black: Tensor, white: Tensor) -> NDArray[Any]:
    """The colors (H, W, 3) in [0, 1] of an input (1, C, H, W): the position of its values between black and white."""
    colors = ((image - black) / (white - black)).nan_to_num(0.5).clamp(0, 1)[0].float().cpu()
    colors = colors if len(colors) == 3 else colors.mean(0, keepdim=True).expand(3, -1, -1)
    return colors.permute(1, 2, 0).numpy()


def probe(name: str, picture: Image, classifier: Classifier, device: torch.device) -> ClassifiedImage:
    """Transform a picture and classify it.

    Raises:
        UserError: If the transform or the model fails or returns an unsupported value.
    """
    image = transformed(name, partial(classifier.transform, picture)).to(device)
    black, white = black_and_white(name, picture, classifier.transform, device)
    if not image.shape == black.shape == white.shape:
        raise UserError(f"{name}: the transform returns tensors of different shapes for images of the same size")
    scores = class_logits(name, classifier.model, image)
    if not bool(torch.isfinite(scores).all()):
        raise UserError(f"{name}: the model returns NaN or infinite logits")
    return ClassifiedImage(image, black, white, scores.softmax(1)[0])


def black_and_white(name: str, picture: Image, transform: Transform, device: torch.device) -> tuple[Tensor, Tensor]:
    """A black and a white picture of the same size as inputs of the model (1, C, H, W).

    Raises:
        UserError: If the transform fails or returns something that can't be explained.
    """
    black, white = (
        transformed(name, lambda make=make: make(picture, transform)[0]).to(device)
        for make in (baselines.black, baselines.white)
    )
    return black, white


def class_logits(name: str, model: nn.Module, image: Tensor) -> Tensor:
    """The model's logits (1, classes) of an image.

    Raises:
        UserError: If the model fails or returns something else.
    """
    try:
        with torch.no_grad(), preserve_buffers(model.modules()):
            logits = model(image)
    except Exception as error:  # users' models raise arbitrary exceptions
        raise UserError(f"{name}: the model fails on an input of shape {tuple(image.shape)}: {error}") from error
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != 1 or logits.shape[1] < 2:
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"{name}: expected the model to return logits (1, classes) for at least 2 classes, got {got}")
    return logits


def transformed(name: str, transform: Any) -> Tensor:
    """The result of a transform, as a batch of one.

    Raises:
        UserError: If the transform fails or returns an unsupported value.
    """
    try:
        image = transform()
    except Exception as error:
        raise UserError(f"{name}: the transform fails: {error}") from error
    if not isinstance(image, Tensor) or image.dim() != 3:
        got = f"shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise UserError(f"{name}: expected the transform to return a tensor (C, H, W), got {got}")
    image = image.unsqueeze(0)
    if not bool(torch.isfinite(image).all()):
        raise UserError(
            f"{name}: the transform of this image, or of a black or white picture, has NaN or infinite values. If it "
            "standardizes each image, use a transform with fixed constants instead"
        )
    return image
