"""Guided IG against itself: gradients with a little noise, another batch shape, another number of threads.

IG and IDGI along the straight path are compared by the same changes. ``--batches 1`` does one more batch of photographs
and stops; the results are of those that are done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext import baselines
from captum_ext._gradients import compute_gradients
from captum_ext._grid import Grid
from captum_ext._segment import Segment, Tensors
from captum_ext.attr import PathAttribution
from captum_ext.cli.models import load
from captum_ext.evaluation import LabelledImage
from captum_ext.paths import GuidedPath, Path, StraightPath
from captum_ext.quadratures import ImportantDirection, Quadrature, RunningSum, WeightedSum
from captum_ext.vision.pictures import read as read_picture
from evidence.experiments import common
from evidence.models import BATCH, batches, labels
from evidence.photographs import explained

STEPS = 16
NOISES = (1e-6, 1e-5, 1e-4, 1e-3)
STRAIGHT = {"ig": WeightedSum("riemann_trapezoid"), "idgi": ImportantDirection()}
GUIDED = {"guided-ig": WeightedSum("riemann_left"), "guided-ig+idgi": ImportantDirection()}


def noisy(gradients: Tensors, noise: float, generator: torch.Generator) -> Tensors:
    """Each entry times 1 + noise n, n standard normal."""
    return tuple(g * (1 + noise * torch.randn(g.shape, dtype=g.dtype, generator=generator)) for g in gradients)


@dataclass(frozen=True)
class Noisy(Quadrature):
    """A quadrature that is handed gradients with noise: on a path that no gradient steers one walk serves all."""

    method: str = field(init=False)
    quadrature: Quadrature
    noise: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", self.quadrature.method)

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.quadrature.name

    @property
    def needs_values(self) -> bool:  # type: ignore[override]
        return self.quadrature.needs_values

    def grid(self, n_steps: int) -> Grid:
        return self.quadrature.grid(n_steps)

    def begin(self) -> RunningSum:
        return _NoisySum(self.quadrature.begin(), self.noise)


class _NoisySum(RunningSum):
    def __init__(self, inner: RunningSum, noise: float) -> None:
        self._inner = inner
        self._noise = noise
        self._generator = torch.Generator().manual_seed(0)

    def update(self, segment: Segment) -> None:
        self._inner.update(segment._replace(gradients=noisy(segment.gradients, self._noise, self._generator)))

    def result(self) -> Tensors:
        return self._inner.result()


def noisy_gradients(noise: float) -> Any:
    """A gradient function whose gradients have noise, for a path that they steer."""
    generator = torch.Generator().manual_seed(0)

    def gradients(**given: Any) -> tuple[Tensor | None, ...]:
        return noisy(tuple(g for g in compute_gradients(**given) if g is not None), noise, generator)

    return gradients


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

    def probability(x: Tensor) -> Tensor:
        scores: Tensor = model(x).softmax(1)
        return scores

    def walk(path: Path, quadratures: Sequence[Quadrature], rows: int = BATCH, noise: float = 0) -> list[Any]:
        method = PathAttribution(probability, path)
        if noise:
            method.gradient_func = noisy_gradients(noise)
        maps: list[Any] = method.attribute_each(
            quadratures, inputs, baseline, target, n_steps=steps, internal_batch_size=rows
        )
        return maps

    found = []
    for path, methods in ((StraightPath(), STRAIGHT), (GuidedPath(), GUIDED)):
        rules = list(methods.values())
        with threads(1):
            if path.look_ahead:
                all_rules = [*rules, *(Noisy(rule, noise) for noise in NOISES for rule in rules)]
                maps = walk(path, all_rules)
                before, changed = maps[: len(rules)], maps[len(rules) :]
            else:
                before = walk(path, rules)
                changed = [result for noise in NOISES for result in walk(path, rules, noise=noise)]
            others = {
                f"noise {noise:.0e}": changed[at * len(rules) : (at + 1) * len(rules)]
                for at, noise in enumerate(NOISES)
            }
            if repeat:
                others["repeated"] = walk(path, rules)
            others["alone"] = walk(path, rules, rows=1)
        with threads(2):
            others["two threads"] = walk(path, rules)
        for change, results in others.items():
            for name, one, other in zip(methods, before, results, strict=True):
                found += common.comparison(names, one, other, method=name, change=change)
    return found


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside it PyTorch computes in so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = common.options(__doc__, photographs=True)
    parser.add_argument("--batches", type=int, help="how many batches to do at most (default: all)")
    given = parser.parse_args(arguments)
    classifier = load("efficientnet-lite0", None)
    images = explained(given.images)[: given.count]
    black = baselines.black(read_picture(str(images[0].path)), classifier.transform)
    parts = _parts(images)
    # Under torchrun its processes share the batches; once more alone then collects what all have done.
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    left = [file for file in list(parts)[rank::count] if not file.is_file()][: given.batches]
    for file in left:
        some = parts[file]
        inputs = next(batches(some, classifier.transform))
        names, start, first = [image.name for image in some], black.expand_as(inputs), file is next(iter(parts))
        rows = compare(classifier.model, names, inputs, start, labels(some), repeat=first)
        common.write(file.parent, file.stem, rows, {"steps": STEPS})
        print(f"{file.stem} of {len(parts)}", flush=True)
    done = [file for file in parts if file.is_file()]
    settings = {
        "model": "efficientnet-lite0",
        "images": sum(len(parts[file]) for file in done),
        "steps": STEPS,
        "baseline": "black",
        "explained": "the label's probability",
        "batch": BATCH,
        "noise": "each gradient entry times 1 + noise n, n standard normal",
    }
    common.write(given.results, "guided_instability", [row for file in done for row in common.read(file)], settings)


def _parts(images: Sequence[LabelledImage]) -> dict[File, Sequence[LabelledImage]]:
    folder = common.RUNS / "guided_instability"
    return {folder / f"{len(images)}-{at // BATCH}.csv": images[at : at + BATCH] for at in range(0, len(images), BATCH)}


if __name__ == "__main__":
    main()
