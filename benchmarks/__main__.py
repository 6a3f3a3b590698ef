"""Time and memory of this library, of others and of the bare network: ``make bench``. Use an otherwise idle machine.

Each part writes one file; ``python -m benchmarks.page`` makes docs/benchmark.md from them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.allocator import allocator
from benchmarks.common import FULL, QUICK, Size, machine_facts, other_processes_seconds
from benchmarks.guard import guard
from benchmarks.memory import memory
from benchmarks.methods import methods
from benchmarks.metrics import metrics
from benchmarks.networks import networks
from benchmarks.patterns import patterns
from benchmarks.rows import rows
from benchmarks.timing import axes, centre, paths

PARTS: dict[str, Callable[[Size], Iterable[dict[str, Any]]]] = {
    "centre": centre,
    "networks": networks,
    "paths": paths,
    "methods": methods,
    "axes": axes,
    "rows": rows,
    "memory": memory,
    "allocator": allocator,
    "guard": guard,
    "patterns": patterns,
    "metrics": metrics,
}


def run(part: str, size: Size, folder: Path) -> None:
    """Measure one part, and write its file after each comparison, so that an interrupted run keeps its results."""
    kind = "full" if size.steps == FULL.steps else "quick"
    settings = {name: value for name, value in size._asdict().items() if name != "folder"}
    content = {
        "part": part,
        "run": kind,
        "machine": machine_facts(),
        "took": 0.0,
        "others": 0.0,
        "settings": settings,
        "measured": [],
    }
    started, others_before = time.perf_counter(), other_processes_seconds()
    folder.mkdir(parents=True, exist_ok=True)
    print(part, flush=True)
    for entry in PARTS[part](size):
        content["measured"].append(entry)
        took = time.perf_counter() - started
        others = (other_processes_seconds() - others_before) / max(took, 1e-9)
        content |= {"took": round(took, 1), "others": round(others, 2)}
        (folder / f"{part}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"  {content['took']:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="few rounds and steps, to try it")
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: scikit-image's two)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="where to write")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"PART: expected any of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    size = (QUICK if options.quick else FULL)._replace(folder=options.images)
    for part in options.parts or PARTS:
        run(part, size, options.results)


if __name__ == "__main__":
    main()
