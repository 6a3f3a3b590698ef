"""A comparison in the style of overlays."""

from _shared import camera
from matplotlib.figure import Figure

from captum_ext.visualization import compare


def draw() -> Figure:
    """IG and IDGI of the photographer."""
    picture, maps = camera()
    return compare(maps, picture.pixels, style="overlay", sigma=2, image_title='"tripod"')
