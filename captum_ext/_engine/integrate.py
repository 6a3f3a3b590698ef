"""From a path and quadratures to attributions: one walk for each chunk of examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from captum_ext._engine.batching import split, walk
from captum_ext._engine.evaluator import Evaluator, sum_dtype
from captum_ext._utils.warnings import warn
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature
from captum_ext.quadratures.grid import shared_grid
from captum_ext.quadratures.segment import Segment, Tensors, by_example


class Plan(NamedTuple):
    """The number of steps, the most rows of a forward pass, and whether to compute the deltas (B,)."""

    n_steps: int
    internal_batch_size: int | None
    with_delta: bool


def integrate(
    path: Path,
    quadratures: Sequence[Quadrature],
    evaluate: Evaluator,
    inputs: Tensors,
    baselines: Tensors | None,
    plan: Plan,
    progress: Callable[..., Any],
    look: Callable[[Segment], object] = lambda segment: None,
) -> list[tuple[Tensors, Tensor | None]]:
    """The attributions by each quadrature, all from one walk, and how far their sums are from F's change.

    Args:
        path: The path.
        quadratures: What to make of the gradients along it.
        evaluate: F and its gradient, for all examples.
        inputs: The ends of the path, each (B, ...).
        baselines: Its starts in the same shape, or ``None`` for the path's own.
        plan: How finely, and what else to compute.
        progress: Makes a progress bar, given its total.
        look: Is shown every segment.
    """
    ends = tuple(tensor.detach().to(sum_dtype(tensor)) for tensor in inputs)
    starts = path.start(ends, baselines)
    grid = path.fit(shared_grid([quadrature.grid(plan.n_steps) for quadrature in quadratures]))
    examples, nodes = split(inputs, len(grid), plan.internal_batch_size, path.look_ahead)
    results: list[list[Tensors]] = [[] for _ in quadratures]
    rises = []
    with progress(total=len(examples) * len(nodes)) as bar:
        for rows in examples:
            end, start = (tuple(tensor[rows] for tensor in tensors) for tensors in (ends, starts))
            here = evaluate.rows(rows)
            sums = [quadrature.begin() for quadrature in quadratures]
            for segment in walk(path.trace(end, start, grid), here, nodes, bar.update):
                for running in sums:
                    running.update(segment)
                look(segment)
            for result, running in zip(results, sums, strict=True):
                result.append(running.result())
            if plan.with_delta:
                rises.append(here.value(end) - here.value(start))
    if examples:
        evaluate.check_gradient()
    return [finish(result, rises if plan.with_delta else None, inputs) for result in results]


def finish(parts: list[Tensors], rises: list[Tensor] | None, inputs: Tensors) -> tuple[Tensors, Tensor | None]:
    """The attributions of all examples from those of chunks of them, and the deltas from F's changes (B,).

    Warns:
        RuntimeWarning: If one is not finite.
    """
    if not parts:  # no examples
        empty = tuple(torch.zeros_like(tensor, dtype=sum_dtype(tensor)) for tensor in inputs)
        return empty, None if rises is None else empty[0].new_zeros(0)
    attributions = tuple(
        torch.cat(pieces).to(sum_dtype(tensor)).contiguous()
        for pieces, tensor in zip(zip(*parts, strict=True), inputs, strict=True)
    )
    finite = torch.stack([torch.isfinite(by_example(tensor)).all(1) for tensor in attributions]).all(0)
    if not bool(finite.all()):
        warn(
            f"The attributions of examples {(~finite).nonzero().flatten().tolist()[:10]} are not finite: F or its "
            "gradient is NaN or infinite somewhere on their path, or too large to sum.",
            RuntimeWarning,
        )
    total = sum((by_example(tensor).sum(1) for tensor in attributions[1:]), by_example(attributions[0]).sum(1))
    return attributions, None if rises is None else total - torch.cat(rises)
