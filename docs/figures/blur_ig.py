"""The scale space of a photograph, F along it, and what the settings do to the map."""

from _shared import TYPE, heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import BlurIG
from captum_ext.paths import BlurPath

STEPS = 32


def draw() -> Figure:
    """Blurred pictures above, maps below."""
    picture = photograph("coffee")
    figure, grid = panels(2, 4, lines=2)
    for panel, sigma in zip(grid[0], (50, 10, 2), strict=False):
        (image,) = BlurPath().point((picture.x,), (), 1 - sigma / 50)
        show(panel, picture.colors(image[0]), f"$\\sigma$ = {sigma}")
    settings = {"default": {}, "sqrt": {"schedule": "sqrt"}, "max_sigma=10": {"max_sigma": 10.0}}
    curves = []
    for panel, (name, given) in zip(grid[1], settings.items(), strict=False):
        method = BlurIG(probability, **given)
        maps, told = method.attribute(picture.x, target=picture.target, n_steps=STEPS, return_diagnostics=True)
        curves.append((name, told))
        error = told.completeness_error[0].abs()
        heat(panel, maps, f"{name},\noff by {error:.0%}")
    for panel in (grid[0, 3], grid[1, 3]):
        panel.remove()
    plot = figure.add_subplot(grid[0, 3].get_gridspec()[:, 3])
    for name, told in curves:
        plot.plot(told.positions[0], told.values[0], marker="|", label=name, linewidth=1)
    plot.set_xlabel(r"$\alpha$, a mark a gradient")
    plot.set_title("F along the path", fontsize=TYPE)
    plot.legend(fontsize=8)
    plot.grid(alpha=0.3)
    return figure
