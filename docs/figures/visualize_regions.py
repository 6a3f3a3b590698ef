"""The most important regions."""

from _shared import camera
from matplotlib.figure import Figure

from captum_ext.regions import xrai
from captum_ext.visualization import regions


def draw() -> Figure:
    """XRAI's regions of IDGI's map."""
    picture, maps = camera()
    _, ranks = xrai(maps["IDGI"], picture.x, return_regions=True)
    return regions(ranks[0], picture.pixels, share=0.1, title="XRAI of IDGI")
