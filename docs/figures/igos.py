"""Masks of I-GOS with the published penalties and with weaker ones."""

import torch
from _shared import heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext import baselines
from captum_ext.attr import IGOS


@torch.no_grad()
def draw() -> Figure:
    """The photograph and its blurred baseline; the maps; what the weakly penalized mask leaves."""
    picture = photograph("coffee")
    blurred = baselines.blurred(picture.x, 15.0, "reflect")
    figure, grid = panels(2, 3, lines=2)
    show(grid[0, 0], picture.pixels, picture.title)
    show(grid[1, 0], picture.colors(blurred[0]), f"blurred\np = {float(probability(blurred)[0, picture.target]):.2f}")
    settings = {"l1=1, tv=20": IGOS(probability), "l1=0.1, tv=1": IGOS(probability, l1=0.1, tv=1.0)}
    for column, (name, method) in enumerate(settings.items(), start=1):
        maps = method.attribute(picture.x, target=picture.target, n_steps=5, n_iterations=6, generator=0)
        heat(grid[0, column], maps[:, :1], f"{name}\nat most {float(maps.max()):.2f}")
        composite = maps * blurred + (1 - maps) * picture.x
        left = float(probability(composite)[0, picture.target])
        show(grid[1, column], picture.colors(composite[0]), f"the composite\np = {left:.2f}")
    return figure
