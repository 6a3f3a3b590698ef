"""The conductance of three blocks of one network, from one walk."""

from _shared import classifier, heat, panels, photograph, probability, show
from captum.attr import LayerAttribution
from matplotlib.figure import Figure

from captum_ext.attr import LayerConductance

_BLOCKS = (2, 6, 14)


def draw() -> Figure:
    """Maps of deeper and deeper layers, drawn over the photograph."""
    picture = photograph("coffee")
    model = classifier().model
    figure, grid = panels(1, 1 + len(_BLOCKS), lines=2)
    show(grid[0, 0], picture.pixels, picture.title)
    method = LayerConductance(probability, [model._blocks[block] for block in _BLOCKS])
    layers = method.attribute(picture.x, picture.black, picture.target, n_steps=24)
    for panel, block, maps in zip(grid[0, 1:], _BLOCKS, layers, strict=True):
        summed = maps.sum(1, keepdim=True)
        large = LayerAttribution.interpolate(summed, (224, 224), "nearest")
        heat(panel, large, f"block {block}\n{summed.shape[-1]} x {summed.shape[-1]}")
    return figure
