"""Time and memory against the bare network and every peer: ``make bench``. Use an otherwise idle machine.

Each part writes a file of its own, from which ``python -m benchmarks.page`` makes docs/benchmark.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.allocator import allocator
from benchmarks.common import FULL, QUICK, Size, machine, others_seconds
from benchmarks.guard import guard
from benchmarks.memory import memory
from benchmarks.metrics import metrics
from benchmarks.patterns import patterns
from benchmarks.rows import rows
from benchmarks.timing import axes, centre, paths

PARTS: dict[str, Callable[[Size], Iterable[dict[str, Any]]]] = {
    "centre": centre,
    "paths": paths,
    "axes": axes,
    "rows": rows,
    "memory": memory,
    "allocator": allocator,
    "guard": guard,
    "patterns": patterns,
    "metrics": metrics,
}


def run(part: str, size: Size, folder: Path) -> None:
    """Measure one part and write its file, anew after each comparison: what is interrupted keeps what it has."""
    kind = "full" if size.steps == FULL.steps else "quick"
    settings = {name: value for name, value in size._asdict().items() if name != "folder"}
    content = {
        "part": part,
        "run": kind,
        "machine": machine(),
        "took": 0.0,
        "others": 0.0,
        "settings": settings,
        "measured": [],
    }
    started, others = time.perf_counter(), others_seconds()
    folder.mkdir(parents=True, exist_ok=True)
    print(part, flush=True)
    for entry in PARTS[part](size):
        content["measured"].append(entry)
        took = time.perf_counter() - started
        content |= {"took": round(took, 1), "others": round((others_seconds() - others) / max(took, 1e-9), 2)}
        (folder / f"{part}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"  {content['took']:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="two minutes in place of a quarter of an hour")
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: scikit-image's two)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="where to write")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    size = (QUICK if options.quick else FULL)._replace(folder=options.images)
    for part in options.parts or PARTS:
        run(part, size, options.results)


if __name__ == "__main__":
    main()
