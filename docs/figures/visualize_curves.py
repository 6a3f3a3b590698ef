"""Insertion curves."""

from _shared import camera, probability
from matplotlib.figure import Figure

from captum_ext.metrics import insertion
from captum_ext.visualization import curves


def draw() -> Figure:
    """IG and IDGI of the photographer."""
    picture, maps = camera()
    scores = {
        name: insertion(probability, picture.x, attributions, picture.target, picture.black).scores[0]
        for name, attributions in maps.items()
    }
    return curves(scores, xlabel="fraction of the pixels inserted", ylabel="probability")
