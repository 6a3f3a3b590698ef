"""Expected Gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from captum.attr import GradientAttribution
from captum.log import log_usage
from torch import Tensor

from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.gradients import compute_gradients
from captum_ext._engine.step_plan import StepPlan
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.random import as_generator
from captum_ext._utils.tensors import Tensors, per_node
from captum_ext._utils.types import TargetType
from captum_ext.attr._baseline_set import BaselineSet, check_set, stacked
from captum_ext.attr._parts import check_flag, check_parts
from captum_ext.attr._samples import integrate_samples
from captum_ext.paths import Path, PathEvaluator, StraightPath, Trajectory
from captum_ext.quadratures import Grid


class ExpectedGradients(GradientAttribution):
    """Expected Gradients: the mean of gradient times (input - baseline) at random points toward random baselines.

    For each sample and example, a baseline is drawn from the set and alpha from U(0, 1); the gradient is taken at
    baseline + alpha (input - baseline). The mean is an unbiased estimate of Integrated Gradients averaged over the set,
    which :class:`Expected` computes exactly. Its error decreases with 1 / sqrt(n_samples). Unlike
    :class:`captum.attr.GradientShap`, it adds no noise, draws the same samples for the same generator and any batch
    size, and uses the same row of the set for all inputs of a tuple.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        baselines: The set, often training data: a tensor (N, ...) of N baselines for all examples, or a tuple of such
            tensors, one per input; or a list as for :class:`Expected`, which is stacked in memory.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines). Default: True.

    Raises:
        TypeError, ValueError: If the set of baselines is invalid.

    Reference:
        Erion et al.: Improving performance of deep learning models with axiomatic attribution priors and expected
        gradients. Nature Machine Intelligence 2021. https://arxiv.org/abs/1906.10670

    Example:
        >>> from captum_ext.attr import ExpectedGradients
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 3))
        >>> method = ExpectedGradients(model, baselines=torch.randn(100, 4))
        >>> method.attribute(torch.rand(2, 4), target=1, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self, forward_func: Callable[..., Tensor], baselines: BaselineSet, multiply_by_inputs: bool = True
    ) -> None:
        """See the class."""
        check_parts(forward_func, StraightPath(), None, None)
        check_flag(multiply_by_inputs)
        check_set(baselines)
        super().__init__(forward_func)
        self.gradient_func: Any = compute_gradients
        self.baselines = baselines
        self._multiply_by_inputs = bool(multiply_by_inputs)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the attributions include the factor (inputs - baselines)."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """True: the expected attributions sum to the mean of F(input) - F(baseline)."""
        return True

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Any,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_samples: int = 200,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        generator: int | torch.Generator | None = None,
        show_progress: bool = False,
        create_graph: bool = False,
    ) -> Any:
        """Attribute the output to the inputs.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B.
            target: Which output to explain; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            additional_forward_args: Further arguments of ``forward_func``; see there.
            n_samples: The number of samples per example. Default: 200, as in shap's ``GradientExplainer``;
                GradientShap's is 5.
            internal_batch_size: The most rows of a forward pass. The samples do not depend on it. See there for the
                default.
            return_convergence_delta: Whether to return the deltas too, which costs another forward pass per sample.
            generator: A seed or a ``torch.Generator``, for reproducible samples.
            show_progress: Whether to show a progress bar, one tick per forward pass.
            create_graph: Whether the attributions can be differentiated; see
                :meth:`captum_ext.attr.PathAttribution.attribute`.

        Returns:
            The attributions in the inputs' shape, device and dtype (float32 for half precision); a tuple if ``inputs``
            is one. With ``return_convergence_delta=True``, a pair of these and the deltas (B,): the sum of an example's
            attributions minus the mean of F(input) - F(baseline) over the baselines *that were drawn*. The delta shows
            the error from sampling alpha, but not the error from sampling baselines; compare two generators for both.

        Raises:
            TypeError, ValueError: If an argument is invalid.
        """
        check_positive("n_samples", n_samples)
        plan = StepPlan(n_samples, internal_batch_size, return_convergence_delta, create_graph=create_graph)
        plan.check()
        arguments = format_arguments(inputs, None, target, additional_forward_args)
        lines = _RandomLines(stacked(self.baselines, arguments.inputs), n_samples, generator, self._multiply_by_inputs)
        return integrate_samples(self, lines, arguments, plan, show_progress, isinstance(inputs, tuple))

    def attribute_future(self) -> None:
        """Not there, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")


class _RandomLines(Path):
    """Lines from random baselines of a set (N, B or 1, ...) to each example, with one random point on each."""

    def __init__(
        self, baselines: Tensors, n_samples: int, generator: int | torch.Generator | None, multiply_by_inputs: bool
    ) -> None:
        self.baselines = baselines
        self.n_samples = n_samples
        self.generator = generator
        self.multiply_by_inputs = multiply_by_inputs

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """Draw the baseline and alpha of each sample of all examples, so that batches do not change them.

        Baselines that differ between examples are returned too, so that they are sliced with the examples.
        """
        shape = (self.n_samples, len(inputs[0]))
        which, alphas = _draw_samples(len(self.baselines[0]), shape, inputs[0], self.generator)
        per_example = tuple(tensor.transpose(0, 1) for tensor in self.baselines if tensor.shape[1] > 1)
        return (which.T, alphas.T, *per_example)

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """The lines of these examples."""
        which, alphas, *per_example = start
        remaining = iter(per_example)
        baselines = tuple(next(remaining).transpose(0, 1) if part.shape[1] > 1 else part for part in self.baselines)
        return _RandomLinesTrajectory(baselines, inputs, which.T, alphas.T, self.multiply_by_inputs)


class _RandomLinesTrajectory(Trajectory):
    def __init__(
        self, baselines: Tensors, ends: Tensors, which: Tensor, alphas: Tensor, multiply_by_inputs: bool
    ) -> None:
        self._baselines = baselines
        self._ends = ends
        self._which = which
        self._alphas = alphas
        self._multiply_by_inputs = multiply_by_inputs

    def points(self, grid: Grid) -> Tensors:
        samples = self._samples(grid)
        alphas = self._alphas[samples]
        return tuple(
            torch.lerp(start, end, per_node(alphas, start).to(start.dtype))
            for start, end in zip(self._starts(samples), self._ends, strict=True)
        )

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        # Each sample has an equal share of the mean, half of it before and half after its point.
        share = (before + after) / (2 * len(self._which))
        starts = self._starts(self._samples(grid))
        if not self._multiply_by_inputs:
            return tuple(torch.full_like(start, share) for start in starts)
        return tuple(share * (end - start) for start, end in zip(starts, self._ends, strict=True))

    def output_deltas(self, evaluator: PathEvaluator) -> Tensor:
        """F(input) minus the mean of F at the baselines that were drawn, (B,)."""
        baselines = (tuple(part[0] for part in self._starts(slice(k, k + 1))) for k in range(len(self._which)))
        return evaluator.value(self._ends) - torch.stack([evaluator.value(start) for start in baselines]).mean(0)

    def _samples(self, grid: Grid) -> slice:
        """The samples of these nodes: node k of the middle rule is sample k."""
        first = int(grid.nodes[0] * len(self._which))
        return slice(first, first + len(grid))

    def _starts(self, samples: slice) -> Tensors:
        """The baselines of these samples, each (K, B, ...)."""
        which = self._which[samples]
        columns = torch.arange(which.shape[1], device=which.device)
        return tuple(tensor[which, columns if tensor.shape[1] > 1 else 0] for tensor in self._baselines)


def _draw_samples(
    baselines: int, shape: tuple[int, int], like: Tensor, generator: int | torch.Generator | None
) -> tuple[Tensor, Tensor]:
    generator = None if generator is None else as_generator(generator)
    device = "cpu" if generator is None else generator.device
    which = torch.randint(baselines, shape, device=device, generator=generator)
    alphas = torch.rand(shape, dtype=torch.float32, device=device, generator=generator)
    return which.to(like.device), alphas.to(like.device)
