"""IDGI at three layers of one network."""

from _shared import classifier, heat, panels, photograph, probability, show
from captum.attr import LayerAttribution
from matplotlib.figure import Figure

from captum_ext.attr import LayerIDGI


def draw() -> Figure:
    """Maps of coarser and coarser layers, drawn over the photograph."""
    picture = photograph("coffee")
    model = classifier().model
    figure, grid = panels(1, 4, lines=2)
    show(grid[0, 0], picture.pixels, picture.title)
    for panel, block in zip(grid[0, 1:], (2, 6, 14), strict=True):
        method = LayerIDGI(probability, model._blocks[block])
        maps = method.attribute(picture.x, picture.black, picture.target, n_steps=24).sum(1, keepdim=True)
        side = maps.shape[-1]
        large = LayerAttribution.interpolate(maps, (224, 224), "nearest")
        heat(panel, large, f"block {block}\n{side} x {side}")
    return figure
