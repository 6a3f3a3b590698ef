"""Integrated Gradients from six baselines, and their mean."""

import torch
from _shared import heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext import baselines
from captum_ext.attr import IntegratedGradients

STEPS = 24


def draw() -> Figure:
    """Each baseline over the map from it. The mean of the maps is what Expected(IG, all six) gives."""
    picture = photograph("coffee")
    x, black, white = picture.x, picture.black, picture.white
    generator = torch.Generator().manual_seed(0)
    starts = {
        "black": black,
        "white": white,
        "blurred": black + baselines.blurred(x - black, 5.0),
        "Gaussian noise": baselines.gaussian_noise(x, 0.5 * (white - black), black, white, generator),
        "uniform": baselines.uniform(x, black, white, generator),
        "max. distance": baselines.maximum_distance(x, black, white),
    }
    every = torch.cat(list(starts.values()))
    with torch.no_grad():
        scores = probability(every)[:, picture.target].tolist()
    maps = IntegratedGradients(probability).attribute(
        x.expand(len(every), -1, -1, -1).contiguous(), every, target=picture.target, n_steps=STEPS
    )
    figure, grid = panels(4, 4, lines=2)
    columns = [*grid[:2].T, *grid[2:, :2].T]
    for (above, below), name, start, score, attributions in zip(columns, starts, every, scores, maps, strict=False):
        show(above, picture.colors(start), f"{name}\np = {score:.3f}")
        heat(below, attributions.unsqueeze(0), "")
    show(grid[2, 2], picture.pixels, picture.title)
    heat(grid[3, 2], maps.mean(0, keepdim=True), "Expected\nover all six")
    return figure
