"""A heat map."""

from _shared import camera
from matplotlib.figure import Figure

from captum_ext.visualization import heatmap


def draw() -> Figure:
    """IDGI of the photographer."""
    return heatmap(camera()[1]["IDGI"], title="IDGI")
