"""Time against the bare network, Captum and PAIR, and peak memory: ``make bench``.

Everything is measured in one run, interleaved, as ratios of medians. Use an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

import captum.attr
import numpy as np
import torch

from benchmarks.common import interleaved, network, photographs, resident, table
from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients

IMAGES, STEPS = 8, 12


def bare(model, images, targets, passes):
    """Forward and backward passes of all images, and nothing else."""
    for _ in range(passes):
        x = images.clone().requires_grad_()
        output = model(x).softmax(1).gather(1, targets.unsqueeze(1)).squeeze(1)
        torch.autograd.grad(output, x, torch.ones_like(output))


def overhead(probability, model, images, targets, repeats):
    """Our methods over the bare passes of as many points, 8 rows a pass both."""
    cap = len(images)
    methods = {
        "IG (Gauss-Legendre)": (IntegratedGradients(probability), STEPS, 1.05),
        "IDGI": (IDGI(probability), STEPS + 1, 1.05),
        "Blur IG (Gauss-Legendre)": (BlurIG(probability), STEPS, 1.10),
        "Guided IG": (GuidedIG(probability), STEPS, 1.20),
    }
    rows = []
    for name, (method, points, limit) in methods.items():
        times = interleaved(
            {
                "bare": partial(bare, model, images, targets, points),
                "ours": partial(method.attribute, images, target=targets, n_steps=STEPS, internal_batch_size=cap),
            },
            repeats,
        )
        ratio = times["ours"] / times["bare"]
        rows.append([name, f"{times['bare']:.2f}", f"{times['ours']:.2f}", f"{ratio:.3f}", f"<= {limit:.2f}"])
    return table(["method", "bare passes [s]", "method [s]", "ratio", "wanted"], rows)


def pair_model(model):
    """The interface that PAIR's saliency calls; its images have their channels last."""

    def call(batch, call_model_args=None, expected_keys=None):
        x = torch.tensor(np.asarray(batch, np.float32).transpose(0, 3, 1, 2)).requires_grad_()
        output = model(x).softmax(1)[:, call_model_args["target"]]
        (gradient,) = torch.autograd.grad(output, x, torch.ones_like(output))
        return {"INPUT_OUTPUT_GRADIENTS": gradient.numpy().transpose(0, 2, 3, 1)}

    return call


def peers(probability, model, images, targets, repeats):
    """Default settings of each library on the same images and steps."""
    quantile = np.quantile
    # PAIR calls np.quantile by a keyword that NumPy 2.4 no longer has.
    np.quantile = lambda a, q, interpolation="linear": quantile(a, q, method=interpolation)
    import saliency.core as saliency

    def pair(method, settings):
        for image, target in zip(images, targets.tolist(), strict=True):
            method.GetMask(image.numpy().transpose(1, 2, 0), pair_model(model), {"target": target}, **settings)

    ours = {"target": targets, "n_steps": STEPS}
    compared = {
        "Captum IntegratedGradients": (
            partial(captum.attr.IntegratedGradients(probability).attribute, images, **ours),
            partial(IntegratedGradients(probability).attribute, images, **ours),
            2.0,
        ),
        "PAIR GuidedIG": (
            partial(pair, saliency.GuidedIG(), {"x_steps": STEPS}),
            partial(GuidedIG(probability).attribute, images, **ours),
            1.3,
        ),
        "PAIR BlurIG": (
            partial(pair, saliency.BlurIG(), {"steps": STEPS}),
            partial(BlurIG(probability).attribute, images, **ours),
            1.5,
        ),
    }
    rows = []
    for name, (theirs, our, limit) in compared.items():
        times = interleaved({"theirs": theirs, "ours": our}, repeats)
        ratio = times["theirs"] / times["ours"]
        rows.append([name, f"{times['theirs']:.2f}", f"{times['ours']:.2f}", f"{ratio:.2f}x", f">= {limit:.1f}x"])
    np.quantile = quantile
    return table(["peer", "peer [s]", "ours [s]", "we are faster by", "wanted"], rows)


def memory(images_from):
    """Peak resident memory above that of the process with the network loaded; a process each."""
    rows = []
    for who, steps in (("captum", 6), ("captum", STEPS), ("ours", 6), ("ours", STEPS), ("ours", 50)):
        command = [sys.executable, "-m", "benchmarks.speed", "--peak", who, str(steps)]
        if images_from:
            command += ["--images", str(images_from)]
        megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        rows.append([who, str(steps), megabytes])
    return table([f"IG of {IMAGES} photographs by", "steps", "peak above the process's own [MB]"], rows)


def peak(who, steps, images_from):
    model, transform = network()
    images = photographs(transform, IMAGES, images_from)
    with torch.no_grad():
        targets = model(images[:1]).argmax(1).repeat(IMAGES)
    before = resident("VmRSS")
    method = captum.attr.IntegratedGradients if who == "captum" else IntegratedGradients
    method(lambda x: model(x).softmax(1)).attribute(images, target=targets, n_steps=steps)
    print(round(resident("VmHWM") - before))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: scikit-image's two)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak", nargs=2, metavar=("WHO", "STEPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(options.peak[0], int(options.peak[1]), options.images)
        return
    model, transform = network()
    images = photographs(transform, IMAGES, options.images)

    def probability(x):
        return model(x).softmax(1)

    with torch.no_grad():
        targets = probability(images).argmax(1)
    threads = torch.get_num_threads()
    print(f"EfficientNet-Lite0, {IMAGES} photographs of 224 x 224, {STEPS} steps, {threads} threads")
    print("\nOver the bare forward and backward passes of the same points:\n")
    print(overhead(probability, model, images, targets, options.repeats), flush=True)
    print("\nAgainst other libraries, default settings:\n")
    print(peers(probability, model, images, targets, options.repeats), flush=True)
    print("\nMemory:\n")
    print(memory(options.images))


if __name__ == "__main__":
    main()
