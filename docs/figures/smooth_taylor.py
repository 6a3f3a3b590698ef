"""SmoothTaylor by the number of roots and the noise."""

from _shared import heat, panels, photograph, probability, show
from matplotlib.figure import Figure

from captum_ext.attr import SmoothTaylor


def draw() -> Figure:
    """The photograph, a root, and maps of few and many roots with little and much noise."""
    picture = photograph("coffee")
    figure, grid = panels(2, 4, lines=2)
    show(grid[0, 0], picture.pixels, picture.title)
    roots = []
    SmoothTaylor(lambda x: roots.append(x.detach()) or probability(x)).attribute(
        picture.x, picture.target, n_samples=1, generator=0
    )
    show(grid[1, 0], picture.colors(roots[0][0]), "a root\nstdevs=0.5")
    for line, stdev in zip(grid, (0.2, 0.5), strict=True):
        for panel, samples in zip(line[1:], (4, 16, 48), strict=True):
            maps = SmoothTaylor(probability).attribute(
                picture.x, picture.target, n_samples=samples, stdevs=stdev, generator=1
            )
            heat(panel, maps, f"stdevs={stdev}\n{samples} roots")
    return figure
