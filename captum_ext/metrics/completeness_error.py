"""Completeness: whether attributions sum to the change of the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.gradients import compute_gradients
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.types import BaselineType, TargetType, TensorOrTuple
from captum_ext.metrics._maps import check_maps


@dataclass(frozen=True)
class Completeness:
    """The completeness error of each example's attributions.

    Attributes:
        delta: The sum of the attributions minus the change, (B,), as Captum's convergence delta.
        change: The change of the output, F(input) - F(baseline), (B,).
    """

    delta: Tensor
    change: Tensor

    @property
    def relative(self) -> Tensor:
        """``|delta| / |change|``, (B,); infinite where the output does not change and the delta is not 0."""
        return torch.where(self.delta == 0, 0.0, self.delta.abs() / self.change.abs())


def completeness(
    forward_func: Callable[..., Any],
    inputs: TensorOrTuple,
    attributions: TensorOrTuple,
    target: TargetType = None,
    baselines: BaselineType = None,
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
) -> Completeness:
    """Compare the sum of the attributions with the change of the output from the baseline to the input.

    The two are equal for IDGI by construction, which says nothing about its accuracy. For PGIG and the pattern methods
    they need not be.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row of scores per example.
        inputs: A tensor (B, ...), or a tuple of such tensors.
        attributions: In the inputs' shapes.
        target: The score that was attributed; see :meth:`captum_ext.attr.PathAttribution.attribute`.
        baselines: The start of the path, as there. For a blur path this is ``BlurPath(...).start((inputs,), None)``.
            Default ``None``: zeros.
        additional_forward_args: Further arguments of ``forward_func``.
        internal_batch_size: Maximum number of rows in a forward pass.

    Returns:
        The delta and the change of each example.

    Raises:
        TypeError, ValueError: If an argument is invalid.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017. https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.metrics import completeness
        >>> x = torch.tensor([[1.0, 2.0]])
        >>> completeness(lambda z: z.sum(1), x, attributions=x / 2).relative
        tensor([0.5000])
    """
    if baselines is None:
        baselines = (0,) * len(inputs) if isinstance(inputs, tuple) else 0
    arguments = format_arguments(inputs, baselines, target, additional_forward_args)
    maps = attributions if isinstance(attributions, tuple) else (attributions,)
    if [tuple(m.shape) for m in maps if isinstance(m, Tensor)] != [tuple(x.shape) for x in arguments.inputs]:
        shapes = [tuple(m.shape) if isinstance(m, Tensor) else type(m).__name__ for m in maps]
        raise ValueError(
            f"attributions: expected the inputs' shapes {[tuple(x.shape) for x in arguments.inputs]}, got {shapes}."
        )
    evaluate = Evaluator(
        forward_func, compute_gradients, arguments.target, arguments.forward_args, arguments.inputs, False
    )
    assert arguments.baselines is not None, "formatted"
    output_deltas = []
    with torch.no_grad(), preserve_model_state(forward_func):
        for rows in split(arguments.inputs, 1, internal_batch_size, look_ahead=False)[0]:
            chunk_evaluator = evaluate.rows(rows)
            ends = (tuple(tensor[rows] for tensor in tensors) for tensors in (arguments.inputs, arguments.baselines))
            at_input, at_baseline = (chunk_evaluator.value(tensors) for tensors in ends)
            output_deltas.append(at_input - at_baseline)
    change = torch.cat(output_deltas) if output_deltas else arguments.inputs[0].new_zeros(0)
    total = torch.stack([check_maps("attributions", m).flatten(1).sum(1) for m in maps]).sum(0)
    return Completeness((total - change.to(total)).to(change), change)
