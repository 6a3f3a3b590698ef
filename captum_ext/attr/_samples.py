"""The walk of methods that average over random points."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from captum.attr import GradientAttribution

from captum_ext._engine.arguments import Arguments
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.gradients import compute_differentiable_gradients
from captum_ext._engine.loop import integrate
from captum_ext._engine.step_plan import StepPlan
from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.model_state import preserve_model_state
from captum_ext.paths import Path
from captum_ext.quadratures import WeightedSum


def integrate_samples(
    method: GradientAttribution,
    samples: Path,
    arguments: Arguments,
    plan: StepPlan,
    show_progress: bool,
    as_tuple: bool,
) -> Any:
    """The mean over samples, each of which is a point of ``samples``, in the form that the user gets.

    Args:
        method: Whose ``forward_func`` and ``gradient_func`` are used.
        samples: A path whose points are the samples, and whose moves are their factors over their number.
        arguments: Formatted.
        plan: Checked; ``n_steps`` is the number of samples.
        show_progress: Whether to show a progress bar.
        as_tuple: Whether the user passed a tuple.
    """
    evaluator = Evaluator(
        method.forward_func,
        compute_differentiable_gradients if plan.create_graph else method.gradient_func,
        arguments.target,
        arguments.forward_args,
        arguments.inputs,
        needs_values=False,
        create_graph=plan.create_graph,
    )
    grad = torch.enable_grad() if plan.create_graph else torch.no_grad()
    with torch.inference_mode(False), grad, preserve_model_state(method.forward_func):
        (result,) = integrate(
            samples,
            (WeightedSum("riemann_middle"),),
            plan.control(record=False),
            evaluator,
            arguments.inputs,
            None,
            plan.internal_batch_size,
            plan.return_convergence_delta,
            partial(progress if show_progress else NullProgress, desc=f"{method.get_name()} attribution"),
            plan.create_graph,
        )
    attributions: Any = result.attributions if as_tuple else result.attributions[0]
    return (attributions, result.delta) if plan.return_convergence_delta else attributions
