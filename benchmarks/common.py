"""The network and the photographs of the benchmarks, and interleaved timing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from skimage import data
from torch import Tensor

from captum_ext.cli.models import load


def network() -> tuple[torch.nn.Module, Callable[[Image.Image], Tensor]]:
    explained = load("efficientnet-lite0", None)
    return explained.model, explained.transform


def photographs(transform: Callable[[Image.Image], Tensor], count: int, folder: Path | None = None) -> Tensor:
    """``count`` photographs: crops of scikit-image's, or the first of a folder."""
    if folder is not None:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
        if len(files) < count:
            raise SystemExit(f"{folder} has {len(files)} photographs; {count} are needed")
        files = files[:: len(files) // count][:count]
        return torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
    images = [Image.fromarray(picture) for picture in (data.coffee(), data.chelsea())]
    crops = []
    for k in range(count):
        image = images[k % 2]
        shift = 12 * (k // 2)
        crops.append(transform(image.crop((shift, shift, image.width - shift, image.height - shift))))
    return torch.stack(crops)


def interleaved(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median time of each call in seconds, after one round to warm up; the rounds interleave the calls."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(repeats + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if round_:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def resident(key: str) -> float:
    """This process's memory in MB, now (VmRSS) or at most so far (VmHWM); Linux keeps these."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise SystemExit("memory is measured on Linux only")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines)
