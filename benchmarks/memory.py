"""Peak memory above that of the process with the network and the photographs loaded; a process each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import Size, network, photographs, resident
from benchmarks.contenders import CONTENDERS, scene_of


def memory(size: Size) -> Iterator[dict[str, Any]]:
    half = size.short // 2
    asked = [
        ("Captum IG", size.images, size.short),
        ("IG", size.images, size.short),
        ("Captum IG", size.few, size.steps),
        ("IG", size.few, size.steps),
        ("Captum IG", size.images, half),
        ("IG", size.images, half),
        ("zennit IG", size.images, half),
        ("PAIR IG", 1, half),
        ("Guided IG", size.images, half),
        ("PAIR Guided IG", 1, half),
        ("Blur IG", size.images, half),
        ("PAIR Blur IG", 1, half),
        ("bare loop", size.images, 1),
    ]
    for name, images, steps in asked:
        yield {"contender": name, "images": images, "steps": steps, "megabytes": _apart(name, images, steps)}


def _apart(name: str, images: int, steps: int) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", name, str(images), str(steps)]
    found = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"  {name} {images} x {steps}: {found} MB", flush=True)
    return found


def peak(name: str, images: int, steps: int) -> int:
    """What the call adds to this process, in MB."""
    model, transform = network()
    inputs = photographs(transform, images)
    scene = scene_of(model, inputs[:1], steps)
    scene = scene._replace(images=inputs, targets=scene.targets.repeat(images))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading all this
    before = resident("VmRSS")
    CONTENDERS[name](scene)
    return round(resident("VmHWM") - before)


if __name__ == "__main__":
    print(peak(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
