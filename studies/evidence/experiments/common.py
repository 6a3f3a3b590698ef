"""Options, comparisons of maps, and the files of results."""

import argparse
import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext import baselines
from captum_ext.cli.models import load
from captum_ext.evaluation.inputs import ImageBatch
from captum_ext.metrics import rank_correlation
from captum_ext.vision.pictures import read
from evidence.models import BATCH, batches, explained, labels

RESULTS = Path(__file__).parents[1] / "results"
SETTINGS = {"model": "efficientnet-lite0", "baseline": "black", "explained": "the label's probability"}
_PACKAGES = ("captum_ext", "captum", "torch")

Row = dict[str, Any]


def options(about: str | None, photographs: bool, results: Path = RESULTS) -> argparse.ArgumentParser:
    """A parser with what experiments share."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--results", type=Path, default=results, help="where the numbers go")
    if photographs:
        parser.add_argument("--images", required=True, help="a folder of photographs with labels.csv")
        parser.add_argument("--count", type=int, default=64, help="photographs (default: %(default)s)")
    return parser


def photographs(options: argparse.Namespace, rows: int = BATCH) -> Iterator[tuple[nn.Module, ImageBatch, Tensor]]:
    """EfficientNet-Lite0, batches of photographs with black as their baselines, and white, (1, C, H, W)."""
    classifier, images = load("efficientnet-lite0", None), explained(options.images)[: options.count]
    first = read(str(images[0].path))
    black, white = (start(first, classifier.transform) for start in (baselines.black, baselines.white))
    for at, inputs in enumerate(batches(images, classifier.transform, rows)):
        some = images[at * rows : at * rows + len(inputs)]
        names = tuple(image.name for image in some)
        yield classifier.model, ImageBatch(names, inputs, black.expand_as(inputs), labels(some)), white


def relative_l2(maps: Tensor, others: Tensor) -> Tensor:
    """How far other maps are from the maps, over the maps' own norm, (B,)."""
    wide = [tensor.flatten(1).double() for tensor in (maps, others)]
    distance: Tensor = (wide[1] - wide[0]).norm(dim=1) / wide[0].norm(dim=1)
    return distance


def comparison(names: Iterable[str], maps: Tensor, others: Tensor, **what: str) -> list[Row]:
    """A row for each image: what is compared, how far apart the maps are, and their rank correlation, by sign."""
    far, alike = relative_l2(maps, others).tolist(), rank_correlation(maps, others).tolist()
    return [
        {"image": name, **what, "relative_l2": short(distance), "spearman": round(rank, 4)}
        for name, distance, rank in zip(names, far, alike, strict=True)
    ]


def short(number: float) -> float:
    """Four digits are enough for a file."""
    return float(f"{number:.4g}")


def write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> None:
    """Write NAME.csv, and what the numbers depend on to NAME.settings.json."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    versions = {package: version(package) for package in _PACKAGES}
    known = {**settings, "rows": len(rows), "threads": torch.get_num_threads(), "versions": versions}
    (folder / f"{name}.settings.json").write_text(json.dumps(known, indent=1) + "\n")
