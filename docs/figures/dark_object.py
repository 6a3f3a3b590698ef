"""The README's picture. ``python docs/figures/dark_object.py`` writes it to docs/images."""

from pathlib import Path

from _shared import camera
from matplotlib.figure import Figure

from captum_ext.visualization import compare


def draw() -> Figure:
    """The photograph, and both maps from black."""
    picture, maps = camera()
    return compare(maps, picture.pixels, image_title='"tripod"')


if __name__ == "__main__":
    draw().savefig(Path(__file__).parents[1] / "images" / "dark_object.png", dpi=150)
