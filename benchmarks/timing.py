"""Time of every library for the same maps, and of IG along several axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision.models import vgg11

from benchmarks.common import Size, interleaved, network, photographs
from benchmarks.contenders import (
    BARE,
    BY_IMAGE,
    BY_STEP,
    CAPTUM,
    CAPTUM_ROWS,
    CONTENDERS,
    OPTIMIZED,
    Scene,
    scene_of,
    timed_gradients,
    with_optimized_model,
)
from captum_ext.attr import BlurIG, GuidedIG

# The most points of 224 x 224 pixels for Captum's default, which needs about 80 MB for each of them.
CAPTUM_POINTS = 100
SAME_MAPS = [CAPTUM, CAPTUM_ROWS, "IG", OPTIMIZED]


def compare(
    comparison: str, scene: Scene, names: list[str], size: Size, seconds: float, few_steps: int, **about: Any
) -> dict[str, Any]:
    """The times of some contenders in one scene, each with the number of points (images x steps) that it was given."""
    scenes = {}
    for name in names:
        images = size.few_images if name in BY_IMAGE else len(scene.images)
        scenes[name] = scene.first(images, few_steps if name in BY_STEP else scene.steps)
        if name == OPTIMIZED:
            scenes[name] = with_optimized_model(scenes[name])
    calls: dict[str, Callable[[], object]] = {name: partial(CONTENDERS[name], scenes[name]) for name in names}
    gradient_seconds: dict[str, list[float]] = {}
    for name, kind in (("Guided IG", GuidedIG), ("Blur IG", BlurIG)):
        if name in names:
            gradient_seconds[name] = []
            calls[name] = partial(timed_gradients, kind, gradient_seconds[name], scenes[name])
    times = interleaved(calls, seconds, size)
    print(f"  {comparison} {about or ''}: {len(times[names[0]])} rounds", flush=True)
    return {
        "comparison": comparison,
        **about,
        "images": len(scene.images),
        "steps": scene.steps,
        "points": {name: len(one.images) * one.steps for name, one in scenes.items()},
        "seconds": times,
        "inside gradients": gradient_seconds,
    }


def centre(size: Size, model: nn.Module | None = None, images: torch.Tensor | None = None) -> Iterator[dict[str, Any]]:
    """IG of every library, and IDGI."""
    scene, few_images = _scene(size, model, images)
    limits = (size, size.seconds, size.few_steps)
    few_steps = scene.first(len(scene.images), size.few_steps)
    yield compare("IG, few steps", few_steps, [*SAME_MAPS, BARE], *limits)
    yield compare("IG, few photographs", few_images, SAME_MAPS, *limits)
    yield compare("IDGI", few_steps, ["IG, trapezoid", "IDGI", "IG and IDGI, one walk", "IDGI's formula"], *limits)
    yield compare("IG", scene, ["IG", BARE, "zennit IG", "PAIR IG"], *limits)


def paths(size: Size, model: nn.Module | None = None, images: torch.Tensor | None = None) -> Iterator[dict[str, Any]]:
    """The paths that PAIR has too."""
    scene, _ = _scene(size, model, images)
    limits = (size, size.seconds, size.few_steps)
    for name in ("Guided IG", "Blur IG"):
        yield compare(name, scene, [name, f"PAIR {name}", BARE], *limits)


def axes(size: Size, model: nn.Module | None = None, images: torch.Tensor | None = None) -> Iterator[dict[str, Any]]:
    """IG while one setting changes."""
    largest = max(size.images, *size.batches)
    whole, _ = _scene(size._replace(images=largest), model, images)

    def measure(axis: str, value: Any, scene: Scene) -> dict[str, Any]:
        points = len(scene.images) * scene.steps * scene.images[0].numel() / (3 * 224 * 224)
        names = ["IG", BARE, "zennit IG", *([CAPTUM] if points <= CAPTUM_POINTS else [])]
        return compare("axis", scene, names, size, size.axis_seconds, 4, axis=axis, value=value)

    for count in size.batches:
        yield measure("photographs", count, whole.first(count, 4))
    for steps in size.step_counts:
        yield measure("steps", steps, whole.first(1, steps)._replace(steps=steps))
    some = whole.first(size.images, 2)
    for side in size.sides:
        resized = nn.functional.interpolate(some.images, (side, side), mode="bilinear")
        yield measure("side", side, some._replace(images=resized))
    for layout in ("contiguous", "channels_last"):
        kind = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        yield measure("memory format", layout, some._replace(images=some.images.contiguous(memory_format=kind)))
    if model is None:
        torch.manual_seed(0)
        yield measure("network", "VGG-11", scene_of(vgg11(), some.images[: size.few_images], 2))


def _scene(size: Size, model: nn.Module | None, images: torch.Tensor | None) -> tuple[Scene, Scene]:
    """The scene of all photographs, and the scene of a few of them."""
    if model is None or images is None:
        model, transform = network()
        images = photographs(transform, size.images, size.folder)
    scene = scene_of(model, images[: size.images], size.steps)
    return scene, scene.first(size.few_images, size.steps)
