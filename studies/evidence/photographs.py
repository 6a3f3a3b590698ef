"""Which photographs are explained, and which ones heads and patterns are fitted on: never the same."""

from __future__ import annotations

import json
from pathlib import Path

from captum_ext.cli.models import load
from captum_ext.evaluation import LabelledImage
from evidence.models import correct, halves

CHOSEN = Path(__file__).parent / "results" / "images.json"
LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def explained(folder: str | Path, count: int = 64) -> list[LabelledImage]:
    """Those of the even positions by name that all three EfficientNet-Lite classify correctly, evenly spaced.

    They are chosen once; their names are kept with the results.
    """
    images = halves(folder)[0]
    if not CHOSEN.exists():
        right = images
        for name in LITES:
            classifier = load(name, None)
            right = correct(classifier.model, right, classifier.transform)
        chosen = [right[k * len(right) // count].name for k in range(count)]
        CHOSEN.parent.mkdir(exist_ok=True)
        CHOSEN.write_text(json.dumps({"candidates": len(images), "right": len(right), "images": chosen}, indent=1))
    names = set(json.loads(CHOSEN.read_text())["images"])
    return [image for image in images if image.name in names]


def fitted(folder: str | Path) -> list[LabelledImage]:
    """Those of the odd positions."""
    return halves(folder)[1]
