"""What all path methods have in common: their parts, and one way to put them to work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from captum.attr import GradientAttribution
from torch import Tensor

from captum_ext._engine.arguments import Arguments
from captum_ext._engine.completeness import ValueRange, check_sums
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.gradients import compute_gradients
from captum_ext._engine.integrate import Plan, integrate
from captum_ext._utils.model_state import untouched
from captum_ext.attr._parts import check_flag, check_local, check_parts, check_quadratures
from captum_ext.attr._refined import Task, make_bar
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature, WeightedSum
from captum_ext.quadratures.grid import shared_grid
from captum_ext.quadratures.segment import Tensors


class PathMethod(GradientAttribution):
    """A path, a quadrature and a backward rule. See :class:`captum_ext.attr.PathAttribution` for the arguments."""

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        path: Path,
        quadrature: Quadrature | None,
        backward: BackwardRule | None,
        multiply_by_inputs: bool,
    ) -> None:
        """Check the parts."""
        check_parts(forward_func, path, quadrature, backward)
        check_flag(multiply_by_inputs)
        GradientAttribution.__init__(self, forward_func)
        self.gradient_func: Any = compute_gradients
        self.path = path if multiply_by_inputs else path.local()
        self.quadrature = quadrature if quadrature is not None else WeightedSum(path.default_method)
        self._backward = None if backward is None else backward.bind(forward_func)
        self._multiply_by_inputs = bool(multiply_by_inputs)
        check_local(multiply_by_inputs, [self.quadrature])

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the attributions hold the factor (inputs - baselines); Captum's evaluation asks."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """True by the ordinary gradient: attributions along a path sum to F(input) - F(start)."""
        return self._backward is None

    @classmethod
    def get_name(cls) -> str:
        """The class's name in words, abbreviations in one piece: Blur IG, IDGI."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__)

    def attribute_future(self) -> None:
        """Not there, as in Captum's Integrated Gradients."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")

    def _by(self, method: str | None) -> Quadrature:
        return self.quadrature if method is None else self.quadrature.with_method(method)

    def _check_quadratures(self, quadratures: Sequence[Quadrature], with_delta: bool) -> tuple[Quadrature, ...]:
        checked = check_quadratures(quadratures)
        check_local(self._multiply_by_inputs, checked)
        if with_delta and not self.has_convergence_delta():
            raise ValueError(
                "return_convergence_delta: by a backward rule of its own a method has no completeness to miss, so "
                "there is no delta. Leave it False."
            )
        return checked

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """The modes in which everything is computed, and the guard of the user's model."""
        rule = nullcontext() if self._backward is None else self._backward.active()
        with torch.inference_mode(False), torch.no_grad(), untouched(self.forward_func), rule:
            yield

    def _integrate(
        self,
        function: Callable[..., Any],
        quadratures: tuple[Quadrature, ...],
        given: Arguments,
        plan: Plan,
        show_progress: bool,
        has_values: bool = True,
    ) -> list[tuple[Tensors, Tensor | None]]:
        """Attributions, and deltas if the plan has them, for a function of ``given`` that gives F of each example.

        ``has_values`` is whether it gives F, or only what has F's gradient.
        """
        needs_values = any(quadrature.needs_values for quadrature in quadratures)
        bar = make_bar(self.get_name(), show_progress)
        if not (has_values and self._is_checked(quadratures)):
            evaluate = self._evaluator(function, given, needs_values)
            return integrate(self.path, quadratures, evaluate, given.inputs, given.baselines, plan, bar)
        evaluate = self._evaluator(function, given, True)
        grid = self.path.fit(shared_grid([quadrature.grid(plan.n_steps) for quadrature in quadratures]))
        values = ValueRange(len(grid))
        results = integrate(self.path, quadratures, evaluate, given.inputs, given.baselines, plan, bar, values)
        for quadrature, (sums, _) in zip(quadratures, results, strict=True):
            if quadrature.uses_increments and len(given.inputs[0]):
                check_sums(sums, values.result(), evaluate, given.inputs, plan.internal_batch_size)
        return results

    def _is_checked(self, quadratures: Sequence[Quadrature]) -> bool:
        """Whether the attributions should sum to F's change, may miss it grossly, and F's values are free.

        A guided path takes the gradient at its start, which other paths' default rules do not. What stands in for
        ``gradient_func`` (Captum's wrappers) need not pass through F's output.
        """
        complete = self.has_convergence_delta() and any(quadrature.uses_increments for quadrature in quadratures)
        return complete and not self.path.look_ahead and self.gradient_func is compute_gradients

    def _evaluator(self, function: Callable[..., Any], given: Arguments, needs_values: bool) -> Evaluator:
        return Evaluator(function, self.gradient_func, given.target, given.forward_args, given.inputs, needs_values)

    def _refinable(self, method: str | None) -> Quadrature:
        """The quadrature by the rule that refines itself.

        Raises:
            ValueError: If path, quadrature or backward rule can't be refined, or another rule is asked for.
        """
        if not self.path.look_ahead:
            raise ValueError(
                f"n_steps: {type(self.path).__name__} finds each point from the gradient at the last, so steps can't "
                "be halved where it turns out that more are needed. Give a number."
            )
        if self._backward is not None:
            raise ValueError(
                "n_steps: by a backward rule of its own a method has no completeness to go by, so 'auto' can't tell "
                "when to stop. Give a number."
            )
        rule = self.quadrature.refinable()
        if method not in (None, rule.method):
            raise ValueError(f"method: n_steps='auto' halves steps by {rule.method}, got {method!r}. Leave it out.")
        return rule

    def _task(self, quadrature: Quadrature, given: Arguments, show_progress: bool) -> Task:
        evaluate = self._evaluator(self.forward_func, given, True)
        bar = make_bar(self.get_name(), show_progress)
        complete = self.has_convergence_delta() and self._multiply_by_inputs
        return Task(self.path, quadrature, evaluate, given, complete, bar)


def paired(
    results: list[tuple[Tensors, Tensor | None]], shape: Callable[[Tensors], Any], with_delta: bool
) -> list[Any]:
    """Each result as the user gets it: attributions in the form of what was explained, with the delta or without."""
    return [(shape(attributions), delta) if with_delta else shape(attributions) for attributions, delta in results]
