"""The network and the photographs of the benchmarks, interleaved timing, memory, and facts about the machine."""

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
    """How much is measured. The steps of 12 and 2 images of 50 are what Captum's 80 MB a point leave room for."""

    images: int = 8
    steps: int = 50
    short: int = 12  # steps that Captum is asked for
    few: int = 2  # photographs for what goes image by image, and for all steps by Captum
    seconds: float = 35.0  # for each comparison; three times as many if the least rounds need them
    axis_seconds: float = 6.0  # for each place on an axis, likewise
    least: int = 3  # rounds
    most: int = 7
    batches: tuple[int, ...] = (1, 8, 16)
    step_counts: tuple[int, ...] = (8, 32, 128, 256)
    sides: tuple[int, ...] = (128, 224, 320)
    metric_steps: int = 8
    folder: Path | None = None


FULL = Size()
QUICK = Size(
    steps=12,
    short=4,
    seconds=3.0,
    axis_seconds=1.0,
    least=1,
    batches=(1, 8),
    step_counts=(8, 32),
    sides=(128, 224),
    metric_steps=2,
)


def network() -> tuple[nn.Module, Callable[[Image.Image], Tensor]]:
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


def interleaved(calls: dict[str, Callable[[], object]], seconds: float, size: Size) -> dict[str, list[float]]:
    """The times of each call in seconds, a round each.

    Every round makes each call once, every other round in reverse, so that a drift of the machine meets all alike.
    There are as many rounds as the seconds allow, and at least ``size.least`` unless the machine is so busy that
    these take thrice the seconds. Nothing is warmed up here: making a scene does that.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, started = list(calls), time.perf_counter()
    for done in range(1, size.most + 1):
        began = time.perf_counter()
        for name in order:
            before = time.perf_counter()
            calls[name]()
            times[name].append(round(time.perf_counter() - before, 4))
        order.reverse()
        now = time.perf_counter()
        if (now - started) + (now - began) > seconds * (1 if done >= size.least else 3):
            break
    return times


def resident(key: str) -> float:
    """This process's memory in MB, now (VmRSS) or at most so far (VmHWM); Linux keeps these."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise SystemExit("memory is measured on Linux only")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
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


def others_seconds() -> float:
    """The processor seconds that other processes took since the machine started; 0 where there is no /proc."""
    counted = Path("/proc/stat")
    if not counted.exists():
        return 0.0
    user, nice, system = map(int, counted.read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines)
