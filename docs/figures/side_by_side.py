"""Three paths with and without IDGI, on two photographs."""

from _shared import overlay, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import ImportantDirection, WeightedSum

STEPS = 24
PATHS = {
    "Integrated Gradients": (StraightPath(), "riemann_trapezoid"),
    "Guided IG": (GuidedPath(), "riemann_left"),
    "Blur IG": (BlurPath(), "riemann_trapezoid"),
}


def draw() -> Figure:
    """Each path is walked once for both of its maps."""
    figure, grid = panels(2, 7)
    for line, name in zip(grid, ("coffee", "chelsea"), strict=True):
        picture = photograph(name)
        show(line[0], picture.pixels, picture.title)
        for k, (title, (path, rule)) in enumerate(PATHS.items()):
            start = picture.black if path.takes_baselines else None
            plain, important = PathAttribution(probability, path).attribute_each(
                [WeightedSum(rule), ImportantDirection()], picture.x, start, target=picture.target, n_steps=STEPS
            )
            overlay(line[1 + 2 * k], picture.pixels, plain, title)
            overlay(line[2 + 2 * k], picture.pixels, important, "IDGI" if k == 0 else f"IDGI on the path of {title}")
    return figure
