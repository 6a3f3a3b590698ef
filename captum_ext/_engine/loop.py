"""The one loop over path points: from a path, quadratures and step control to attributions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from torch import Tensor

from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.results import PathRecord, Result, concatenate_chunks
from captum_ext._utils.tensors import Tensors, sum_dtype
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature


class Walk(Protocol):
    """One chunk of examples on its way along the path."""

    def requests(self) -> Iterator[Any]:
        """What to visit next, until there is enough."""

    def visit(self, request: Any) -> int:
        """Evaluate F and its gradient there; returns how far a progress bar moves."""

    def remaining_ticks(self) -> int:
        """How far a progress bar moves when there is nothing left to visit."""

    def results(self) -> list[Tensors]:
        """The attributions of each quadrature."""

    def output_deltas(self) -> Tensor:
        """F's change from the start of each example's path to its end, (B,)."""

    def records(self, results: list[Tensors], asked: int) -> list[list[PathRecord]]:
        """For each quadrature, how each example was integrated."""


class Plan(Protocol):
    """How the examples are split into chunks, and how each of them is walked."""

    @property
    def chunks(self) -> list[slice]:
        """The examples of each walk."""

    @property
    def ticks(self) -> int:
        """How far a progress bar moves in all."""

    def start(self, end: Tensors, start: Tensors, evaluator: Evaluator) -> Walk:
        """The walk of one chunk."""


class StepControl(Protocol):
    """Decides which nodes of the path are visited."""

    def plan(self, path: Path, quadratures: Sequence[Quadrature], inputs: Tensors, most_rows: int | None) -> Plan:
        """The plan for these examples."""


def integrate(
    path: Path,
    quadratures: Sequence[Quadrature],
    steps: StepControl,
    evaluator: Evaluator,
    inputs: Tensors,
    baselines: Tensors | None,
    internal_batch_size: int | None,
    with_delta: bool,
    progress: Callable[..., Any],
    create_graph: bool = False,
    like: Callable[[], Tensors] | None = None,
) -> list[Result]:
    """The attributions of each quadrature, all from one walk.

    Args:
        path: The path.
        quadratures: What to make of the gradients along it.
        steps: Which points of it to visit.
        evaluator: F and its gradient, for all examples.
        inputs: The ends of the path, each (B, ...).
        baselines: Its starts in the same shape, or ``None`` for the path's own.
        internal_batch_size: The most rows of a forward pass; ``None`` for a size that suits the inputs.
        with_delta: Whether to compute how far the attributions are from F's change.
        progress: Makes a progress bar, given its total.
        create_graph: Whether the attributions can be differentiated with respect to the inputs.
        like: After the walk, gives tensors with the attributions' number and dtypes (shapes, if there are no examples),
            where these are not the inputs'.
    """
    ends = tuple((tensor if create_graph else tensor.detach()).to(sum_dtype(tensor)) for tensor in inputs)
    starts = path.start(ends, baselines)
    plan = steps.plan(path, quadratures, inputs, internal_batch_size)
    parts: list[list[Tensors]] = [[] for _ in quadratures]
    records: list[list[PathRecord]] = [[] for _ in quadratures]
    output_deltas: list[Tensor] = []
    with progress(total=plan.ticks) as bar:
        for rows in plan.chunks:
            end, start = (tuple(tensor[rows] for tensor in tensors) for tensors in (ends, starts))
            walk = plan.start(end, start, evaluator.rows(rows))
            for request in walk.requests():
                bar.update(walk.visit(request))
            bar.update(walk.remaining_ticks())
            results = walk.results()
            of_examples = walk.records(results, len(quadratures))
            for k in range(len(quadratures)):
                parts[k].append(results[k])
                records[k] += of_examples[k]
            if with_delta:
                output_deltas.append(walk.output_deltas())
    if plan.chunks:
        evaluator.check_gradient()
    of_attributions = inputs if like is None else like()
    return [
        concatenate_chunks(part, output_deltas, record, of_attributions, with_delta)
        for part, record in zip(parts, records, strict=True)
    ]
