"""Check a user's model and transform with one forward pass before a long computation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from captum_ext import baselines
from captum_ext._utils.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from captum_ext.vision.classifier import Classifier


class ClassifiedImage(NamedTuple):
    """An image and a black and a white picture as inputs of the model (1, C, H, W), and the image's probabilities."""

    image: Tensor
    black: Tensor
    white: Tensor
    scores: Tensor

    def pixels(self) -> NDArray[Any]:
        """The image's colors (H, W, 3) in [0, 1]: the position of its values between black and white."""
        colors = ((self.image - self.black) / (self.white - self.black)).nan_to_num(0.5).clamp(0, 1)[0].float().cpu()
        colors = colors if len(colors) == 3 else colors.mean(0, keepdim=True).expand(3, -1, -1)
        return colors.permute(1, 2, 0).numpy()


def probe(name: str, picture: Image, classifier: Classifier, device: torch.device) -> ClassifiedImage:
    """Transform a picture and classify it.

    Raises:
        UserError: If the transform or the model fails or returns an unsupported value.
    """
    image = transformed(name, lambda: classifier.transform(picture)).to(device)
    black, white = (
        transformed(name, lambda make=make: make(picture, classifier.transform)[0]).to(device)
        for make in (baselines.black, baselines.white)
    )
    if not image.shape == black.shape == white.shape:
        raise UserError(f"{name}: the transform returns tensors of different shapes for images of the same size")
    try:
        with torch.no_grad():
            scores = classifier.model(image)
    except Exception as error:
        raise UserError(f"{name}: the model fails on an input of shape {tuple(image.shape)}: {error}") from error
    if not isinstance(scores, Tensor) or scores.dim() != 2 or len(scores) != 1 or scores.shape[1] < 2:
        got = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        raise UserError(f"{name}: expected the model to return logits (1, classes) for at least 2 classes, got {got}")
    if not bool(torch.isfinite(scores).all()):
        raise UserError(f"{name}: the model returns NaN or infinite logits")
    return ClassifiedImage(image, black, white, scores.softmax(1)[0])


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
