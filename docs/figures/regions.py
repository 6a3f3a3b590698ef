"""XRAI's regions of four methods' maps: the map, and the top 5, 10 and 20% of the picture."""

import torch
from _shared import TYPE, heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients
from captum_ext.regions import segment, xrai
from captum_ext.visualization import regions as draw_regions

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
    figure, grid = panels(4, 5)
    show(grid[0, 0], picture.pixels, picture.title)
    for panel, share in zip(grid[1:, 0], SHARES, strict=True):
        panel.text(0.95, 0.5, f"regions of\nthe top {share:.0%}", ha="right", va="center", fontsize=TYPE)
    for (name, attributions), ranks, column in zip(maps.items(), regions, grid.T[1:], strict=True):
        heat(column[0], attributions, name)
        for panel, share in zip(column[1:], SHARES, strict=True):
            draw_regions(ranks, picture.pixels, share=share, ax=panel)
            panel.set_xlabel("")
    return figure
