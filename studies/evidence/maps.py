"""Maps of all methods on scikit-image's photographs: ``python -m evidence.maps --images FOLDER``, in a few minutes.

Without a folder of photographs there are no patterns and no references, and the methods that need them are left out.
"""

import argparse
import io
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image
from skimage import data
from torch import Tensor

from captum_ext.cli.models import load
from captum_ext.evaluation.batch_maps import compute_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.evaluation.method_registry import METHODS
from captum_ext.vision.classifier import Classifier
from captum_ext.vision.probe import probe
from captum_ext.visualization import heatmap, panels, png, set_title
from evidence.models import batches, fitted, halves
from evidence.words import label

PICTURES = {"coffee": data.coffee, "chelsea": data.chelsea, "camera": data.camera}
STEPS = 50
ACROSS, DOWN = 6, 3
_DOCS = Path(__file__).parents[2] / "docs" / "images"
_SHOWN = [
    *("ig", "guided-ig", "blur-ig", "pgig", "patternattribution"),
    *("idgi", "guided-ig+idgi", "blur-ig+idgi", "patternnet", "guided-backprop", "gradient"),
    *("gradient-x-input", "vargrad", "smoothgrad-squared", "smoothgrad-ig", "expected-gradients", "random"),
]
_QUALITY = 90  # a map is noise, which PNG hardly makes smaller


def subject(classifier: Classifier, folder: Path | None) -> ProbabilityModel:
    """The network; with patterns and references from a folder's photographs of odd positions, which no run explains."""
    if folder is None:
        return ProbabilityModel(classifier.model, torch.empty(0), None, 0)
    parts = list(batches(halves(folder)[1], classifier.transform))
    model, _, patterns, folded = fitted(classifier.model, classifier.transform, parts)
    return ProbabilityModel(model, torch.cat(parts)[:49], None, 0, patterns=patterns, folded_model=folded)


def maps(network: ProbabilityModel, name: str, image: Tensor, black: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Each method's map (H, W)."""
    possible = [
        method
        for method in _SHOWN
        if network.patterns is not None or not (METHODS[method].needs_patterns or method == "expected-gradients")
    ]
    answers = compute_maps(network, ImageBatch((name,), image, black, target), possible, [STEPS])
    by_method = {answer.method: answer.maps[0].sum(0) for answer in answers}
    return {method: by_method[method] for method in possible}


def draw(pixels: Any, title: str, maps: dict[str, Tensor]) -> Figure:
    """The photograph, and a panel a method."""
    figure, grid = panels(DOWN, ACROSS, (8, 1.56 * DOWN), for_images=True)
    grid[0, 0].imshow(pixels)
    set_title(grid[0, 0], title)
    for panel, (method, values) in zip(grid.flat[1:], maps.items(), strict=False):
        heatmap(values, legend=False, ax=panel)
        set_title(panel, label(method).replace("PatternAttribution", "PatternAttr."))
    return figure


def main() -> None:
    """Draw a figure a photograph."""
    parser = argparse.ArgumentParser(prog="evidence.maps", description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of photographs, for patterns and references")
    parser.add_argument("--output", type=Path, default=_DOCS)
    options = parser.parse_args()
    classifier = load("efficientnet-lite0", None)
    network = subject(classifier, options.images)
    for name, make in PICTURES.items():
        seen = probe(name, Image.fromarray(make()).convert("RGB"), classifier, torch.device("cpu"))
        target = seen.scores.argmax()
        title = f"{classifier.category(int(target))}, p = {seen.scores[target]:.2f}"
        figure = draw(seen.pixels(), title, maps(network, name, seen.image, seen.black, target[None]))
        picture = Image.open(io.BytesIO(png(figure, 140))).convert("RGB")
        picture.save(options.output / f"evidence-maps-{name}.jpg", quality=_QUALITY, subsampling=0)
        print(f"{name}: {title}")


if __name__ == "__main__":
    main()
