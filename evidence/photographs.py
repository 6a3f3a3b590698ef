"""Which photographs are explained, and which ones heads and patterns are fitted on: never the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from captum_ext.cli.models import efficientnet_lite
from captum_ext.evaluation import LabelledImage, find_images
from captum_ext.vision.pictures import read

CHOSEN = Path(__file__).parent / "results" / "images.json"
LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def explained(folder: str | Path, count: int = 64) -> list[LabelledImage]:
    """Those of the even positions by name that all three EfficientNet-Lite classify correctly, evenly spaced.

    They are chosen once; their names are kept with the results.
    """
    images = find_images(folder)[::2]
    if not CHOSEN.exists():
        right = [image for image in images if all(_correct(name, images)[image.name] for name in LITES)]
        chosen = [right[k * len(right) // count].name for k in range(count)]
        CHOSEN.parent.mkdir(exist_ok=True)
        CHOSEN.write_text(json.dumps({"candidates": len(images), "right": len(right), "images": chosen}, indent=1))
    names = set(json.loads(CHOSEN.read_text())["images"])
    return [image for image in images if image.name in names]


def fitted(folder: str | Path) -> list[LabelledImage]:
    """Those of the odd positions."""
    return find_images(folder)[1::2]


_found: dict[str, dict[str, bool]] = {}


def _correct(name: str, images: Sequence[LabelledImage]) -> dict[str, bool]:
    if name not in _found:
        classifier = efficientnet_lite(name, None)
        classifier.model.eval()
        with torch.no_grad():
            _found[name] = {
                image.name: int(classifier.model(classifier.transform(read(str(image.path)))[None]).argmax())
                == image.label
                for image in images
            }
    return _found[name]
