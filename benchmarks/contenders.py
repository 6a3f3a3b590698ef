"""Every library's way to the same attributions, one call each: ``CONTENDERS[name](scene)``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple
from unittest.mock import patch

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.patterns import fold_batch_norm
from captum_ext.quadratures import ImportantDirection, WeightedSum


class Scene(NamedTuple):
    model: nn.Module  # gives probabilities
    images: Tensor
    targets: Tensor
    steps: int

    def first(self, images: int, steps: int) -> Scene:
        return Scene(self.model, self.images[:images], self.targets[:images], min(steps, self.steps))


def scene_of(model: nn.Module, images: Tensor, steps: int) -> Scene:
    """A scene of softmax probabilities; one pass of it both finds the targets and warms up."""
    probability = nn.Sequential(model, nn.Softmax(1)).eval()
    with torch.no_grad():
        targets = probability(images).argmax(1)
    scene = Scene(probability, images, targets, steps)
    bare(scene.first(len(images), 1))
    return scene


def bare(scene: Scene) -> None:
    """A forward and backward pass of all images for each step, and nothing else."""
    for _ in range(scene.steps):
        _gradient(scene.model, scene.images, scene.targets)


def _gradient(model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    x = images.clone().requires_grad_()
    output = model(x).gather(1, targets.unsqueeze(1)).squeeze(1)
    (gradient,) = torch.autograd.grad(output, x, torch.ones_like(output))
    return gradient, output.detach()


def ours(kind: Callable[..., PathAttribution], scene: Scene) -> None:
    kind(scene.model).attribute(scene.images, target=scene.targets, n_steps=scene.steps)


def inside(kind: Callable[..., PathAttribution], spent: list[float], scene: Scene) -> None:
    """The same; appends how many of the seconds went into gradients, the rest being the method's own."""
    method, within = kind(scene.model), [0.0]
    gradient = method.gradient_func

    def timed(*args, **kwargs):
        started = time.perf_counter()
        try:
            return gradient(*args, **kwargs)
        finally:
            within[0] += time.perf_counter() - started

    method.gradient_func = timed
    method.attribute(scene.images, target=scene.targets, n_steps=scene.steps)
    spent.append(round(within[0], 4))


def ig_trapezoid(scene: Scene) -> None:
    """IG on the points that IDGI takes."""
    IntegratedGradients(scene.model).attribute(
        scene.images, target=scene.targets, n_steps=scene.steps, method="riemann_trapezoid"
    )


@cache
def _folded(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Once a model: its copy without BatchNorm, which computes the same."""
    return fold_batch_norm(model, torch.zeros(1, *shape))


def ig_folded(scene: Scene) -> None:
    ours(IntegratedGradients, scene._replace(model=_folded(scene.model, tuple(scene.images.shape[1:]))))


def one_walk(scene: Scene) -> None:
    PathAttribution(scene.model).attribute_each(
        [WeightedSum("riemann_trapezoid"), ImportantDirection()],
        scene.images,
        target=scene.targets,
        n_steps=scene.steps,
    )


def captum_ig(scene: Scene) -> None:
    captum.attr.IntegratedGradients(scene.model).attribute(scene.images, target=scene.targets, n_steps=scene.steps)


def zennit_ig(scene: Scene) -> None:
    from zennit.attribution import IntegratedGradients as Zennit

    def chosen(output):
        return torch.nn.functional.one_hot(scene.targets, output.shape[1]).to(output)

    with Zennit(scene.model, attr_output=chosen, n_iter=scene.steps) as attributor:
        attributor(scene.images.clone())


def idgi_formula(scene: Scene) -> None:
    """The published way: an image's gradients and values are stored, then the formula goes over them."""
    for image, target in zip(scene.images, scene.targets, strict=True):
        alphas = torch.linspace(0, 1, scene.steps + 1).view(-1, 1, 1, 1)
        found = [_gradient(scene.model, points, target.expand(len(points))) for points in (alphas * image).split(8)]
        gradients, values = (torch.cat(part).numpy() for part in zip(*found, strict=True))
        total = np.zeros_like(gradients[0])
        for gradient, rise in zip(gradients, np.diff(values), strict=False):
            square = gradient**2
            total += square * rise / max(square.sum(), 1e-30)


@contextmanager
def saliency() -> Iterator[tuple[Any, Any]]:
    """PAIR's modules, while NumPy has the two calls that NumPy 2.4 has no longer."""
    quantile = np.quantile

    def older(a, q, interpolation="linear", **settings):
        return quantile(a, q, **{"method": interpolation, **settings})

    with (
        patch.object(np, "quantile", older),
        patch.object(np, "trapz", getattr(np, "trapezoid", None) or np.trapz, create=True),
    ):
        import saliency.core
        import saliency.metrics.pic

        yield saliency.core, saliency.metrics.pic


def pair_model(model: nn.Module):
    """The interface that PAIR's saliency calls; its images have their channels last."""

    def call(batch, call_model_args=None, expected_keys=None):
        x = torch.tensor(np.asarray(batch, np.float32).transpose(0, 3, 1, 2))
        gradient, _ = _gradient(model, x, torch.tensor(call_model_args["target"]).expand(len(x)))
        return {"INPUT_OUTPUT_GRADIENTS": gradient.numpy().transpose(0, 2, 3, 1)}

    return call


def pair(method: str, steps: str, scene: Scene) -> None:
    call, settings = pair_model(scene.model), {steps: scene.steps}
    with saliency() as (core, _):
        for image, target in zip(scene.images, scene.targets.tolist(), strict=True):
            getattr(core, method)().GetMask(_last(image), call, {"target": target}, **settings)


def _last(image: Tensor) -> np.ndarray:
    return image.numpy().transpose(1, 2, 0)


BARE, FOLDED = "bare loop", "IG, BatchNorm folded"
CONTENDERS: dict[str, Callable[[Scene], None]] = {
    BARE: bare,
    "IG": partial(ours, IntegratedGradients),
    "IDGI": partial(ours, IDGI),
    "Guided IG": partial(ours, GuidedIG),
    "Blur IG": partial(ours, BlurIG),
    "IG, trapezoid": ig_trapezoid,
    FOLDED: ig_folded,
    "IG and IDGI, one walk": one_walk,
    "Captum IG": captum_ig,
    "zennit IG": zennit_ig,
    "PAIR IG": partial(pair, "IntegratedGradients", "x_steps"),
    "PAIR Guided IG": partial(pair, "GuidedIG", "x_steps"),
    "PAIR Blur IG": partial(pair, "BlurIG", "steps"),
    "IDGI's formula": idgi_formula,
}
# They take one image after the other, or one pass a step: a share of the work tells the time a step of all.
BY_IMAGE = ("PAIR IG", "PAIR Guided IG", "PAIR Blur IG", "IDGI's formula")
BY_STEP = (BARE, "zennit IG")
