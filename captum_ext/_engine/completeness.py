"""A completeness check that costs no forward pass unless attributions look wrong."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.results import Result, sums_of
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.warnings import warn

_FACTOR = 10
_RELATIVE_ROUNDING = 1e-3  # of F's magnitude; half precision can't represent smaller changes


def check_sums(result: Result, evaluator: Evaluator, inputs: Tensors, internal_batch_size: int | None) -> None:
    """Compare the sums of attributions with F's values on the path, which were computed with the gradients.

    Few rules visit the path's end. F is computed there only if its values elsewhere leave a doubt.

    Args:
        result: The attributions, and the records with F's values.
        evaluator: F, for all examples.
        inputs: The ends of the path.
        internal_batch_size: The most rows in any forward pass.

    Warns:
        RuntimeWarning: If a sum misses F's change by more than ten times the range of F on the path.
    """
    if not result.records:
        return
    sums = sums_of(result.attributions)
    values = pad_sequence([record.values for record in result.records], batch_first=True, padding_value=torch.nan)
    start = values[:, 0]
    lowest = values.nan_to_num(torch.inf).amin(1)
    highest = values.nan_to_num(-torch.inf).amax(1)
    suspect = torch.isfinite(sums) & (
        sums.abs() > _tolerance(lowest, highest)
    )  # non-finite sums have their own warning
    if not bool(suspect.any()):
        return
    chunks = split(inputs, 1, internal_batch_size, look_ahead=True)[0]
    end = torch.cat([evaluator.rows(rows).value(tuple(tensor[rows] for tensor in inputs)) for rows in chunks])
    change = end - start
    wrong = suspect & ((sums - change).abs() > _tolerance(lowest.minimum(end), highest.maximum(end)))
    if not bool(wrong.any()):
        return
    indices = wrong.nonzero().flatten().tolist()
    first = indices[0]
    warn(
        f"The attributions of {len(indices)} of {len(sums)} examples (the first are {indices[:5]}) are far from F's "
        f"change: those of example {first} sum to {float(sums[first]):.3g}, where F changes by "
        f"{float(change[first]):.3g}. There are too few steps, or the gradient at a point of the path is far larger "
        "than F's change around it, as at a baseline of zeros for cosine similarity, F.normalize or LayerNorm. Take "
        "more steps, choose baselines where F is smooth, such as the mean of your data, or use IDGI on the same path, "
        "whose attributions sum to F's change.",
        RuntimeWarning,
    )


def _tolerance(lowest: Tensor, highest: Tensor) -> Tensor:
    """The largest sum, or error of a sum, without a warning, given the range of F on the path."""
    return _FACTOR * (highest - lowest).maximum(_RELATIVE_ROUNDING * highest.abs().maximum(lowest.abs()))
