"""PatternNet and PatternAttribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

import torch
from captum.attr import GradientAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.gradients import compute_gradients_from_output
from captum_ext._engine.step_plan import StepPlan
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.types import TargetType, TensorOrTuple
from captum_ext.attr._parts import check_has_factor
from captum_ext.patterns import PatternRule, Patterns
from captum_ext.patterns.rules import Mode


class _PatternGradient(GradientAttribution):
    """One backward pass from the output's value, with patterns."""

    _mode: ClassVar[Mode]

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        patterns: Patterns,
        model: nn.Module | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the subclasses."""
        check_has_factor(type(self).__name__, multiply_by_inputs)
        super().__init__(forward_func)
        self.gradient_func: Any = compute_gradients_from_output
        self._backward = PatternRule(patterns, self._mode, model).bind(forward_func)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: TensorOrTuple,
        target: TargetType = None,
        additional_forward_args: object = None,
        internal_batch_size: int | None = None,
    ) -> TensorOrTuple:
        """Attribute the output to the inputs.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B.
            target: The output to explain; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            additional_forward_args: Further arguments of ``forward_func``; see there.
            internal_batch_size: The most rows of a forward pass; see there for the default.

        Returns:
            The attributions in the inputs' shape, device and dtype (float32 for half precision); a tuple if ``inputs``
            is one.

        Raises:
            TypeError, ValueError: If an argument is invalid.
        """
        StepPlan(internal_batch_size=internal_batch_size).check()
        arguments = format_arguments(inputs, None, target, additional_forward_args)
        evaluator = Evaluator(
            self.forward_func,
            self.gradient_func,
            arguments.target,
            arguments.forward_args,
            arguments.inputs,
            needs_values=False,
        )
        parts: list[tuple[Tensor, ...]] = []
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            preserve_model_state(self.forward_func),
            self._backward.active(),
        ):
            for rows in split(arguments.inputs, 1, internal_batch_size, look_ahead=True)[0]:
                points = tuple(tensor[rows].unsqueeze(0).clone() for tensor in arguments.inputs)
                parts.append(evaluator.rows(rows)(points, keep=True)[1])
        if parts:
            evaluator.check_gradient()
        result: Any = tuple(
            torch.cat([part[0] for part in pieces]).contiguous() for pieces in zip(*parts, strict=True)
        ) or tuple(torch.zeros_like(tensor) for tensor in arguments.inputs)
        return cast(TensorOrTuple, result if isinstance(inputs, tuple) else result[0])

    @classmethod
    def get_name(cls) -> str:
        """The class's name, as in the paper."""
        return cls.__name__

    def attribute_future(self) -> None:
        """Not implemented, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")


class PatternNet(_PatternGradient):
    """PatternNet: the signal in the input from which the output was computed.

    The output's value is propagated back through the network with patterns instead of weights. The result is a signal
    in the units of the input, not a share of the output.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example. The paper
            explains logits.
        patterns: The patterns of the layers.
        model: The module whose layers the patterns name. Default: ``forward_func``.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: If the patterns do not fit the model.

    Reference:
        Kindermans et al.: Learning how to explain neural networks: PatternNet and PatternAttribution. ICLR 2018.
        https://arxiv.org/abs/1705.05598

    Example:
        >>> from captum_ext.attr import PatternNet
        >>> from captum_ext.patterns import fit_patterns
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> PatternNet(model, fit_patterns(model, [torch.randn(64, 4)])).attribute(torch.randn(3, 4), target=1).shape
        torch.Size([3, 4])
    """

    _mode: ClassVar[Mode] = "signal"


class PatternAttribution(_PatternGradient):
    """PatternAttribution: the contribution of the signal in each feature to the output.

    The output's value is propagated back through the network with weight times pattern instead of weights. The
    attributions are zero where the network is constant, like every gradient; see :class:`~captum_ext.attr.PGIG`.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example. The paper
            explains logits.
        patterns: The patterns of the layers.
        model: The module whose layers the patterns name. Default: ``forward_func``.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: If the patterns do not fit the model.

    Reference:
        Kindermans et al.: Learning how to explain neural networks: PatternNet and PatternAttribution. ICLR 2018.
        https://arxiv.org/abs/1705.05598

    Example:
        >>> from captum_ext.attr import PatternAttribution
        >>> from captum_ext.patterns import fit_patterns
        >>> model = torch.nn.Linear(4, 2)
        >>> attributions = PatternAttribution(model, fit_patterns(model, [torch.randn(64, 4)])).attribute(
        ...     torch.randn(3, 4), target=1
        ... )
    """

    _mode: ClassVar[Mode] = "attribution"
