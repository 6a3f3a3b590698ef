"""The straight path: F along it, and what the number of steps does to the map."""

from _shared import TYPE, heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import IntegratedGradients


def draw() -> Figure:
    """Points of the path above, maps below."""
    picture = photograph("coffee")
    figure, grid = panels(3, 3, lines=2)
    for panel, alpha in zip(grid[0], (0.1, 0.3, 1.0), strict=False):
        show(panel, picture.colors((picture.black + alpha * (picture.x - picture.black))[0]), f"$\\alpha$ = {alpha}")
    for panel, steps in zip(grid[1], (4, 16, 64), strict=False):
        maps, diagnostics = IntegratedGradients(probability).attribute(
            picture.x, picture.black, picture.target, n_steps=steps, return_diagnostics=True
        )
        error = diagnostics.completeness_error[0].abs()
        heat(panel, maps, f"{steps} gradients,\noff by {error:.1%}")
    for panel in grid[2]:
        panel.remove()
    curve = figure.add_subplot(grid[0, 0].get_gridspec()[2, :])
    curve.plot(diagnostics.positions[0], diagnostics.values[0])
    curve.set_xlabel(r"$\alpha$")
    curve.set_title("F along the path", fontsize=TYPE)
    curve.grid(alpha=0.3)
    return figure
