"""Guided IG against itself: gradients with a little noise, another batch shape, another number of threads.

IG and IDGI along the straight path are compared by the same changes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext.attr import PathAttribution
from captum_ext.paths import GuidedPath, StraightPath
from captum_ext.quadratures import ImportantDirection, WeightedSum
from evidence.experiments import common
from evidence.models import BATCH, threads

STEPS = 16
NOISES = (1e-6, 1e-5, 1e-4, 1e-3)
STRAIGHT = {"ig": WeightedSum("riemann_trapezoid"), "idgi": ImportantDirection()}
GUIDED = {"guided-ig": WeightedSum("riemann_left"), "guided-ig+idgi": ImportantDirection()}


def noisy(gradients: tuple[Tensor, ...], noise: float, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Each entry times 1 + noise n, n standard normal."""
    return tuple(g * (1 + noise * torch.randn(g.shape, dtype=g.dtype, generator=generator)) for g in gradients)


def add_noise(method: PathAttribution, noise: float) -> None:
    """Give a method's gradients noise, also those that steer its path."""
    gradients, generator = method.gradient_func, torch.Generator().manual_seed(0)
    method.gradient_func = lambda **arguments: noisy(gradients(**arguments), noise, generator)


def compare(
    model: nn.Module,
    names: Sequence[str],
    inputs: Tensor,
    baseline: Tensor,
    target: Tensor,
    steps: int = STEPS,
    repeat: bool = True,
) -> list[common.Row]:
    """A row for each image, method and change; if ``repeat``, also for none, which is the control."""

    def walk(path: Any, quadratures: Any, rows: int = BATCH, noise: float = 0, n_threads: int = 1) -> Any:
        method = PathAttribution(lambda x: model(x).softmax(1), path)
        if noise:
            add_noise(method, noise)
        with threads(n_threads):
            return method.attribute_each(quadratures, inputs, baseline, target, n_steps=steps, internal_batch_size=rows)

    found = []
    for path, methods in ((StraightPath(), STRAIGHT), (GuidedPath(), GUIDED)):
        again: Callable[..., Any] = partial(walk, path, list(methods.values()))
        before = again()
        changes = {f"noise {noise:.0e}": again(noise=noise) for noise in NOISES}
        changes |= {"repeated": again()} if repeat else {}
        changes |= {"alone": again(rows=1), "two threads": again(n_threads=2)}
        for change, maps in changes.items():
            for name, one, other in zip(methods, before, maps, strict=True):
                found += common.comparison(names, one, other, method=name, change=change)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    options = common.options(__doc__, photographs=True).parse_args(arguments)
    rows: list[common.Row] = []
    for model, batch, _ in common.photographs(options):
        rows += compare(model, batch.names, *batch[1:], repeat=not rows)
    settings = {
        **common.SETTINGS,
        "images": options.count,
        "steps": STEPS,
        "batch": BATCH,
        "noise": "each gradient entry times 1 + noise n, n standard normal",
    }
    common.write(options.results, "guided_instability", rows, settings)


if __name__ == "__main__":
    main()
