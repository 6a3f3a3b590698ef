"""What patterns cost: PGIG over IG, a fit over a forward pass, and the fit's memory; part of ``make bench``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from torchvision.models import vgg11

from benchmarks.common import interleaved, network, photographs, resident, table
from captum_ext.attr import PGIG, IntegratedGradients
from captum_ext.patterns import PatternFitter, fit_patterns, fold_batch_norm

IMAGES, STEPS = 8, 12
_MOST = {"VGG-11": 2}  # photographs of the slow one


def networks():
    """EfficientNet-Lite0 as it is explained by patterns, and a VGG (random weights: only its time is measured)."""
    lite, transform = network()
    torch.manual_seed(0)
    return {"EfficientNet-Lite0, folded": fold_batch_norm(lite), "VGG-11": vgg11().eval()}, transform


def attribution(models, images, repeats):
    rows = []
    for name, model in models.items():
        images = images[: _MOST.get(name)]
        patterns = fit_patterns(model, [images])
        settings = {"target": 3, "n_steps": STEPS}
        times = interleaved(
            {
                "ig": partial(IntegratedGradients(model).attribute, images, **settings),
                "pgig": partial(PGIG(model, patterns).attribute, images, **settings),
            },
            repeats,
        )
        ratio = times["pgig"] / times["ig"]
        rows.append([name, str(len(images)), f"{times['ig']:.2f}", f"{times['pgig']:.2f}", f"{ratio:.3f}", "<= 1.10"])
    return table([f"{STEPS} steps", "photographs", "IG [s]", "PGIG [s]", "ratio", "wanted"], rows)


def fitting(models, images, repeats):
    rows = []
    for name, model in models.items():
        fitter = PatternFitter(model)

        def forward(model=model):
            with torch.no_grad():
                model(images)

        times = interleaved({"forward": forward, "fit": partial(fitter.update, images)}, repeats)
        ratio = times["fit"] / times["forward"]
        rows.append([name, f"{times['forward']:.2f}", f"{times['fit']:.2f}", f"{ratio:.2f}", "<= 4"])
    return table([f"batch of {len(images)} photographs", "forward [s]", "fit [s]", "ratio", "wanted"], rows)


def memory():
    rows = []
    for batches in (2, 4, 16):
        command = [sys.executable, "-m", "benchmarks.patterns", "--peak", str(batches)]
        megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        rows.append([str(batches), megabytes])
    return table([f"batches of {IMAGES} in a fit of EfficientNet-Lite0", "peak above the process's own [MB]"], rows)


def peak(batches):
    models, transform = networks()
    images = photographs(transform, IMAGES)
    before = resident("VmRSS")
    fit_patterns(models["EfficientNet-Lite0, folded"], [images] * batches)
    print(round(resident("VmHWM") - before))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: scikit-image's two)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak", metavar="BATCHES", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(int(options.peak))
        return
    models, transform = networks()
    images = photographs(transform, IMAGES, options.images)
    print("\nPatterns: PGIG over IG\n")
    print(attribution(models, images, options.repeats), flush=True)
    print("\nA fit's pass over a forward pass of the same batch\n")
    print(fitting(models, images, options.repeats), flush=True)
    print()
    print(memory())


if __name__ == "__main__":
    main()
