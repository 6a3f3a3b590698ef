"""The scale space of a photograph, F along it, and what the settings do to the map."""

from _shared import TYPE, heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import BlurIG
from captum_ext.paths import BlurPath

STEPS = 32


def draw() -> Figure:
    """Blurred pictures above, maps below."""
    picture = photograph("coffee")
    figure, grid = panels(3, 3, lines=2)
    for panel, sigma in zip(grid[0], (50, 10, 2), strict=False):
        (image,) = BlurPath().point((picture.x,), (), 1 - sigma / 50)
        show(panel, picture.colors(image[0]), f"$\\sigma$ = {sigma}")
    settings = {"default": {}, "sqrt": {"schedule": "sqrt"}, "max_sigma=10": {"max_sigma": 10.0}}
    curves = []
    for panel, (name, arguments) in zip(grid[1], settings.items(), strict=False):
        method = BlurIG(probability, **arguments)
        maps, diagnostics = method.attribute(picture.x, target=picture.target, n_steps=STEPS, return_diagnostics=True)
        curves.append((name, diagnostics))
        error = diagnostics.completeness_error[0].abs()
        heat(panel, maps, f"{name},\noff by {error:.0%}")
    for panel in grid[2]:
        panel.remove()
    plot = figure.add_subplot(grid[0, 0].get_gridspec()[2, :])
    for name, diagnostics in curves:
        plot.plot(diagnostics.positions[0], diagnostics.values[0], marker="|", label=name, linewidth=1)
    plot.set_xlabel(r"$\alpha$, one mark per gradient")
    plot.set_title("F along the path", fontsize=TYPE)
    plot.legend(fontsize=TYPE)
    plot.grid(alpha=0.3)
    return figure
