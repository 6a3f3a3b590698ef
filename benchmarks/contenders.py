"""The same attributions from each library, one call each: ``CONTENDERS[name](scene)``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.optimize import for_attribution
from captum_ext.quadratures import ImportantDirection, WeightedSum


class Scene(NamedTuple):
    """A model that returns probabilities, the images and classes to explain, and the number of steps."""

    model: nn.Module
    images: Tensor
    targets: Tensor
    steps: int

    def first(self, images: int, steps: int) -> Scene:
        return Scene(self.model, self.images[:images], self.targets[:images], min(steps, self.steps))


def scene_of(model: nn.Module, images: Tensor, steps: int) -> Scene:
    """A scene of softmax probabilities and predicted classes. Runs one gradient per image as a warm-up."""
    probability = nn.Sequential(model, nn.Softmax(1)).eval()
    with torch.no_grad():
        targets = probability(images).argmax(1)
    scene = Scene(probability, images, targets, steps)
    bare(scene.first(len(images), 1))
    return scene


def bare(scene: Scene) -> None:
    """One forward and backward pass of all images per step, without a method around it."""
    for _ in range(scene.steps):
        _gradient(scene.model, scene.images, scene.targets)


def _gradient(model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    x = images.clone().requires_grad_()
    output = model(x).gather(1, targets.unsqueeze(1)).squeeze(1)
    (gradient,) = torch.autograd.grad(output, x, torch.ones_like(output))
    return gradient, output.detach()


def ours(kind: Callable[..., PathAttribution], scene: Scene) -> None:
    kind(scene.model).attribute(scene.images, target=scene.targets, n_steps=scene.steps)


def timed_gradients(kind: Callable[..., PathAttribution], gradient_seconds: list[float], scene: Scene) -> None:
    """The same, and append the seconds spent in gradients. The rest of the time is the method's own."""
    method, total = kind(scene.model), [0.0]
    gradient = method.gradient_func

    def timed(*args, **kwargs):
        started = time.perf_counter()
        try:
            return gradient(*args, **kwargs)
        finally:
            total[0] += time.perf_counter() - started

    method.gradient_func = timed
    method.attribute(scene.images, target=scene.targets, n_steps=scene.steps)
    gradient_seconds.append(round(total[0], 4))


def ig_trapezoid(scene: Scene) -> None:
    """IG on the points that IDGI uses."""
    IntegratedGradients(scene.model).attribute(
        scene.images, target=scene.targets, n_steps=scene.steps, method="riemann_trapezoid"
    )


def with_optimized_model(scene: Scene) -> Scene:
    """The scene with ``for_attribution``'s copy of the model. Not part of any measured time."""
    return scene._replace(model=for_attribution(scene.model, scene.images[:1]).model)


def one_walk(scene: Scene) -> None:
    PathAttribution(scene.model).attribute_each(
        [WeightedSum("riemann_trapezoid"), ImportantDirection()],
        scene.images,
        target=scene.targets,
        n_steps=scene.steps,
    )


def captum_ig(scene: Scene, internal_batch_size: int | None = None) -> None:
    captum.attr.IntegratedGradients(scene.model).attribute(
        scene.images, target=scene.targets, n_steps=scene.steps, internal_batch_size=internal_batch_size
    )


def zennit_ig(scene: Scene) -> None:
    from zennit.attribution import IntegratedGradients as Zennit

    def target_gradient(output):
        return torch.nn.functional.one_hot(scene.targets, output.shape[1]).to(output)

    with Zennit(scene.model, attr_output=target_gradient, n_iter=scene.steps) as attributor:
        attributor(scene.images.clone())


def idgi_formula(scene: Scene) -> None:
    """The published code's order: store the gradients and values of one image, then apply the formula."""
    for image, target in zip(scene.images, scene.targets, strict=True):
        alphas = torch.linspace(0, 1, scene.steps + 1).view(-1, 1, 1, 1)
        chunks = [_gradient(scene.model, points, target.expand(len(points))) for points in (alphas * image).split(8)]
        gradients, values = (torch.cat(part).numpy() for part in zip(*chunks, strict=True))
        total = np.zeros_like(gradients[0])
        for gradient, output_delta in zip(gradients, np.diff(values), strict=False):
            square = gradient**2
            total += square * output_delta / max(square.sum(), 1e-30)


@contextmanager
def saliency() -> Iterator[tuple[Any, Any]]:
    """PAIR's modules, with the two functions that NumPy 2.4 removed put back meanwhile."""
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
    """The function that PAIR's saliency calls, on images with channels last."""

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


BARE, OPTIMIZED, CAPTUM, CAPTUM_ROWS = "bare loop", "IG, optimized copy", "Captum IG", "Captum IG, 8 rows"
CONTENDERS: dict[str, Callable[[Scene], None]] = {
    BARE: bare,
    "IG": partial(ours, IntegratedGradients),
    "IDGI": partial(ours, IDGI),
    "Guided IG": partial(ours, GuidedIG),
    "Blur IG": partial(ours, BlurIG),
    "IG, trapezoid": ig_trapezoid,
    OPTIMIZED: partial(ours, IntegratedGradients),  # of a scene with_optimized_model()
    "IG and IDGI, one walk": one_walk,
    CAPTUM: captum_ig,
    CAPTUM_ROWS: partial(captum_ig, internal_batch_size=8),
    "zennit IG": zennit_ig,
    "PAIR IG": partial(pair, "IntegratedGradients", "x_steps"),
    "PAIR Guided IG": partial(pair, "GuidedIG", "x_steps"),
    "PAIR Blur IG": partial(pair, "BlurIG", "steps"),
    "IDGI's formula": idgi_formula,
}
# These take one image at a time, or one pass per step, so that part of the work is enough for the time per gradient.
BY_IMAGE = ("PAIR IG", "PAIR Guided IG", "PAIR Blur IG", "IDGI's formula")
BY_STEP = (BARE, "zennit IG")
