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
    """The walk of one chunk of examples along the path."""

    @property
    def n_ticks(self) -> int:
        """The progress bar's share of this walk."""

    def requests(self) -> Iterator[Any]:
        """The next points to visit, until the attributions are complete."""

    def visit(self, request: Any) -> int:
        """Evaluate F and its gradient at these points; return the progress."""

    def results(self) -> list[tuple[Tensors, list[PathRecord]]]:
        """The attributions of each quadrature, and its records, one per example, or none."""

    def output_deltas(self) -> Tensor:
        """F's change from the start of each example's path to its end, (B,)."""


class Plan(Protocol):
    """The split of the examples into chunks, and the walk of each chunk."""

    @property
    def chunks(self) -> list[slice]:
        """The examples of each walk."""

    @property
    def n_ticks(self) -> int:
        """The total of the progress bar."""

    def start(self, end: Tensors, start: Tensors, evaluator: Evaluator) -> Walk:
        """Start the walk of one chunk."""


class StepControl(Protocol):
    """The choice of the nodes to visit."""

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
    """Compute the attributions of each quadrature from one walk along the path.

    Args:
        path: The path.
        quadratures: The quadratures.
        steps: The choice of the points to visit.
        evaluator: F and its gradient, for all examples.
        inputs: The ends of the path, each (B, ...).
        baselines: Its starts in the same shapes; ``None`` for the path's default.
        internal_batch_size: The most rows of a forward pass; ``None`` for a size that suits the inputs.
        with_delta: Whether to compute the deltas.
        progress: Makes a progress bar, given its total.
        create_graph: Whether the attributions can be differentiated with respect to the inputs.
        like: Called after the walk if the attributions are not those of the inputs; returns tensors with their number
            and dtypes, and with their shapes if there are no examples.
    """
    ends = tuple((tensor if create_graph else tensor.detach()).to(sum_dtype(tensor)) for tensor in inputs)
    starts = path.start(ends, baselines)
    plan = steps.plan(path, quadratures, inputs, internal_batch_size)
    attributions: list[list[Tensors]] = [[] for _ in quadratures]
    records: list[list[PathRecord]] = [[] for _ in quadratures]
    output_deltas: list[Tensor] = []
    with progress(total=plan.n_ticks) as bar:
        for rows in plan.chunks:
            end, start = (tuple(tensor[rows] for tensor in tensors) for tensors in (ends, starts))
            walk = plan.start(end, start, evaluator.rows(rows))
            n_done = 0
            for request in walk.requests():
                n_ticks = walk.visit(request)
                bar.update(n_ticks)
                n_done += n_ticks
            bar.update(walk.n_ticks - n_done)
            for k, (chunk, chunk_records) in enumerate(walk.results()):
                attributions[k].append(chunk)
                records[k] += chunk_records
            if with_delta:
                output_deltas.append(walk.output_deltas())
    if plan.chunks:
        evaluator.check_gradient()
    attributed = inputs if like is None else like()
    return [
        concatenate_chunks(chunks, output_deltas, of_examples, attributed, with_delta)
        for chunks, of_examples in zip(attributions, records, strict=True)
    ]
