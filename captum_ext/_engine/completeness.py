"""A check of attributions along a path that costs no forward pass unless it finds something."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._utils.warnings import warn
from captum_ext.quadratures.segment import Segment, Tensors, by_example

_FACTOR = 10
_ROUNDING = 1e-3  # of F's magnitude: half precision does not tell smaller changes from none


class ValueRange:
    """F at the start of each example's path and its range along it, of walks of so many nodes, chunk after chunk."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._seen = 0
        self._values: list[Tensor] = []  # of the chunk that is walked now, each (K, B)
        self._chunks: list[Tensor] = []  # each (3, B)

    def __call__(self, segment: Segment) -> None:
        """Take the next segment's values."""
        assert segment.values is not None, "asked for"
        self._values.append(segment.values)
        self._seen += len(segment.values)
        if self._seen == self._nodes:
            values = torch.cat(self._values)
            self._chunks.append(torch.stack([values[0], values.amin(0), values.amax(0)]))
            self._values, self._seen = [], 0

    def result(self) -> Tensor:
        """F at the start, its least and its greatest value, of all examples, (3, B)."""
        return torch.cat(self._chunks, 1)


def check_sums(
    attributions: Tensors, value_range: Tensor, evaluate: Evaluator, inputs: Tensors, internal_batch_size: int | None
) -> None:
    """Compare the sums of attributions with F's values on the path, which came with the gradients.

    F(inputs), which few rules visit, is computed only if F's values elsewhere do not clear every example.

    Args:
        attributions: One tensor (B, ...) an input.
        value_range: What :class:`ValueRange` gives.
        evaluate: F, for all examples.
        inputs: The ends of the path.
        internal_batch_size: The most rows in any forward pass.

    Warns:
        RuntimeWarning: If a sum misses F's change by more than ten times the range of F on the path.
    """
    sums = torch.stack([by_example(part).sum(1) for part in attributions]).sum(0)
    start, least, greatest = value_range
    suspect = torch.isfinite(sums) & (sums.abs() > _bound(least, greatest))  # what is not finite has its own warning
    if not bool(suspect.any()):
        return
    chunks = split(inputs, 1, internal_batch_size, look_ahead=True)[0]
    end = torch.cat([evaluate.rows(rows).value(tuple(tensor[rows] for tensor in inputs)) for rows in chunks])
    change = end - start
    wrong = suspect & ((sums - change).abs() > _bound(least.minimum(end), greatest.maximum(end)))
    if not bool(wrong.any()):
        return
    indices = wrong.nonzero().flatten().tolist()
    first = indices[0]
    warn(
        f"The attributions of {len(indices)} of {len(sums)} examples (the first are {indices[:5]}) are far from F's "
        f"change: those of example {first} sum to {float(sums[first]):.3g}, where F changes by "
        f"{float(change[first]):.3g}. The gradient at a point of the path is far larger than F's change around it, as "
        "at a baseline of zeros for cosine similarity, F.normalize or LayerNorm. Choose baselines where F is smooth, "
        "such as the mean of your data, or use IDGI on the same path, whose attributions sum to F's change.",
        RuntimeWarning,
    )


def _bound(least: Tensor, greatest: Tensor) -> Tensor:
    """The largest sum, or error of it, that says nothing."""
    return _FACTOR * (greatest - least).maximum(_ROUNDING * greatest.abs().maximum(least.abs()))
