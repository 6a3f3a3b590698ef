"""Masks that lower a score: gradient descent with a line search per example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from captum_ext._engine.evaluator import Evaluator
from captum_ext.attr._example_noise import ExampleNoise

# The published line search: a step's factor after a failure, the smallest step, and Armijo's constant.
_SHRINK, _SMALLEST_STEP, _ARMIJO = 0.2, 1e-5, 1e-4


class MaskSettings(NamedTuple):
    """The size of masks, the terms of their objective, and the first step.

    Attributes:
        size: The most rows and columns of a mask.
        l1: The weight of its distance from 1.
        tv: The weight of its roughness.
        noise: The standard deviation of the noise on composites, in the units of the images.
        step: The first step that a line search tries.
    """

    size: int
    l1: float
    tv: float
    noise: float
    step: float


class MaskObjective:
    """The objective of some examples' masks: F's mean along IG's path of composites, plus penalties.

    Args:
        evaluator: F and its gradient for these examples.
        images: (B, C, H, W).
        baselines: What the mask puts in place of the images, in the same shape.
        settings: See there.
        parts: The points 1, ..., S of the path, split into forward passes.
    """

    def __init__(
        self, evaluator: Evaluator, images: Tensor, baselines: Tensor, settings: MaskSettings, parts: list[range]
    ) -> None:
        """See the class."""
        self._evaluator = evaluator
        self._images = images
        self._baselines = baselines
        self.settings = settings
        self._parts = parts
        self._n_steps = parts[-1].stop - 1

    def initial_masks(self) -> Tensor:
        """Masks that keep everything, (B, 1, h, w)."""
        height, width = (min(self.settings.size, length) for length in self._images.shape[2:])
        return self._images.new_ones(len(self._images), 1, height, width)

    def upsample(self, masks: Tensor) -> Tensor:
        """Masks in the size of the images, (B, 1, H, W)."""
        return functional.interpolate(masks, self._images.shape[2:], mode="bilinear", align_corners=True)

    def values(self, masks: Tensor, rows: Tensor, seeds: Tensor) -> Tensor:
        """The objective at masks (B', 1, h, w) of some rows, with the noise of these seeds, (B',)."""
        total = torch.zeros_like(masks[:, 0, 0, 0])
        for part, points in self._points(self.upsample(masks), rows, seeds):
            evaluator = self._evaluator.rows(rows.repeat(len(part)))
            total += evaluator.value((points.flatten(0, 1),)).reshape(len(part), -1).sum(0)
        return total / self._n_steps + self._penalties(masks)

    def gradients(self, masks: Tensor, rows: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """The objective, (B',), and its gradients, (B', 1, h, w)."""
        with torch.enable_grad():
            leaves = masks.detach().clone().requires_grad_()
            full = self.upsample(leaves)
        change = self._images[rows] - self._baselines[rows]
        total, of_full = torch.zeros_like(masks[:, 0, 0, 0]), torch.zeros_like(full)
        for part, points in self._points(full.detach(), rows, seeds):
            values, (gradients,) = self._evaluator.rows(rows)((points,))
            assert values is not None, "asked for"
            total += values.sum(0)
            for s, gradient in zip(part, gradients, strict=True):
                of_full += s / self._n_steps**2 * (gradient * change).sum(1, keepdim=True)
        with torch.enable_grad():
            penalties = self._penalties(leaves)
            (gradient,) = torch.autograd.grad((full * of_full).sum() + penalties.sum(), leaves)
        return total / self._n_steps + penalties.detach(), gradient

    def _points(self, full: Tensor, rows: Tensor, seeds: Tensor) -> Iterator[tuple[range, Tensor]]:
        """The points on the path to the composites, (K, B', C, H, W) for each part."""
        noise = ExampleNoise(seeds)
        images, baselines = self._images[rows], self._baselines[rows]
        for part in self._parts:
            points = []
            for s in part:
                mask = full * (s / self._n_steps)
                points.append(images * mask + baselines * (1 - mask))
                if self.settings.noise:
                    points[-1] += self.settings.noise * noise.draw((images,))[0]
            yield part, torch.stack(points)

    def _penalties(self, masks: Tensor) -> Tensor:
        """The weighted distance from 1 and roughness of each mask, (B',)."""
        rows, columns = (masks.diff(dim=dim).square() for dim in (2, 3))
        roughness = sum(part.sum((1, 2, 3)) / max(part[0].numel(), 1) for part in (rows, columns))
        return self.settings.l1 * (1 - masks).abs().mean((1, 2, 3)) + self.settings.tv * roughness


def descend(objective: MaskObjective, n_iterations: int, noise: ExampleNoise, tick: Callable[[int], object]) -> Tensor:
    """Masks that lower the objective, (B, 1, h, w).

    Each example takes the largest step that lowers the objective enough, and is finished when there is none.

    Args:
        objective: Of all examples.
        n_iterations: The most steps of the descent.
        noise: A stream per example.
        tick: Called with the number of iterations that are done.
    """
    masks = objective.initial_masks()
    active = torch.arange(len(masks), device=masks.device)
    for iteration in range(n_iterations):
        seeds = noise.draw_seeds(active.tolist())  # one noise for an iteration, so that its values can be compared
        active = active[_take_step(objective, masks, active, seeds)]
        if not len(active):
            tick(n_iterations - iteration)
            break
        tick(1)
    return masks


def _take_step(objective: MaskObjective, masks: Tensor, active: Tensor, seeds: Tensor) -> Tensor:
    """Move the masks of the active examples; which of these have found a step, (len(active),)."""
    values, gradients = objective.gradients(masks[active], active, seeds)
    squares = gradients.square().sum((1, 2, 3))
    pending = (squares > 0).nonzero().flatten()  # NaN is not
    accepted = torch.zeros_like(squares, dtype=torch.bool)
    step = objective.settings.step
    while len(pending) and step >= _SMALLEST_STEP:
        rows = active[pending]
        trial = (masks[rows] - step * gradients[pending]).clamp(0, 1)
        new_values = objective.values(trial, rows, seeds[pending.cpu()])
        lower = new_values <= values[pending] - _ARMIJO * step * squares[pending]
        masks[rows[lower]] = trial[lower]
        accepted[pending[lower]] = True
        pending, step = pending[~lower], step * _SHRINK
    return accepted
