"""Three paths with and without IDGI, on one photograph."""

from _shared import overlay, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import ImportantDirection, WeightedSum

STEPS = 48
PATHS = {
    "Integrated Gradients": (StraightPath(), "riemann_trapezoid", "IDGI"),
    "Guided IG": (GuidedPath(), "riemann_left", "IDGI on the guided path"),
    "Blur IG": (BlurPath(), "riemann_trapezoid", "IDGI on the blur path"),
}


def draw() -> Figure:
    """Each path is walked once for both of its maps."""
    picture = photograph("coffee")
    figure, grid = panels(2, 4, side=2.6)
    gridspec = grid[0, 0].get_gridspec()
    grid[0, 0].remove()
    grid[1, 0].remove()
    large = figure.add_subplot(gridspec[:, 0])
    large.set_axis_off()
    show(large, picture.pixels, picture.title)
    for column, (title, (path, rule, important_title)) in enumerate(PATHS.items(), 1):
        plain, important = PathAttribution(probability, path).attribute_each(
            [WeightedSum(rule), ImportantDirection()],
            *(picture.x, picture.black if path.takes_baselines else None, picture.target),
            n_steps=STEPS,
        )
        overlay(grid[0, column], picture.pixels, plain, title)
        overlay(grid[1, column], picture.pixels, important, important_title)
    return figure
