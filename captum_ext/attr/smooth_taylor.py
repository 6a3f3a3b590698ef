"""SmoothTaylor."""

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
from captum_ext._utils.numbers import check_number, check_positive
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import TargetType
from captum_ext.attr._example_noise import ExampleNoise, draw_seeds
from captum_ext.attr._parts import check_has_factor, check_parts
from captum_ext.attr._samples import integrate_samples
from captum_ext.paths import Path, PathEvaluator, StraightPath, Trajectory
from captum_ext.quadratures import Grid


class SmoothTaylor(GradientAttribution):
    r"""SmoothTaylor: the mean of first-order Taylor terms around noisy copies of the input, the roots.

    The attribution is the mean over k of :math:`(x - r_k) \odot \nabla F(r_k)` with
    :math:`r_k = x + \sigma \epsilon_k` and standard normal noise :math:`\epsilon_k`. There is no baseline. To first
    order, the attributions sum to F(x) minus the mean of F at the roots.

    The mean over ever more roots tends to minus :math:`\sigma^2` times the second derivatives of F along each feature,
    averaged over the noise (Stein's lemma). The map of a linear F tends to 0; what is left is sampling noise.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        multiply_by_inputs: Accepted for compatibility with Captum. Only True, the default, has a meaning here.

    Note:
        There is no layer version. Pass the layer's activations as ``inputs`` and the rest of the model as
        ``forward_func``.

    Raises:
        TypeError, ValueError: If ``forward_func`` is not a function, or ``multiply_by_inputs=False``.

    Reference:
        Goh et al.: Understanding Integrated Gradients with SmoothTaylor for Deep Neural Network Attribution. ICPR 2020.
        https://arxiv.org/abs/2004.10484

    Example:
        >>> from captum_ext.attr import SmoothTaylor
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 3))
        >>> SmoothTaylor(model).attribute(torch.rand(2, 4), target=1, generator=0).shape
        torch.Size([2, 4])
    """

    def __init__(self, forward_func: Callable[..., Tensor], *, multiply_by_inputs: bool = True) -> None:
        """See the class."""
        check_parts(forward_func, StraightPath(), None, None)
        check_has_factor("SmoothTaylor", multiply_by_inputs)
        super().__init__(forward_func)
        self.gradient_func: Any = compute_gradients

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: the attributions hold the factor (input - root)."""
        return True

    def has_convergence_delta(self) -> bool:
        """True: to first order, the attributions sum to F(input) minus the mean of F at the roots."""
        return True

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Any,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_samples: int = 150,
        stdevs: float | tuple[float, ...] = 0.5,
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
            n_samples: The number of roots per example. Default: 150; the paper uses 100 to 200.
            stdevs: The noise's standard deviation in the units of the inputs, or one for each input of a tuple, as in
                Captum's ``NoiseTunnel``. Default: 0.5; the paper uses 0.3 to 0.7 for standardized images.
            internal_batch_size: The most rows in any forward pass; the roots do not depend on it. See
                :meth:`captum_ext.attr.PathAttribution.attribute` for the default.
            return_convergence_delta: Whether to return the deltas too, for one more forward pass per root.
            generator: A seed or a ``torch.Generator``, for reproducible roots. Each example has its own noise, which
                depends on the generator and the example's position only. Default: torch's global generator.
            show_progress: Whether to show a progress bar, one tick per pass.
            create_graph: Whether the attributions can be differentiated; see
                :meth:`captum_ext.attr.PathAttribution.attribute`.

        Returns:
            The attributions in the inputs' shape, device and dtype (float32 for half precision), a tuple if ``inputs``
            is one. With ``return_convergence_delta=True`` a pair of these and the deltas (B,): the sum of an example's
            attributions minus (F(input) - the mean of F at the roots), which is 0 for a linear F.

        Raises:
            TypeError, ValueError: If an argument can't be used.

        Warns:
            UserWarning: If the model is in training mode.
            RuntimeWarning: If an attribution is not finite.
        """
        check_positive("n_samples", n_samples)
        plan = StepPlan(n_samples, internal_batch_size, return_convergence_delta, create_graph=create_graph)
        plan.check()
        arguments = format_arguments(inputs, None, target, additional_forward_args)
        roots = _NoisyRoots(_check_stdevs(stdevs, arguments.inputs), n_samples, generator)
        return integrate_samples(self, roots, arguments, plan, show_progress, isinstance(inputs, tuple))

    def attribute_future(self) -> None:
        """Not implemented, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")


class _NoisyRoots(Path):
    """Noisy copies of each example, all of them one step away."""

    def __init__(self, stdevs: tuple[float, ...], n_samples: int, generator: int | torch.Generator | None) -> None:
        self.stdevs = stdevs
        self.n_samples = n_samples
        self.generator = generator

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """The seed of each example's noise."""
        return (draw_seeds(len(inputs[0]), self.generator),)

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """The roots of these examples."""
        return _NoisyRootsTrajectory(inputs, self.stdevs, self.n_samples, start[0])


class _NoisyRootsTrajectory(Trajectory):
    def __init__(self, inputs: Tensors, stdevs: tuple[float, ...], n_samples: int, seeds: Tensor) -> None:
        self._inputs = inputs
        self._stdevs = stdevs
        self._n_samples = n_samples
        self._seeds = seeds
        self._noise = ExampleNoise(seeds)
        self._roots: Tensors = ()

    def points(self, grid: Grid) -> Tensors:
        roots = [self._root(self._noise) for _ in range(len(grid))]
        self._roots = tuple(torch.stack(of_one) for of_one in zip(*roots, strict=True))
        return self._roots

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        # Each root answers for an equal share of the mean, half of it before and half after its point.
        share = (before + after) / (2 * self._n_samples)
        return tuple(share * (x - root) for x, root in zip(self._inputs, self._roots, strict=True))

    def output_deltas(self, evaluator: PathEvaluator) -> Tensor:
        """F(input) minus the mean of F at the roots, (B,)."""
        again = ExampleNoise(self._seeds)  # drawn once more, since memory does not hold all roots
        at_roots = [evaluator.value(self._root(again)) for _ in range(self._n_samples)]
        return evaluator.value(self._inputs) - torch.stack(at_roots).mean(0)

    def _root(self, noise: ExampleNoise) -> Tensors:
        parts = zip(self._inputs, self._stdevs, noise.draw(self._inputs), strict=True)
        return tuple(x + stdev * of_one for x, stdev, of_one in parts)


def _check_stdevs(stdevs: Any, inputs: Tensors) -> tuple[float, ...]:
    """One standard deviation per input.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is negative or not finite, or there are not as many as inputs.
    """
    each = stdevs if isinstance(stdevs, tuple) else (stdevs,) * len(inputs)
    if len(each) != len(inputs):
        raise ValueError(f"stdevs: expected a number, or one for each of {len(inputs)} inputs, got {len(each)}.")
    for stdev in each:
        check_number("stdevs", stdev, "a number, or a tuple of one per input")
        if not 0 <= stdev < float("inf"):
            raise ValueError(f"stdevs: expected finite standard deviations of at least 0, got {stdev}.")
    return tuple(map(float, each))
