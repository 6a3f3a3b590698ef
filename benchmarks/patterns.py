"""What patterns cost: PGIG over IG, a fit over a forward pass, and the fit's memory."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torchvision.models import vgg11

from benchmarks.common import Size, interleaved, network, photographs, resident
from captum_ext.attr import PGIG, IntegratedGradients
from captum_ext.patterns import PatternFitter, fit_patterns, fold_batch_norm

_STEPS = 4


def patterns(size: Size) -> list[dict[str, Any]]:
    lite, transform = network()
    images = photographs(transform, size.images, size.folder)
    torch.manual_seed(0)
    lite, vgg = fold_batch_norm(lite), vgg11().eval()
    found = []
    for name, model, some in (("EfficientNet-Lite0, folded", lite, images), ("VGG-11", vgg, images[: size.few])):
        settings = {"target": 3, "n_steps": _STEPS}
        calls = {
            "IG": partial(IntegratedGradients(model).attribute, some, **settings),
            "PGIG": partial(PGIG(model, fit_patterns(model, [some])).attribute, some, **settings),
        }
        found.append(_entry("attribution", name, some, interleaved(calls, size.axis_seconds, size)))
        fit = {"forward": partial(_forward, model, some), "fit": partial(PatternFitter(model).update, some)}
        found.append(_entry("fit", name, some, interleaved(fit, size.axis_seconds, size)))
    for batches in (2, 16):
        command = [sys.executable, "-m", "benchmarks.patterns", str(batches)]
        megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append({"comparison": "memory", "batches": batches, "megabytes": int(megabytes)})
    return found


def _entry(comparison: str, network: str, images: torch.Tensor, seconds: dict[str, list[float]]) -> dict[str, Any]:
    print(f"  {comparison} {network}", flush=True)
    return {"comparison": comparison, "network": network, "images": len(images), "seconds": seconds}


def _forward(model: torch.nn.Module, images: torch.Tensor) -> None:
    with torch.no_grad():
        model(images)


def peak(batches: int) -> int:
    """What a fit of so many batches of 8 adds to this process, in MB."""
    lite, transform = network()
    model, images = fold_batch_norm(lite), photographs(transform, 8)
    _forward(model, images[:1])
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading all this
    before = resident("VmRSS")
    fit_patterns(model, [images] * batches)
    return round(resident("VmHWM") - before)


if __name__ == "__main__":
    print(peak(int(sys.argv[1])))
