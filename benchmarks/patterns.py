"""The cost of patterns: PGIG over IG, a fit over a forward pass, and the memory of a fit."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torchvision.models import vgg11

from benchmarks.common import Size, interleaved, network, photographs, resident_megabytes
from captum_ext.attr import PGIG, IntegratedGradients
from captum_ext.patterns import PatternFitter, fit_patterns, fold_batch_norm

_STEPS = 4


def patterns(size: Size) -> list[dict[str, Any]]:
    lite, transform = network()
    images = photographs(transform, size.images, size.folder)
    torch.manual_seed(0)
    lite, vgg = fold_batch_norm(lite), vgg11().eval()
    measured = []
    for name, model, inputs in (
        ("EfficientNet-Lite0, folded", lite, images),
        ("VGG-11", vgg, images[: size.few_images]),
    ):
        settings = {"target": 3, "n_steps": _STEPS}
        calls = {
            "IG": partial(IntegratedGradients(model).attribute, inputs, **settings),
            "PGIG": partial(PGIG(model, fit_patterns(model, [inputs])).attribute, inputs, **settings),
        }
        measured.append(_entry("attribution", name, inputs, interleaved(calls, size.axis_seconds, size)))
        fit = {"forward": partial(_forward, model, inputs), "fit": partial(PatternFitter(model).update, inputs)}
        measured.append(_entry("fit", name, inputs, interleaved(fit, size.axis_seconds, size)))
    for batches in (2, 16):
        command = [sys.executable, "-m", "benchmarks.patterns", str(batches)]
        megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        measured.append({"comparison": "memory", "batches": batches, "megabytes": int(megabytes)})
    return measured


def _entry(comparison: str, network: str, images: torch.Tensor, seconds: dict[str, list[float]]) -> dict[str, Any]:
    print(f"  {comparison} {network}", flush=True)
    return {"comparison": comparison, "network": network, "images": len(images), "seconds": seconds}


def _forward(model: torch.nn.Module, images: torch.Tensor) -> None:
    with torch.no_grad():
        model(images)


def peak(batches: int) -> int:
    """The peak memory that a fit of this many batches of 8 adds to this process, in MB."""
    lite, transform = network()
    model, images = fold_batch_norm(lite), photographs(transform, 8)
    _forward(model, images[:1])
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident_megabytes("VmRSS")
    fit_patterns(model, [images] * batches)
    return round(resident_megabytes("VmHWM") - before)


if __name__ == "__main__":
    print(peak(int(sys.argv[1])))
