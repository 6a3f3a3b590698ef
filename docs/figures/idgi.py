"""IG and IDGI by the same gradients, with few and with more steps."""

from _shared import heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import PathAttribution
from captum_ext.quadratures import ImportantDirection, WeightedSum


def draw() -> Figure:
    """A row a quadrature."""
    picture = photograph("chelsea")
    figure, grid = panels(2, 4, lines=2)
    show(grid[0, 0], picture.pixels, picture.title)
    for column, steps in enumerate((4, 16, 64), 1):
        maps = PathAttribution(probability).attribute_each(
            [WeightedSum("riemann_trapezoid"), ImportantDirection()],
            *(picture.x, picture.black, picture.target),
            n_steps=steps,
        )
        for row, (name, attributions) in enumerate(zip(("IG", "IDGI"), maps, strict=True)):
            heat(grid[row, column], attributions, f"{name}\n{steps} steps")
    return figure
