"""Peak memory above that of a process that has loaded the network and the photographs; one process per contender."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import Size, network, photographs, resident_megabytes
from benchmarks.contenders import BARE, CAPTUM, CAPTUM_ROWS, CONTENDERS, scene_of


def memory(size: Size) -> Iterator[dict[str, Any]]:
    half = size.few_steps // 2
    runs = [
        (CAPTUM, size.images, size.few_steps),
        (CAPTUM_ROWS, size.images, size.few_steps),
        ("IG", size.images, size.few_steps),
        (CAPTUM, size.few_images, size.steps),
        (CAPTUM_ROWS, size.few_images, size.steps),
        ("IG", size.few_images, size.steps),
        (CAPTUM, size.images, half),
        ("IG", size.images, half),
        ("zennit IG", size.images, half),
        ("PAIR IG", 1, half),
        ("Guided IG", size.images, half),
        ("PAIR Guided IG", 1, half),
        ("Blur IG", size.images, half),
        ("PAIR Blur IG", 1, half),
        (BARE, size.images, 1),
    ]
    for name, images, steps in runs:
        yield {"contender": name, "images": images, "steps": steps, "megabytes": _in_new_process(name, images, steps)}


def _in_new_process(name: str, images: int, steps: int) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", name, str(images), str(steps)]
    megabytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"  {name} {images} x {steps}: {megabytes} MB", flush=True)
    return megabytes


def peak(name: str, images: int, steps: int) -> int:
    """The peak memory that the call adds to this process, in MB."""
    model, transform = network()
    inputs = photographs(transform, images)
    scene = scene_of(model, inputs[:1], steps)
    scene = scene._replace(images=inputs, targets=scene.targets.repeat(images))
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident_megabytes("VmRSS")
    CONTENDERS[name](scene)
    return round(resident_megabytes("VmHWM") - before)


if __name__ == "__main__":
    print(peak(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
