"""Speed, memory and number formats on a CUDA device: ``make bench-gpu``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients

ROWS = (16, 64, 256)
EXAMPLES = (1, 64)
METHODS = {"straight": IntegratedGradients, "idgi": IDGI, "blur": BlurIG, "guided": GuidedIG}
FORMATS = ("float32", "tf32", "bfloat16", "float16")


@contextmanager
def number_format(name: str, device: str) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    half = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(name)
    try:
        with torch.autocast(device, half) if half is not None else nullcontext():
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], device: str, rounds: int = 5) -> float:
    """The median time of a call, after one that warms up."""
    call()
    times = []
    for _ in range(rounds):
        synchronize(device)
        before = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - before)
    return sorted(times)[rounds // 2]


def bare_pass(model: nn.Module, x: Tensor) -> Tensor:
    """One pass of the loop that anybody would write."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(model(x)[:, 0].sum(), x)[0]


def ceilings(device: str) -> Iterator[dict[str, Any]]:
    big, small = torch.empty(2**26, device=device), torch.ones(1, device=device)
    copied = seconds(lambda: big.clone(), device)
    yield {"what": "copy", "bytes_per_second": 2 * big.nbytes / copied}
    yield {"what": "operation", "seconds": seconds(lambda: [small.add(1) for _ in range(1000)], device) / 1000}
    yield {"what": "wait", "seconds": seconds(lambda: [small.item() for _ in range(1000)], device) / 1000}


def speed(model: nn.Module, size: int, device: str) -> Iterator[dict[str, Any]]:
    """Seconds per point of each method over those of the bare loop at as many rows."""
    for name in FORMATS[:3]:
        for examples in EXAMPLES:
            x = torch.rand(examples, 3, size, size, device=device)
            for rows in ROWS:
                with number_format(name, device):
                    batch = torch.rand(rows, 3, size, size, device=device)
                    bare = seconds(lambda batch=batch: bare_pass(model, batch), device) / rows
                    for method, cls in METHODS.items():
                        steps = 8 if method == "guided" else max(1, 4 * rows // examples)
                        call = partial(cls(model).attribute, x, target=0, n_steps=steps, internal_batch_size=rows)
                        if device == "cuda":
                            torch.cuda.reset_peak_memory_stats()
                        took = seconds(call, device, rounds=3) / (examples * steps)
                        peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
                        yield {
                            "what": "speed",
                            "format": name,
                            "examples": examples,
                            "rows": rows,
                            "method": method,
                            "points_per_second": 1 / took,
                            "over_bare": took / bare,
                            "peak_bytes": peak,
                        }


def formats(model: nn.Module, size: int, device: str) -> Iterator[dict[str, Any]]:
    """The relative L2 distance of each format's maps to those in float64.

    For uniform noise on a network with random weights; distances on photographs differ.
    """
    x = torch.rand(4, 3, size, size, device=device)
    for method, cls in METHODS.items():
        expected = cls(model.double()).attribute(x.double(), target=0, n_steps=32)
        model.float()
        for name in FORMATS:
            with number_format(name, device):
                got = cls(model).attribute(x, target=0, n_steps=32)
            distance = (got - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)
            yield {"what": "format", "method": method, "format": name, "distances": distance.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "gpu.json")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("benchmarks.gpu: expected a CUDA device, found none")
    from torchvision.models import resnet50

    torch.manual_seed(0)
    model = resnet50().eval().to(options.device)
    card = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    content: dict[str, Any] = {"card": card, "torch": torch.__version__, "measured": []}
    for part in (
        ceilings(options.device),
        formats(model, options.size, options.device),
        speed(model, options.size, options.device),
    ):
        for entry in part:
            print(entry, flush=True)
            content["measured"].append(entry)
            options.results.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
