"""Expected Gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from captum.attr import GradientAttribution
from captum.log import log_usage
from torch import Tensor

from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.batching import split, walk
from captum_ext._engine.evaluator import Evaluator, sum_dtype
from captum_ext._engine.gradients import compute_gradients
from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.model_state import untouched
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.types import TargetType
from captum_ext.attr._baseline_set import BaselineSet, check_set, stacked
from captum_ext.attr._parts import check_flag, check_parts
from captum_ext.paths import StraightPath, Trace
from captum_ext.quadratures import WeightedSum
from captum_ext.quadratures.segment import Tensors, per_node


class ExpectedGradients(GradientAttribution):
    """Expected Gradients: the mean of gradient times (input - baseline) at random points towards random baselines.

    For each sample and example a baseline is drawn from the set and alpha from U(0, 1); the gradient is taken at
    baseline + alpha (input - baseline). The mean is an unbiased estimate of Integrated Gradients averaged over the set
    (:class:`Expected` computes that exactly), with an error that falls like 1 / sqrt(n_samples). This is
    :class:`captum.attr.GradientShap` without noise, with draws that a generator repeats, whatever the batches, and with
    the same baseline's row for all inputs of a tuple.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row an example.
        baselines: The set, often training data: a tensor (N, ...) of N baselines for every example, or a tuple of such
            tensors, one an input; or a list of baselines as for :class:`Expected`, which is stacked in memory.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines). Default: True.

    Raises:
        TypeError, ValueError: If the baselines are no set.

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
        """Whether the attributions hold the factor (inputs - baselines)."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """True: the attributions' expectation sums to the mean of F(input) - F(baseline)."""
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
        generator: torch.Generator | None = None,
        show_progress: bool = False,
    ) -> Any:
        """Attribute the output to the inputs.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B.
            target: Which output to explain; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            additional_forward_args: Further arguments of ``forward_func``; see there.
            n_samples: Samples an example. Default: 200, that of shap's ``GradientExplainer``. (GradientShap's is 5.)
            internal_batch_size: The most rows in any forward pass; the samples do not depend on it. See there for
                the default.
            return_convergence_delta: Whether to return the delta too, at the cost of another forward pass a sample.
            generator: For samples that can be repeated.
            show_progress: Whether to show a progress bar, one tick a pass.

        Returns:
            The attributions in the inputs' shape, device and dtype (float32 for half precision), a tuple if ``inputs``
            is one. With ``return_convergence_delta=True`` a pair of these and the deltas (B,): the sum of an example's
            attributions less the mean of F(input) - F(baseline) over the baselines *that were drawn*. It has the error
            of the alphas, not that of which baselines were drawn; for all of it compare two generators.

        Raises:
            TypeError, ValueError: If an argument can't be used.
        """
        check_positive("n_samples", n_samples)
        given = format_arguments(inputs, None, target, additional_forward_args, 1, internal_batch_size)
        ends = tuple(tensor.detach().to(sum_dtype(tensor)) for tensor in given.inputs)
        starts = stacked(self.baselines, given.inputs)
        which, alphas = _drawn(len(starts[0]), (n_samples, len(ends[0])), ends[0], generator)
        evaluate = Evaluator(
            self.forward_func, self.gradient_func, given.target, given.forward_args, given.inputs, needs_values=False
        )
        examples, samples = split(given.inputs, n_samples, internal_batch_size, look_ahead=True)
        total = len(examples) * len(samples)
        bar = (progress if show_progress else NullProgress)(total=total, desc=f"{self.get_name()} attribution")
        parts, deltas = [tuple(tensor[:0] for tensor in ends)], [ends[0].new_zeros(0)]
        with torch.inference_mode(False), torch.no_grad(), untouched(self.forward_func), bar:
            for rows in examples:
                some = tuple(tensor[:, rows] if tensor.shape[1] > 1 else tensor for tensor in starts)
                end = tuple(tensor[rows] for tensor in ends)
                draws = _Draws(some, end, which[:, rows], alphas[:, rows], self._multiply_by_inputs)
                here, running = evaluate.rows(rows), WeightedSum("riemann_middle").begin()
                for segment in walk(draws, here, samples, bar.update):
                    running.update(segment)
                parts.append(running.result())
                if return_convergence_delta:
                    deltas.append(_sum(parts[-1]) - _mean_rise(draws, end, here, n_samples))
            if examples:
                evaluate.check_gradient()
            attributions: Any = tuple(torch.cat(pieces).contiguous() for pieces in zip(*parts, strict=True))
            delta = torch.cat(deltas)
        attributions = attributions if isinstance(inputs, tuple) else attributions[0]
        return (attributions, delta) if return_convergence_delta else attributions

    def attribute_future(self) -> None:
        """Not there, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")


class _Draws(Trace):
    """Random points of the lines to B examples from random baselines of a set (N, B or 1, ...)."""

    def __init__(self, starts: Tensors, ends: Tensors, which: Tensor, alphas: Tensor, multiply_by_inputs: bool) -> None:
        self._set = starts
        self._ends = ends
        self._which = which
        self._alphas = alphas
        self._multiply_by_inputs = multiply_by_inputs

    def starts(self, samples: slice) -> Tensors:
        """The baselines that were drawn, each (K, B, ...)."""
        which = self._which[samples]
        columns = torch.arange(which.shape[1], device=which.device)
        return tuple(tensor[which, columns if tensor.shape[1] > 1 else 0] for tensor in self._set)

    def points(self, nodes: slice) -> Tensors:
        alphas = self._alphas[nodes]
        return tuple(
            torch.lerp(start, end, per_node(alphas, start).to(start.dtype))
            for start, end in zip(self.starts(nodes), self._ends, strict=True)
        )

    def increments(self, nodes: slice, before: float, after: float) -> Tensors:
        # Each sample answers for an equal share of the mean, half of it before and half after its point.
        share = (before + after) / (2 * len(self._which))
        starts = self.starts(nodes)
        if not self._multiply_by_inputs:
            return tuple(torch.full_like(start, share) for start in starts)
        return tuple(share * (end - start) for start, end in zip(starts, self._ends, strict=True))


def _drawn(
    baselines: int, shape: tuple[int, int], like: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Which baseline, and how far from it, for each sample of each example: all at once, whatever the batches."""
    device = "cpu" if generator is None else generator.device
    which = torch.randint(baselines, shape, device=device, generator=generator)
    alphas = torch.rand(shape, dtype=torch.float32, device=device, generator=generator)
    return which.to(like.device), alphas.to(like.device)


def _sum(attributions: Tensors) -> Tensor:
    return torch.stack([part.reshape(len(part), -1).sum(1) for part in attributions]).sum(0)


def _mean_rise(draws: _Draws, ends: Tensors, evaluate: Evaluator, n_samples: int) -> Tensor:
    """F(input) less the mean of F at the baselines that were drawn, (B,)."""
    at_starts = [evaluate.value(tuple(start[0] for start in draws.starts(slice(k, k + 1)))) for k in range(n_samples)]
    return evaluate.value(ends) - torch.stack(at_starts).mean(0)
