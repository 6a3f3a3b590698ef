"""Expected Gradients over crops of other photographs, by the number of samples."""

import torch
from _shared import classifier, heat, panels, photograph, probability, show
from matplotlib.figure import Figure
from PIL import Image
from skimage import data

from captum_ext.attr import ExpectedGradients, IntegratedGradients


def _others() -> torch.Tensor:
    """Eight crops of photographs of other things: a small stand-in for training data."""
    corners = torch.randint(0, 150, (8, 2), generator=torch.Generator().manual_seed(0)).tolist()
    sources = [data.chelsea(), data.astronaut(), data.rocket(), data.astronaut()] * 2
    crops = [Image.fromarray(s[y : y + 150, x : x + 150]) for s, (y, x) in zip(sources, corners, strict=True)]
    return torch.stack([classifier().transform(crop) for crop in crops])


def draw() -> Figure:
    """The photograph, one of the baselines, IG from black, and three numbers of samples."""
    picture, others = photograph("coffee"), _others()
    figure, grid = panels(2, 3, lines=2)
    grid = grid.reshape(1, 6)
    show(grid[0, 0], picture.pixels, picture.title)
    show(grid[0, 1], picture.colors(others[1]), "one of eight\nbaselines")
    black = IntegratedGradients(probability).attribute(picture.x, picture.black, picture.target, n_steps=24)
    heat(grid[0, 2], black, "IG from black\n24 gradients")
    for panel, samples in zip(grid[0, 3:], (6, 24, 96), strict=True):
        maps = ExpectedGradients(probability, others).attribute(
            picture.x, picture.target, n_samples=samples, generator=torch.Generator().manual_seed(1)
        )
        heat(panel, maps, f"Expected\n{samples} samples")
    return figure
