"""Time: every library around the centre, and along each axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision.models import vgg11

from benchmarks.common import Size, interleaved, network, photographs
from benchmarks.contenders import BARE, BY_IMAGE, BY_STEP, CONTENDERS, FOLDED, Scene, inside, scene_of
from captum_ext.attr import BlurIG, GuidedIG

# Images of 224 x 224 times steps that Captum is asked for: at 80 MB a point, this many take 8 GB.
CAPTUM_POINTS = 100


def compare(
    comparison: str, scene: Scene, names: list[str], size: Size, seconds: float, short: int, **about: Any
) -> dict[str, Any]:
    """The times of some contenders in one scene, each with the number of (image, step) pairs that it was asked for."""
    scenes = {}
    for name in names:
        images = size.few if name in BY_IMAGE else len(scene.images)
        scenes[name] = scene.first(images, short if name in BY_STEP else scene.steps)
    calls: dict[str, Callable[[], object]] = {name: partial(CONTENDERS[name], scenes[name]) for name in names}
    spent: dict[str, list[float]] = {}
    for name, kind in (("Guided IG", GuidedIG), ("Blur IG", BlurIG)):
        if name in names:
            spent[name] = []
            calls[name] = partial(inside, kind, spent[name], scenes[name])
    times = interleaved(calls, seconds, size)
    print(f"  {comparison} {about or ''}: {len(times[names[0]])} rounds", flush=True)
    return {
        "comparison": comparison,
        **about,
        "images": len(scene.images),
        "steps": scene.steps,
        "points": {name: len(one.images) * one.steps for name, one in scenes.items()},
        "seconds": times,
        "inside gradients": spent,
    }


def centre(size: Size, model: nn.Module | None = None, images: torch.Tensor | None = None) -> Iterator[dict[str, Any]]:
    """IG by everyone, and IDGI."""
    scene, few = _scene(size, model, images)
    limits = (size, size.seconds, size.short)
    short = scene.first(len(scene.images), size.short)
    yield compare("IG, as many as Captum has room for", short, ["Captum IG", "IG", FOLDED, BARE], *limits)
    yield compare("IG, few photographs", few, ["Captum IG", "IG", FOLDED], *limits)
    yield compare("IDGI", short, ["IG, trapezoid", "IDGI", "IG and IDGI, one walk", "IDGI's formula"], *limits)
    yield compare("IG", scene, ["IG", BARE, "zennit IG", "PAIR IG"], *limits)


def paths(size: Size, model: nn.Module | None = None, images: torch.Tensor | None = None) -> Iterator[dict[str, Any]]:
    """The paths that other libraries have as well."""
    scene, _ = _scene(size, model, images)
    limits = (size, size.seconds, size.short)
    for name in ("Guided IG", "Blur IG"):
        yield compare(name, scene, [name, f"PAIR {name}", BARE], *limits)


def axes(size: Size, model: nn.Module | None = None, images: torch.Tensor | None = None) -> Iterator[dict[str, Any]]:
    """One thing at a time away from the centre; for IG."""
    most = max(size.images, *size.batches)
    whole, _ = _scene(size._replace(images=most), model, images)

    def at(axis: str, value: Any, scene: Scene) -> dict[str, Any]:
        points = len(scene.images) * scene.steps * scene.images[0].numel() / (3 * 224 * 224)
        names = ["IG", BARE, "zennit IG", *(["Captum IG"] if points <= CAPTUM_POINTS else [])]
        return compare("axis", scene, names, size, size.axis_seconds, 4, axis=axis, value=value)

    for count in size.batches:
        yield at("photographs", count, whole.first(count, 4))
    for steps in size.step_counts:
        yield at("steps", steps, whole.first(1, steps)._replace(steps=steps))
    some = whole.first(size.images, 2)
    for side in size.sides:
        resized = nn.functional.interpolate(some.images, (side, side), mode="bilinear")
        yield at("side", side, some._replace(images=resized))
    for layout in ("contiguous", "channels_last"):
        kind = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        yield at("memory format", layout, some._replace(images=some.images.contiguous(memory_format=kind)))
    if model is None:
        torch.manual_seed(0)
        yield at("network", "VGG-11", scene_of(vgg11(), some.images[: size.few], 2))


def _scene(size: Size, model: nn.Module | None, images: torch.Tensor | None) -> tuple[Scene, Scene]:
    """All photographs, and few of them, at the centre's number of steps."""
    if model is None or images is None:
        model, transform = network()
        images = photographs(transform, size.images, size.folder)
    scene = scene_of(model, images[: size.images], size.steps)
    return scene, scene.first(size.few, size.steps)
