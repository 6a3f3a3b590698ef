"""Where the guided path leads past the straight one, and the maps along both."""

import torch
from _shared import heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import GuidedIG, IntegratedGradients

STEPS = 20


def draw() -> Figure:
    """A row a path: points of it, and its map."""
    picture = photograph("coffee")
    figure, grid = panels(3, 5, lines=2)
    methods = {
        "straight": IntegratedGradients,
        "guided, 0.02": GuidedIG,
        "guided, 1": lambda f: GuidedIG(f, max_dist=1.0),
    }
    for line, (name, make) in zip(grid, methods.items(), strict=True):
        points = []

        def recorded(x: torch.Tensor, points: list = points) -> torch.Tensor:
            points.extend(x.detach())
            return probability(x)

        rule = "riemann_left"
        maps = make(recorded).attribute(picture.x, picture.black, picture.target, n_steps=STEPS, method=rule)
        for panel, step in zip(line, (2, 5, 10, 15), strict=False):
            title = f"{name}\nstep {step} of {STEPS}" if step == 2 else f"step {step}"
            show(panel, picture.colors(points[step]), title)
        heat(line[4], maps, "the map")
    return figure
