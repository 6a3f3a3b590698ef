"""XRAI's regions of four methods' maps: the map, and the top 5, 10 and 20% of the picture."""

import numpy as np
import torch
from _shared import overlay, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients
from captum_ext.regions import segment, top_regions, xrai
from captum_ext.visualization import NORMAL

SHARES = (0.05, 0.1, 0.2)


def draw() -> Figure:
    """A column per method; the segments are computed once."""
    picture = photograph("coffee")
    x, black, target = picture.x, picture.black, picture.target
    maps = {
        "IG": IntegratedGradients(probability).attribute(x, black, target, n_steps=32),
        "IDGI": IDGI(probability).attribute(x, black, target, n_steps=32),
        "Guided IG": GuidedIG(probability).attribute(x, black, target, n_steps=32),
        "Blur IG": BlurIG(probability).attribute(x, target=target, n_steps=32),
    }
    _, regions = xrai(torch.cat(list(maps.values())), segments=segment(x), return_regions=True)
    figure, grid = panels(4, 5, extra=0.15)
    show(grid[0, 0], picture.pixels, picture.title)
    for panel, share in zip(grid[1:, 0], SHARES, strict=True):
        panel.text(0.95, 0.5, f"regions that cover\nthe top {share:.0%}", ha="right", va="center", fontsize=NORMAL)
    for (name, attributions), ranks, column in zip(maps.items(), regions, grid.T[1:], strict=True):
        overlay(column[0], picture.pixels, attributions, name)
        for panel, share in zip(column[1:], SHARES, strict=True):
            mask = top_regions(ranks, share).numpy()[..., None]
            panel.imshow(np.where(mask, picture.pixels, 0.85 + 0.15 * picture.pixels))
    return figure
