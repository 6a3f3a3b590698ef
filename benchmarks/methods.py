"""Cost of every method of ``captum_ext.evaluation`` that needs no patterns: gradients, forward rows and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common import Size, interleaved, network, photographs
from benchmarks.contenders import bare, scene_of
from captum_ext.evaluation import METHODS
from captum_ext.evaluation.batch_maps import compute_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel

BATCH, SINGLE, BARE_GRADIENTS = "batch", "one image at a time", "bare gradients"
N_REFERENCES, SMOOTHGRAD_IG_SAMPLES, BARE_STEPS = 12, 2, 4
SAMPLES = 25  # of VarGrad and the two SmoothGrads
AGI_CLASSES, IGOS_POINTS = 5, 5
METHOD_NAMES = [name for name, spec in METHODS.items() if not spec.needs_patterns]


def published_gradients(method: str, steps: int, references: int, samples: int) -> int:
    """Gradients per map of the published code with the same settings, at most where a search may stop early."""
    agi_steps = max(1, round(steps / (2 * AGI_CLASSES)))
    counts = {
        "random": 0,
        "gradient": 1,
        "gradient-x-input": 1,
        "guided-backprop": 1,
        "vargrad": SAMPLES,
        "smoothgrad-squared": SAMPLES,
        "smoothgrad-ig": samples * SAMPLES,
        "expected-gradients": references,
        "idgi": steps + 1,
        "guided-ig+idgi": steps + 1,
        "blur-ig+idgi": steps + 1,
        "agi": 2 * agi_steps * AGI_CLASSES,
        "ig2": 2 * (steps // 2),
        "igos": IGOS_POINTS * max(1, steps // IGOS_POINTS),
    }
    return counts.get(method, steps)


@dataclass
class RowCounts:
    """Rows of forward passes through a model, and rows whose gradient was computed."""

    forward: int = 0
    gradients: int = 0


@contextmanager
def count_rows(model: nn.Module, counts: RowCounts) -> Iterator[None]:
    """Add the rows of a model and of its copies, such as the one that Guided Backpropagation makes."""

    def on_forward(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.forward += len(output)
        if output.requires_grad:
            output.register_hook(on_backward)

    def on_backward(gradient: Tensor) -> None:
        counts.gradients += len(gradient)

    handle = model.register_forward_hook(on_forward)  # a function, which copies of the model share
    try:
        yield
    finally:
        handle.remove()


def methods(
    size: Size, model: nn.Module | None = None, images: Tensor | None = None, names: list[str] = METHOD_NAMES
) -> Iterator[dict[str, Any]]:
    """Time maps of a batch, maps of a few images one at a time, and bare gradients, for one method after another."""
    if model is None or images is None:
        model, transform = network()
        images = photographs(transform, max(size.images, N_REFERENCES), size.folder)
    scene = scene_of(model, images[: size.images], BARE_STEPS)
    probability = ProbabilityModel(model, images[:N_REFERENCES], None, 0, smoothgrad_ig_samples=SMOOTHGRAD_IG_SAMPLES)
    names_of_images = tuple(f"photograph {k}" for k in range(len(scene.images)))
    black = torch.full_like(scene.images, -127 / 128)
    batch = ImageBatch(names_of_images, scene.images, black, scene.targets)
    singles = [
        ImageBatch(batch.names[k : k + 1], *(tensor[k : k + 1] for tensor in batch[1:]))
        for k in range(min(size.few_images, len(scene.images)))
    ]
    rounds = size._replace(min_rounds=size.method_rounds, max_rounds=size.method_rounds)
    for name in names:
        _explain(probability, name, size.method_steps, singles[:1])  # a warm-up, in which EIG computes the components
        counts = RowCounts()
        calls: dict[str, Callable[[], object]] = {
            BATCH: partial(_explain_and_count, counts, probability, name, size.method_steps, [batch]),
            SINGLE: partial(_explain, probability, name, size.method_steps, singles),
            BARE_GRADIENTS: partial(bare, scene),
        }
        seconds = interleaved(calls, size.method_seconds, rounds)
        n_maps = len(scene.images) * len(seconds[BATCH])
        print(f"  {name}: {len(seconds[BATCH])} rounds", flush=True)
        yield {
            "method": name,
            "images": len(scene.images),
            "steps": size.method_steps,
            "references": len(probability.references),
            "samples": SMOOTHGRAD_IG_SAMPLES,
            "points": {BATCH: len(scene.images), SINGLE: len(singles), BARE_GRADIENTS: len(scene.images) * BARE_STEPS},
            "seconds": seconds,
            "gradients per map": counts.gradients / n_maps,
            "rows per map": counts.forward / n_maps,
        }


def _explain(probability: ProbabilityModel, name: str, steps: int, batches: list[ImageBatch]) -> None:
    for batch in batches:
        for _ in compute_maps(probability, batch, [name], [steps]):
            pass


def _explain_and_count(
    counts: RowCounts, probability: ProbabilityModel, name: str, steps: int, batches: list[ImageBatch]
) -> None:
    with count_rows(probability.model, counts):
        _explain(probability, name, steps, batches)
