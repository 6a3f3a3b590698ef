"""An overlay."""

from _shared import camera
from matplotlib.figure import Figure

from captum_ext.visualization import overlay


def draw() -> Figure:
    """IG of the photographer, smoothed."""
    picture, maps = camera()
    return overlay(maps["Integrated Gradients"], picture.pixels, sigma=2, title="Integrated Gradients")
