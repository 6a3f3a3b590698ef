"""The README's picture. ``python docs/figures/dark_object.py`` writes it to docs/images and prints its numbers."""

from pathlib import Path

from _shared import camera
from matplotlib.figure import Figure

from captum_ext.visualization import compare


def draw() -> Figure:
    """The photograph, and both maps from black."""
    picture, maps = camera()
    return compare(maps, picture.pixels, image_title='"tripod"')


if __name__ == "__main__":
    picture, maps = camera()
    dark = picture.pixels.mean(2) < 0.2
    print(f"{dark.mean():.0%} of the pixels are darker than 0.2; of the map they get")
    for name, attributions in maps.items():
        magnitudes = attributions[0].sum(0).abs().numpy()
        print(f"{name}: {magnitudes[dark].sum() / magnitudes.sum():.0%}")
    draw().savefig(Path(__file__).parents[1] / "images" / "dark_object.png", dpi=150)
