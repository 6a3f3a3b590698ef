"""The base of all path methods: their parts, and the computation from arguments to results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from captum.attr import GradientAttribution
from torch import Tensor

from captum_ext._engine.adaptive import AdaptiveSteps
from captum_ext._engine.arguments import Arguments
from captum_ext._engine.completeness import check_sums
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.gradients import compute_differentiable_gradients, compute_gradients
from captum_ext._engine.loop import integrate
from captum_ext._engine.step_plan import StepPlan
from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.devices import number_format
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.tensors import Tensors
from captum_ext.attr._parts import check_flag, check_input_factor, check_parts, check_quadratures
from captum_ext.attr.diagnostics import Diagnostics
from captum_ext.backward import BackwardRule
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import Quadrature, WeightedSum


class PathMethod(GradientAttribution):
    """A path, a quadrature and a backward rule. See :class:`captum_ext.attr.PathAttribution` for the arguments."""

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        quadrature: Quadrature | None = None,
        backward: BackwardRule | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_parts(forward_func, path, quadrature, backward)
        check_flag(multiply_by_inputs)
        GradientAttribution.__init__(self, forward_func)
        self.gradient_func: Any = compute_gradients
        self.path = path if multiply_by_inputs else path.without_input_factor()
        self.quadrature = quadrature if quadrature is not None else WeightedSum(path.default_method)
        self._backward = None if backward is None else backward.bind(forward_func)
        self._multiply_by_inputs = bool(multiply_by_inputs)
        check_input_factor(multiply_by_inputs, [self.quadrature])

    def __repr__(self) -> str:
        """The class with its parts."""
        rule = "" if self._backward is None else f", backward={self._backward!r}"
        factor = "" if self._multiply_by_inputs else ", multiply_by_inputs=False"
        return f"{type(self).__name__}(path={self.path!r}, quadrature={self.quadrature!r}{rule}{factor})"

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the attributions include the factor (inputs - baselines), or that of a layer's activations."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Whether the attributions sum to F(input) - F(start), which requires the ordinary gradient."""
        return self._is_complete(self.quadrature)

    def _is_complete(self, quadrature: Quadrature) -> bool:
        """Whether this quadrature's attributions sum to F(input) - F(start), which requires the ordinary gradient."""
        return self._backward is None and quadrature.complete and self.path.complete

    @classmethod
    def get_name(cls) -> str:
        """The class's name in words, with abbreviations kept: Blur IG, IDGI."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__)

    def attribute_future(self) -> None:
        """Not implemented, as in Captum's Integrated Gradients."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")

    def _check_quadratures(
        self, quadratures: Sequence[Quadrature], plan: StepPlan, method: str | None = None
    ) -> tuple[Quadrature, ...]:
        """Check the quadratures; return them with the requested rule, or with their rules for adaptive steps."""
        plan.check()
        checked = check_quadratures(quadratures)
        if plan.adaptive:
            checked = tuple(self._adaptive(quadrature, method) for quadrature in checked)
        elif method is not None:
            checked = tuple(quadrature.with_method(method) for quadrature in checked)
        check_input_factor(self._multiply_by_inputs, checked)
        if plan.return_convergence_delta:
            incomplete = [quadrature.name for quadrature in checked if not quadrature.complete]
            if not self.path.complete:
                incomplete.append(repr(self.path))
            if self._backward is not None or incomplete:
                cause = "a custom backward rule" if self._backward is not None else incomplete[0]
                raise ValueError(
                    f"return_convergence_delta is not available with {cause}, whose attributions need not sum to "
                    "F(input) - F(baseline). Pass False."
                )
        if plan.create_graph:
            self._check_differentiable()
        return checked

    def _adaptive(self, quadrature: Quadrature, method: str | None) -> Quadrature:
        """The quadrature with its rule for adaptive steps, whose points are kept when steps are halved.

        Raises:
            ValueError: If path, quadrature or backward rule have no adaptive steps, or another rule is requested.
        """
        if not self.path.look_ahead:
            raise ValueError(
                f"n_steps='auto': {type(self.path).__name__} finds each point from the gradient at the last, so its "
                "steps can't be halved afterwards. Give a number."
            )
        if self._backward is not None:
            raise ValueError(
                "n_steps='auto' is not available with a custom backward rule, whose attributions need not sum to F's "
                "change, so there is no error to measure. Give a number."
            )
        rule = quadrature.for_adaptive_steps()
        if method not in (None, rule.method):
            raise ValueError(f"method: n_steps='auto' halves steps by {rule.method}, got {method!r}. Leave it out.")
        return rule

    def _check_differentiable(self) -> None:
        if not self.path.look_ahead or self.gradient_func is not compute_gradients or self._backward is not None:
            raise ValueError(
                "create_graph: attributions can be differentiated on paths that are known in advance, with the "
                f"ordinary gradient, not on {type(self.path).__name__} with a custom backward rule or gradient "
                "function. Use StraightPath or BlurPath, or pass False."
            )

    @contextmanager
    def _computation_context(self, create_graph: bool = False) -> Iterator[None]:
        """The modes for all computations, the protection of the model's state, and the backward rule."""
        rule = nullcontext() if self._backward is None else self._backward.active()
        grad = torch.enable_grad() if create_graph else torch.no_grad()
        with torch.inference_mode(False), grad, preserve_model_state(self.forward_func), rule:
            yield

    def _explain(
        self,
        function: Callable[..., Any],
        quadratures: tuple[Quadrature, ...],
        arguments: Arguments,
        plan: StepPlan,
        show_progress: bool,
        format_output: Callable[[Tensors], Any],
        has_values: bool = True,
    ) -> list[Any]:
        """Compute the return value of ``attribute`` for each quadrature.

        Args:
            function: F, a function of ``arguments``.
            quadratures: Checked.
            arguments: Formatted.
            plan: The steps, and the values to return.
            show_progress: Whether to show a progress bar.
            format_output: Converts attributions to the form of the inputs or the layer.
            has_values: Whether the function returns F of each example, instead of only having its gradient.
        """
        check_completeness = has_values and not plan.adaptive and self._may_miss_change(quadratures)
        recorded = check_completeness or plan.adaptive or plan.return_diagnostics
        evaluator = Evaluator(
            function,
            compute_differentiable_gradients if plan.create_graph else self.gradient_func,
            arguments.target,
            arguments.forward_args,
            arguments.inputs,
            recorded or any(quadrature.needs_values for quadrature in quadratures),
            plan.create_graph,
        )
        control = plan.control(recorded)
        results = integrate(
            self.path,
            quadratures,
            control,
            evaluator,
            arguments.inputs,
            arguments.baselines,
            plan.internal_batch_size,
            plan.return_convergence_delta or plan.return_diagnostics,
            partial(progress, desc=f"{self.get_name()} attribution") if show_progress else NullProgress,
            plan.create_graph,
        )
        outputs = []
        for quadrature, result in zip(quadratures, results, strict=True):
            if check_completeness and quadrature.uses_increments and quadrature.complete:
                check_sums(result, evaluator, arguments.inputs, plan.internal_batch_size)
            if isinstance(control, AdaptiveSteps):
                control.warn_if_missed(result.records)
            output = [format_output(result.attributions)]
            if plan.return_convergence_delta:
                output.append(result.delta)
            if plan.return_diagnostics:
                complete = self._is_complete(quadrature) and self._multiply_by_inputs
                output.append(Diagnostics.of(result, complete, number_format(arguments.inputs)))
            outputs.append(tuple(output) if len(output) > 1 else output[0])
        return outputs

    def _may_miss_change(self, quadratures: Sequence[Quadrature]) -> bool:
        """Whether the attributions should sum to F's change but may miss it by far, and checking that is free.

        A guided path takes the gradient at its start, unlike other paths' default rules. A ``gradient_func`` from
        Captum's wrappers may not pass through F's output, whose values are then unknown.
        """
        complete = any(quadrature.uses_increments and self._is_complete(quadrature) for quadrature in quadratures)
        visits_start = not self.path.look_ahead and self.path.ends_at_inputs
        return complete and visits_start and self.gradient_func is compute_gradients
