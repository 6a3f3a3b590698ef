"""A photograph under several weights along the path."""

from _shared import overlay, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import IDG, IntegratedGradients, LeftIG, PathAttribution
from captum_ext.quadratures import PositionWeighted


def draw() -> Figure:
    """A map per method."""
    picture = photograph("chelsea")
    figure, grid = panels(1, 5)
    show(grid[0, 0], picture.pixels, picture.title)
    methods = {
        "IG": IntegratedGradients(probability),
        "IDG": IDG(probability),
        "Left IG": LeftIG(probability, n_pilot=24),
        "PWIG, 1 - alpha": PathAttribution(probability, quadrature=PositionWeighted("1 - alpha")),
    }
    for panel, (name, method) in zip(grid[0, 1:], methods.items(), strict=True):
        overlay(panel, picture.pixels, method.attribute(picture.x, picture.black, picture.target, n_steps=32), name)
    return figure
