"""The benchmarks' network and photographs, interleaved timing, memory, and facts about the machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn

from captum_ext.cli.models import load

_PEERS = ("captum", "saliency", "zennit", "torch", "torchvision", "numpy")


class Size(NamedTuple):
    """The sizes of a run.

    Captum evaluates all points at once and needs about 80 MB for each, so it runs ``few_steps`` on all images and all
    steps on ``few_images``.
    """

    images: int = 8
    steps: int = 50
    few_steps: int = 12
    few_images: int = 2  # contenders that take one image at a time use as many
    seconds: float = 35.0  # of each comparison; up to three times as many until there are min_rounds
    axis_seconds: float = 6.0  # the same for each value on an axis
    network_seconds: float = 35.0  # the same for each network
    method_seconds: float = 5.0  # the same for each method
    min_rounds: int = 3
    max_rounds: int = 7
    method_rounds: int = 2
    network_steps: int = 8
    method_steps: int = 12
    batches: tuple[int, ...] = (1, 8, 16)
    step_counts: tuple[int, ...] = (8, 32, 128, 256)
    sides: tuple[int, ...] = (128, 224, 320)
    metric_steps: int = 8
    folder: Path | None = None


FULL = Size()
QUICK = Size(
    steps=12,
    few_steps=4,
    seconds=3.0,
    axis_seconds=1.0,
    network_seconds=1.0,
    method_seconds=1.0,
    min_rounds=1,
    method_rounds=1,
    network_steps=2,
    method_steps=2,
    batches=(1, 8),
    step_counts=(8, 32),
    sides=(128, 224),
    metric_steps=2,
)


def network() -> tuple[nn.Module, Callable[[Image.Image], Tensor]]:
    classifier = load("efficientnet-lite0", None)
    return classifier.model, classifier.transform


def photographs(transform: Callable[[Image.Image], Tensor], count: int, folder: Path | None = None) -> Tensor:
    """``count`` photographs: crops of two from scikit-image, or evenly chosen files of a folder."""
    if folder is not None:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
        if len(files) < count:
            raise SystemExit(f"{folder}: expected at least {count} photographs, got {len(files)}")
        files = files[:: len(files) // count][:count]
        return torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
    images = [Image.fromarray(picture) for picture in (data.coffee(), data.chelsea())]
    crops = []
    for k in range(count):
        image = images[k % 2]
        shift = 12 * (k // 2)
        crops.append(transform(image.crop((shift, shift, image.width - shift, image.height - shift))))
    return torch.stack(crops)


def interleaved(calls: dict[str, Callable[[], object]], seconds: float, size: Size) -> dict[str, list[float]]:
    """The times of each call in seconds, one per round.

    Each round makes every call once, every second round in reverse order, so that slow changes of the machine's speed
    affect all calls alike. The number of rounds is as large as the seconds allow, and at least ``size.min_rounds``
    unless these would take more than three times the seconds. There is no warm-up here: ``scene_of`` does that.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, started = list(calls), time.perf_counter()
    for n_rounds in range(1, size.max_rounds + 1):
        round_started = time.perf_counter()
        for name in order:
            before = time.perf_counter()
            calls[name]()
            times[name].append(round(time.perf_counter() - before, 4))
        order.reverse()
        now = time.perf_counter()
        if (now - started) + (now - round_started) > seconds * (1 if n_rounds >= size.min_rounds else 3):
            break
    return times


def resident_megabytes(key: str) -> float:
    """This process's resident memory in MB: the current value (VmRSS) or its peak (VmHWM). Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise SystemExit("memory is measured on Linux only")


def machine_facts() -> dict[str, Any]:
    """The hardware and the versions that the figures depend on."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line.split(":")[1].strip() for line in information.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": {name: version(name) for name in _PEERS},
    }


def other_processes_seconds() -> float:
    """Processor seconds of all other processes since the machine started; 0 on systems without /proc."""
    statistics = Path("/proc/stat")
    if not statistics.exists():
        return 0.0
    user, nice, system = map(int, statistics.read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines)
