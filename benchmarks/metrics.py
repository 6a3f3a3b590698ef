"""The time of metrics: information curves against PAIR's, and six methods with all metrics."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from benchmarks.common import Size, interleaved, network, photographs
from benchmarks.contenders import pair_model, saliency
from captum_ext.evaluation import METRICS
from captum_ext.evaluation.batch_maps import compute_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.evaluation.metric import MapSet, MetricContext, Patches
from captum_ext.metrics import information_curve

METHODS = ["ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi"]
VARIANTS = [("insertion", "signed"), ("deletion", "signed"), ("information", "pair")]


def as_picture(x):
    """The uint8 pixels (H, W, C) of an input (C, H, W)."""
    return (x * 128 + 127).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def contrast_probability(low, high):
    """A function in place of a model, with a negligible time: 0.1 for the contrast ``low``, 0.9 for ``high``."""
    return lambda picture: 0.1 + 0.8 * (float(picture.astype(np.float32).std()) - low) / (high - low)


_THRESHOLDS = [0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75]


def time_information_curves(pic, picture, size):
    scores = np.random.default_rng(0).normal(size=picture.shape[:2])
    mask = pic.generate_random_mask(*scores.shape)
    pixels, maps = torch.from_numpy(picture).permute(2, 0, 1)[None], torch.from_numpy(scores)[None]

    answer = contrast_probability(
        *(p.astype(np.float32).std() for p in (pic.create_blurred_image(picture, mask), picture))
    )

    def forward(x):
        values = torch.tensor([answer(image) for image in (x * 255).numpy()]).clamp(0, 1)
        return torch.stack([values, 1 - values], 1)

    def predict(pictures):
        return [answer(image) for image in np.asarray(pictures)]

    def ours():
        information_curve(
            forward, pixels, maps, 0, protocol="pair", min_confidence=0.0, masks=torch.from_numpy(mask)[None]
        )

    theirs = partial(pair_curves, pic, picture, scores, mask, predict)
    return interleaved({"ours": ours, "PAIR": theirs}, size.axis_seconds, size)


def pair_curves(pic, picture, scores, mask, predict):
    """PAIR's SIC and AIC. Two runs, because a run computes one of them."""
    for answer in (predict, lambda pictures: [float(value > 0.5) for value in predict(pictures)]):
        with suppress(pic.ComputePicMetricError):  # the image has no such curve
            pic.compute_pic_metric(picture, scores, mask, answer, _THRESHOLDS, 0.0)


def time_methods_and_metrics(core, pic, model, images, targets, steps):
    """Six methods and their metrics: this library on a batch, PAIR and the published formula image by image."""

    def probability(x):
        return model(x).softmax(1)

    black = torch.full_like(images, -127 / 128)
    probability_model = ProbabilityModel(model, images, None, 0)
    batch = ImageBatch(tuple(map(str, range(len(images)))), images, black, targets)
    pixels = torch.stack([torch.from_numpy(as_picture(x)).permute(2, 0, 1) for x in images])
    context = MetricContext(
        probability, batch, black, pixels, lambda p: (p.float() - 127) / 128, None, 0, Patches(9, 100, 1)
    )
    started = time.perf_counter()
    for result in compute_maps(probability_model, batch, METHODS, [steps]):
        for name, variant in VARIANTS:
            list(METRICS[name].compute(context, MapSet(result.maps), variant))
    ours = time.perf_counter() - started

    started = time.perf_counter()
    for x, target in zip(images, targets.tolist(), strict=True):
        picture = as_picture(x)
        mask = pic.generate_random_mask(*picture.shape[:2])

        def predict(pictures, target=target):
            inputs = (torch.from_numpy(np.asarray(pictures)).permute(0, 3, 1, 2).float() - 127) / 128
            with torch.no_grad():
                return probability(inputs)[:, target].tolist()

        for maps in pair_maps(core, model, x.permute(1, 2, 0).numpy(), target, steps):
            perturbation_values(probability, torch.full_like(x, -127 / 128), x, maps.sum(2), target)
            perturbation_values(probability, x, torch.full_like(x, -127 / 128), maps.sum(2), target)
            pair_curves(pic, picture, np.abs(maps).sum(2), mask, predict)
    return ours, time.perf_counter() - started


def pair_maps(core, model, image, target, steps):
    """PAIR's IG, Guided IG and Blur IG, and IDGI's published formula on the gradients of each."""
    stored = []
    call = pair_model(torch.nn.Sequential(model, torch.nn.Softmax(1)))

    def recorded_call(batch, call_model_args=None, expected_keys=None):
        output = call(batch, call_model_args, expected_keys)
        gradients = output["INPUT_OUTPUT_GRADIENTS"]
        with torch.no_grad():
            x = torch.tensor(np.asarray(batch, np.float32).transpose(0, 3, 1, 2))
            values = model(x).softmax(1)[:, target].tolist()
        stored.extend(zip(gradients, values, strict=True))
        return output

    arguments = {"target": target}
    for method, settings in (
        (core.IntegratedGradients(), {"x_steps": steps, "x_baseline": np.full_like(image, -127 / 128)}),
        (core.GuidedIG(), {"x_steps": steps, "x_baseline": np.full_like(image, -127 / 128)}),
        (core.BlurIG(), {"steps": steps}),
    ):
        stored.clear()
        yield method.GetMask(image, recorded_call, arguments, **settings)
        total = np.zeros_like(image)
        for (gradient, value), (_, following) in pairwise(stored):
            square = gradient**2
            total += square * (following - value) / max(square.sum(), 1e-30)
        yield total


def perturbation_values(probability, before, after, scores, target):
    """Insertion or deletion, with one forward pass per point."""
    order = torch.from_numpy(np.argsort(-scores.ravel(), kind="stable").copy())
    for k in range(21):
        shown = before.clone().flatten(1)
        chosen = order[: round(k / 20 * len(order))]
        shown[:, chosen] = after.flatten(1)[:, chosen]
        with torch.no_grad():
            probability(shown.reshape(1, *before.shape))[0, target].item()


def metrics(size: Size) -> list[dict[str, Any]]:
    """The times for one photograph; PAIR's curves take minutes for a few."""
    model, transform = network()
    images = photographs(transform, 1, size.folder)
    with torch.no_grad():
        targets = model(images).argmax(1)
    with saliency() as (core, pic):
        alone = time_information_curves(pic, as_picture(images[0]), size)
        print("  information curves", flush=True)
        ours, theirs = time_methods_and_metrics(core, pic, model, images, targets, size.metric_steps)
    return [
        {"comparison": "information curves", "images": 1, "seconds": alone},
        {
            "comparison": "six methods, four metrics",
            "images": 1,
            "steps": size.metric_steps,
            "seconds": {"ours": [round(ours, 4)], "PAIR": [round(theirs, 4)]},
        },
    ]
