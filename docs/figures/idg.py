"""A photograph under several weights along the path."""

from _shared import heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import IDG, IntegratedGradients, LeftIG, PathAttribution
from captum_ext.quadratures import PositionWeighted


def draw() -> Figure:
    """A map per method."""
    picture = photograph("chelsea")
    figure, grid = panels(2, 3, lines=2)
    show(grid[0, 0], picture.pixels, picture.title)
    methods = {
        "IG": IntegratedGradients(probability),
        "IDG": IDG(probability),
        "Left IG": LeftIG(probability, n_pilot=24),
        "PWIG\n1 - alpha": PathAttribution(probability, quadrature=PositionWeighted("1 - alpha")),
    }
    for panel, (name, method) in zip(grid.flat[1:], methods.items(), strict=False):
        heat(panel, method.attribute(picture.x, picture.black, picture.target, n_steps=32), name)
    return figure
