"""The path of IG2, which leads from the input to where the model represents it as a reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from captum_ext._utils.numbers import check_number
from captum_ext._utils.tensors import Tensors, by_example, per_node, squared_norms
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.paths.searched import Search, SearchedPath
from captum_ext.paths.stepwise import stepwise_search, unit_length


@dataclass(frozen=True)
class RepresentationPath(SearchedPath):
    r"""From the input towards the representation that a layer has of a reference (IG2).

    :math:`x_{t+1} = x_t - \mathrm{step} \cdot \nabla d(x_t) / \|\nabla d(x_t)\|_2` with :math:`d(x) = \|r(x) -
    r(x_{ref})\|_2^2`, where r is the representation. All steps have one length, so near the closest point the path goes
    back and forth. Where the gradient of d is zero, an example stops.

    The references are the ``baselines`` of ``attribute``. Attributions sum to F(input) - F(end found) in the limit of
    small steps, not to F(input) - F(reference).

    Args:
        representation: A module of the model, usually the one before the last, whose output is the representation; or a
            function that takes what ``forward_func`` takes and returns a tensor (rows, ...).
        step: The L2 length of a step, in the inputs' units. Default ``None``: the distance of input and reference
            divided by ``n_steps``, so that the path is as long as the straight line. Ours.

    Raises:
        TypeError, ValueError: If a setting can't be used. When used: if there are no references, or the representation
            does not depend on the inputs.

    Note:
        At a layer, the representation must be one that the layer's activation leads to. For a neuron, the path is as
        for the output.

    Reference:
        Zhuo, Ge: IG2: Integrated Gradient on Iterative Gradient Path for Feature Attribution. IEEE TPAMI 2024.
        https://arxiv.org/abs/2406.10852

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.paths import RepresentationPath
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 3))
        >>> method = PathAttribution(model, RepresentationPath(model[1]))
        >>> method.attribute(torch.rand(2, 4), torch.rand(1, 4), target=1).shape
        torch.Size([2, 4])
    """

    representation: nn.Module | Callable[..., Tensor]
    step: float | None = None

    from_inputs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the settings."""
        if not callable(self.representation):
            raise TypeError(
                "representation: expected a module of the model or a function of its inputs, got "
                f"{type(self.representation).__name__}."
            )
        if self.step is not None:
            check_number("step", self.step)
            if not 0 < self.step < float("inf"):
                raise ValueError(f"step: expected a positive length or None, got {self.step}.")

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """The references.

        Raises:
            ValueError: If there are none.
        """
        if baselines is None:
            raise ValueError(
                "baselines: RepresentationPath needs references, such as inputs of other classes, and has no default. "
                "Give a tensor in the inputs' shape, or (1, ...) for all; for the mean over several write "
                "Expected(method, references)."
            )
        return baselines

    def search(self, inputs: Tensors, start: Tensors, n_steps: int, evaluator: PathEvaluator) -> Search:
        """Step by step towards the references' representation."""
        represented = self._represented(evaluator)
        distance = represented.of_output(_squared_distance, represented.outputs(start))
        if self.step is None:
            lengths = squared_norms([x - s for x, s in zip(inputs, start, strict=True)]).sqrt() / n_steps
        else:
            lengths = torch.full((len(inputs[0]),), self.step, dtype=inputs[0].dtype, device=inputs[0].device)

        def move(here: Tensors, gradients: Tensors, rows: Tensor) -> tuple[Tensors, Tensor]:
            ways = unit_length(distance.rows(rows).at(here)[1])
            if not distance.has_gradient:
                raise ValueError(
                    "representation: expected one that depends on the inputs (or the layer explained) by "
                    "differentiable operations, but there is no gradient."
                )
            moved = (point - per_node(lengths[rows], way) * way for point, way in zip(here, ways, strict=True))
            return tuple(moved), torch.ones_like(rows, dtype=torch.bool)

        active = torch.ones(len(inputs[0]), dtype=torch.bool, device=inputs[0].device)
        return (yield from stepwise_search(inputs, active, n_steps, move))

    def _represented(self, evaluator: PathEvaluator) -> PathEvaluator:
        if isinstance(self.representation, nn.Module):
            return evaluator.at_layer(self.representation)
        return evaluator.with_function(self.representation)


def _squared_distance(output: Tensor, reference: Tensor) -> Tensor:
    return by_example(output - reference.to(output)).square().sum(1)
