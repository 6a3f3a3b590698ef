"""Time of a call in a process that keeps freed memory, and in one that does not; one process per call."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.common import Size, network, photographs
from benchmarks.contenders import CONTENDERS, scene_of
from captum_ext.memory import keep_freed_memory


def allocator(size: Size) -> Iterator[dict[str, Any]]:
    """Both kinds of process alternate, so that changes of the machine's speed affect both."""
    steps = size.few_steps
    for name in ("IG", "Captum IG", "Guided IG"):
        seconds: dict[str, list[float]] = {"usual": [], "kept": []}
        for _ in range(size.min_rounds):
            for kind, times in seconds.items():
                times.append(_in_new_process(kind, name, size.images, steps))
        points = dict.fromkeys(seconds, size.images * steps)
        yield {"contender": name, "images": size.images, "steps": steps, "points": points, "seconds": seconds}


def _in_new_process(kind: str, name: str, images: int, steps: int) -> float:
    command = [sys.executable, "-m", "benchmarks.allocator", kind, name, str(images), str(steps)]
    seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"  {name}, {kind}: {seconds:.2f} s", flush=True)
    return seconds


def call_seconds(kind: str, name: str, images: int, steps: int) -> float:
    """The seconds of a call after a short one."""
    if kind == "kept" and not keep_freed_memory():
        raise SystemExit("keep_freed_memory() has no effect here: it needs glibc and no MALLOC_ variables")
    model, transform = network()
    scene = scene_of(model, photographs(transform, images), steps)
    CONTENDERS[name](scene.first(images, 2))
    started = time.perf_counter()
    CONTENDERS[name](scene)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(call_seconds(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
