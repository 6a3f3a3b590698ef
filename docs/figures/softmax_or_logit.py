"""One photograph, two classes, and the two outputs that a class has."""

import torch
from _shared import classifier, panels, photograph, probability, show, signs
from matplotlib.figure import Figure

from captum_ext.attr import IntegratedGradients


def draw() -> Figure:
    """A row an output: what speaks for the first class, and for the second."""
    picture = photograph("chelsea")
    model = classifier().model
    best = probability(picture.x)[0].topk(2)
    figure, grid = panels(2, 3, lines=3)
    show(grid[0, 0], picture.pixels, picture.title)
    for line, (name, function) in zip(grid, {"probability": probability, "logit": model}.items(), strict=True):
        both = picture.x.expand(2, -1, -1, -1)
        maps = IntegratedGradients(function).attribute(both, picture.black, best.indices.tolist(), n_steps=24)
        alike = torch.corrcoef(maps.sum(1).flatten(1))[0, 1]
        for panel, attributions, target in zip(line[1:], maps, best.indices.tolist(), strict=True):
            category = classifier().category(target)
            signs(panel, picture.pixels, attributions.unsqueeze(0), f"{name}\nof {category}\nr = {alike:.2f}")
    return figure
