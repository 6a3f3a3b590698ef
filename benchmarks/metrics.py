"""What metrics cost: information curves against PAIR's, and six methods with all metrics; part of ``make bench``."""

from __future__ import annotations

import argparse
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import interleaved, network, photographs, table
from benchmarks.speed import pair_model
from captum_ext.evaluation.measures import MEASURES, Maps, Scene
from captum_ext.evaluation.methods import explain
from captum_ext.evaluation.subject import Question, Subject
from captum_ext.metrics import information_curve

STEPS = 32
METHODS = ["ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi"]
JUDGED = [("insertion", "signed"), ("information", "pair")]


def pair():
    """PAIR's modules, with the two NumPy calls that NumPy 2.4 no longer has."""
    quantile = np.quantile
    np.quantile = lambda a, q, interpolation="linear": quantile(a, q, method=interpolation)
    np.trapz = np.trapezoid
    import saliency.core
    import saliency.metrics.pic

    return saliency.core, saliency.metrics.pic


def as_picture(x):
    """The input (C, H, W) as the uint8 pixels (H, W, C) that it came from."""
    return (x * 128 + 127).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def without_a_model(picture):
    """A confident answer that rises with the picture's contrast, for next to no time."""
    return min(0.2 + 0.8 * float(picture.astype(np.float32).std()) / 40, 1.0)


_THRESHOLDS = [0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75]


def curves_alone(pic, picture):
    scores = np.random.default_rng(0).normal(size=picture.shape[:2])
    mask = pic.generate_random_mask(*scores.shape)
    pixels, maps = torch.from_numpy(picture).permute(2, 0, 1)[None], torch.from_numpy(scores)[None]

    def forward(x):
        values = torch.tensor([without_a_model(image) for image in (x * 255).numpy()])
        return torch.stack([values, 1 - values], 1)

    def predict(pictures):
        return [without_a_model(image) for image in np.asarray(pictures)]

    def ours():
        information_curve(forward, pixels, maps, 0, protocol="pair", masks=torch.from_numpy(mask)[None])

    theirs = partial(pic.compute_pic_metric, picture, scores, mask, predict, _THRESHOLDS, 0.0)
    times = [interleaved({"ours": ours}, 3)["ours"]]
    started = time.perf_counter()
    theirs()
    times.append(time.perf_counter() - started)
    return times


def everything(core, model, images, targets, curve_seconds):
    """Six methods and their metrics: this library over a batch, PAIR and the published formula image by image."""

    def probability(x):
        return model(x).softmax(1)

    black = torch.full_like(images, -127 / 128)
    subject, question = (
        Subject(model, images, None, 0),
        Question(tuple(map(str, range(len(images)))), images, black, targets),
    )
    pixels = torch.stack([torch.from_numpy(as_picture(x)).permute(2, 0, 1) for x in images])
    scene = Scene(probability, question, black, pixels, lambda p: (p.float() - 127) / 128, None, 0)
    started = time.perf_counter()
    for answer in explain(subject, question, METHODS, [STEPS]):
        for name, variant in JUDGED:
            list(MEASURES[name].judge(scene, Maps(answer.maps), variant))
    ours = time.perf_counter() - started

    started = time.perf_counter()
    for x, target in zip(images, targets.tolist(), strict=True):
        for maps in pair_maps(core, model, x.permute(1, 2, 0).numpy(), target):
            insertion_by_hand(probability, x, maps.sum(2), target)
    theirs = time.perf_counter() - started + len(images) * len(METHODS) * 2 * curve_seconds
    return ours, theirs


def pair_maps(core, model, image, target):
    """IG, Guided IG and Blur IG by PAIR; IDGI by the published formula over the gradients that they took."""
    stored = []
    call = pair_model(model)

    def watched(batch, call_model_args=None, expected_keys=None):
        found = call(batch, call_model_args, expected_keys)
        gradients = found["INPUT_OUTPUT_GRADIENTS"]
        with torch.no_grad():
            x = torch.tensor(np.asarray(batch, np.float32).transpose(0, 3, 1, 2))
            values = model(x).softmax(1)[:, target].tolist()
        stored.extend(zip(gradients, values, strict=True))
        return found

    arguments = {"target": target}
    for method, settings in (
        (core.IntegratedGradients(), {"x_steps": STEPS, "x_baseline": np.full_like(image, -127 / 128)}),
        (core.GuidedIG(), {"x_steps": STEPS, "x_baseline": np.full_like(image, -127 / 128)}),
        (core.BlurIG(), {"steps": STEPS}),
    ):
        stored.clear()
        yield method.GetMask(image, watched, arguments, **settings)
        total = np.zeros_like(image)
        for (gradient, value), (_, following) in pairwise(stored):
            square = gradient**2
            total += square * (following - value) / max(square.sum(), 1e-30)
        yield total


def insertion_by_hand(probability, x, scores, target):
    order = torch.from_numpy(np.argsort(-scores.ravel(), kind="stable").copy())
    for k in range(21):
        shown = torch.full_like(x, -127 / 128).flatten(1)
        chosen = order[: round(k / 20 * len(order))]
        shown[:, chosen] = x.flatten(1)[:, chosen]
        with torch.no_grad():
            probability(shown.reshape(1, *x.shape))[0, target].item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: scikit-image's two)")
    parser.add_argument("--count", type=int, default=4, help="photographs of the second table")
    options = parser.parse_args()
    core, pic = pair()
    model, transform = network()
    images = photographs(transform, options.count, options.images)
    ours, theirs = curves_alone(pic, as_picture(images[0]))
    print("\nInformation curves of one photograph of 224 x 224, PAIR's protocol, without a model\n")
    row = [f"{theirs:.1f}", f"{ours:.2f}", f"{theirs / ours:.1f}x", ">= 3x"]
    print(table(["PAIR, SIC alone [s]", "ours, SIC and AIC [s]", "we are faster by", "wanted"], [row]), flush=True)
    with torch.no_grad():
        targets = model(images).argmax(1)
    ours, theirs = everything(core, model, images, targets, theirs)
    print(f"\nSix methods at {STEPS} steps, insertion, SIC and AIC, {len(images)} photographs\n")
    row = [f"{theirs:.0f}", f"{ours:.0f}", f"{theirs / ours:.1f}x"]
    print(table(["PAIR and IDGI's formula [s]", "ours [s]", "we are faster by"], [row]))
    print("\nPAIR's curves take the first table's time, once for SIC and once for AIC of every map; all else was run.")


if __name__ == "__main__":
    main()
