"""Where four searched paths lead, and their maps."""

import warnings

import torch
from _shared import classifier, heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import AGI, IG2, MFABA, SAMP

STEPS = 15


def draw() -> Figure:
    """A column a method: a point of its path, and its map."""
    picture, reference = photograph("coffee"), photograph("chelsea")
    span = tuple(image[0, :, 0, 0].tolist() for image in (picture.black, picture.white))
    side = float((picture.white - picture.black).amax())
    pooled = next(module for module in classifier().model.modules() if isinstance(module, torch.nn.AdaptiveAvgPool2d))
    figure, grid = panels(2, 5, lines=3)
    show(grid[0, 0], picture.pixels, picture.title)
    show(grid[1, 0], reference.pixels, "reference\nof IG2")
    methods = {
        "AGI": (lambda f: AGI(f, 2, 0.05 * side, span), None),
        "MFABA": (lambda f: MFABA(f, clip=span), None),
        "IG2": (lambda f: IG2(f, pooled), reference.x),
        "SAMP": (SAMP, picture.black),
    }
    for column, (name, (make, baselines)) in enumerate(methods.items(), 1):
        points: list[torch.Tensor] = []

        def recorded(x: torch.Tensor, points: list[torch.Tensor] = points) -> torch.Tensor:
            points.append(x.detach())
            return probability(x)

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The attributions of 1")  # SAMP's sum, as the page says
            maps = make(recorded).attribute(picture.x, baselines, picture.target, n_steps=STEPS)
        point = points[len(points) // 2 if name == "SAMP" else -1][:1]
        score = float(probability(point).detach()[0, picture.target])
        where = "half way" if name == "SAMP" else "the end"
        show(grid[0, column], picture.colors(point[0]), f"{name}\n{where}\np = {score:.2f}")
        heat(grid[1, column], maps, "the map")
    return figure
