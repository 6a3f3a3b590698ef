"""Three paths with and without IDGI, on one photograph."""

from _shared import heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import ImportantDirection, WeightedSum

STEPS = 48
PATHS = {
    "IG": (StraightPath(), "riemann_trapezoid", "IDGI"),
    "Guided IG": (GuidedPath(), "riemann_left", "Guided + IDGI"),
    "Blur IG": (BlurPath(), "riemann_trapezoid", "Blur + IDGI"),
}


def draw() -> Figure:
    """Each path is walked once for both of its maps."""
    picture = photograph("coffee")
    figure, grid = panels(2, 4)
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
        heat(grid[0, column], plain, title)
        heat(grid[1, column], important, important_title)
    return figure
