"""I-GOS: masks optimized with integrated gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from captum.attr import GradientAttribution
from captum.log import log_usage
from torch import Tensor

from captum_ext import baselines as baseline_images
from captum_ext._engine.arguments import Arguments, format_arguments
from captum_ext._engine.batching import split
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.gradients import compute_gradients
from captum_ext._engine.step_plan import StepPlan
from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.numbers import check_number, check_positive
from captum_ext._utils.tensors import by_example, sum_dtype
from captum_ext._utils.types import BaselineType, TargetType
from captum_ext._utils.warnings import warn
from captum_ext.attr._example_noise import ExampleNoise, draw_seeds
from captum_ext.attr._mask_descent import MaskObjective, MaskSettings, descend
from captum_ext.attr._parts import check_has_factor, check_parts
from captum_ext.paths import StraightPath

_SIGMA = 15.0  # pixels
_MOVED = 0.01


class IGOS(GradientAttribution):
    r"""Integrated-Gradients Optimized Saliency (I-GOS): the smallest smooth mask that destroys the score.

    A coarse mask m, 1 everywhere at the start, blends the image x with a blurred image b:
    :math:`\phi(m) = x m + b (1 - m)`. Gradient descent lowers

    .. math:: \frac{1}{S} \sum_{s=1}^{S} F(\phi(m s / S)) + \lambda_1 \mathrm{mean}|1 - m| + \lambda_2 \mathrm{TV}(m),

    the mean of F along IG's path to the composite plus two penalties. Each example has its own line search, and is
    finished when no step lowers its objective. The attribution is 1 - m, in [0, 1]: how much of each pixel has to be
    blurred. It is not signed and does not sum to F's change.

    Explain a probability, as the paper does: the penalties are on the scale of values between 0 and 1.

    Args:
        forward_func: The model, or any function that takes images and returns one row per example.
        mask_size: The rows and columns of the mask, at most the image's. Default: 28.
        l1: The weight of the mask's distance from 1. Default: 1.
        tv: The weight of the mask's total variation, the mean squared difference of neighbors. Default: 20.
        noise: The standard deviation of normal noise on the composites, in the units of
            the images. Default: 0.2, for standardized images.
        step: The first step of each line search, at least 1e-5; a step that fails is tried again at a fifth of it.
            Default: 8, that of the authors' function. Their command line passes 1000.
        multiply_by_inputs: Accepted for compatibility with Captum. Only True, the default, has a meaning here.

    Note:
        The descent takes up to ``n_iterations * n_steps`` gradients per example (300 by default), and at least as many
        forward passes for the line search, which tries up to 9 steps per iteration (12 from ``step=1000``). There is no
        layer version, because a mask needs an image.

    Raises:
        TypeError: If ``forward_func`` is not a function, or a setting is not a number.
        ValueError: If a setting is out of range, or ``multiply_by_inputs=False``.

    Reference:
        Qi, Khorram, Li: Visualizing Deep Networks by Optimizing with Integrated Gradients. AAAI 2020.
        https://arxiv.org/abs/1905.00954 (the settings are those of https://github.com/khorrams/IGOS_pp)

    Example:
        >>> from captum_ext.attr import IGOS
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5), torch.nn.Softmax(1))
        >>> IGOS(model, mask_size=4).attribute(torch.rand(2, 3, 8, 8), target=[1, 4], n_iterations=3, generator=0).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        mask_size: int = 28,
        l1: float = 1.0,
        tv: float = 20.0,
        noise: float = 0.2,
        step: float = 8.0,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_parts(forward_func, StraightPath(), None, None)
        check_has_factor("IGOS", multiply_by_inputs)
        check_positive("mask_size", mask_size)
        for name, value in (("l1", l1), ("tv", tv), ("noise", noise)):
            check_number(name, value)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name}: expected a finite number of at least 0, got {value}.")
        super().__init__(forward_func)
        self.gradient_func: Any = compute_gradients
        check_number("step", step)
        if not 1e-5 <= step < float("inf"):
            raise ValueError(f"step: expected a finite number of at least 1e-5, got {step}.")
        self.settings = MaskSettings(int(mask_size), float(l1), float(tv), float(noise), float(step))

    @property
    def multiplies_by_inputs(self) -> bool:
        """False: the attributions are a mask."""
        return False

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Any,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int = 15,
        internal_batch_size: int | None = None,
        *,
        n_iterations: int = 20,
        generator: int | torch.Generator | None = None,
        show_progress: bool = False,
    ) -> Any:
        """Find the mask of each image.

        Args:
            inputs: Images (B, C, H, W).
            baselines: What the mask blends the images with: a number, or a tensor with the shape of the images or with
                one example. Default: the images blurred with a standard deviation of 15 pixels and reflected borders,
                close to the published 51 x 51 kernel.
            target: Which output to explain; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            additional_forward_args: Further arguments of ``forward_func``; see there.
            n_steps: The points S on IG's path. Default: 15, the published code's; the paper has 20.
            internal_batch_size: The most rows in any forward pass; the noise does not depend on it. See there for the
                default.
            n_iterations: The most steps of the descent. Default: 20.
            generator: A seed or a ``torch.Generator``, for reproducible noise. Each example has its own noise, which
                depends on the generator and the example's position only. Default: torch's global generator.
            show_progress: Whether to show a progress bar, one tick per iteration.

        Returns:
            The attributions 1 - m in the images' shape, equal in all channels, on their device and in their dtype
            (float32 for half precision); a tuple if ``inputs`` is one.

        Raises:
            TypeError, ValueError: If an argument can't be used, or the inputs are not images.

        Warns:
            UserWarning: If the model is in training mode.
            RuntimeWarning: If a mask hardly moves, so that the attributions are next to 0.
        """
        check_positive("n_iterations", n_iterations)
        check_positive("n_steps", n_steps)
        StepPlan(internal_batch_size=internal_batch_size).check()
        arguments = format_arguments(inputs, baselines, target, additional_forward_args)
        shapes = [tuple(tensor.shape) for tensor in arguments.inputs]
        if len(shapes) != 1 or len(shapes[0]) != 4 or 0 in shapes[0][1:]:
            raise ValueError(
                "inputs: expected one tensor of images (B, C, H, W), because the mask has rows and columns; got "
                f"{shapes}."
            )
        with torch.inference_mode(False), torch.no_grad(), preserve_model_state(self.forward_func):
            maps = self._maps(arguments, n_steps, internal_batch_size, n_iterations, generator, show_progress)
        result = maps.expand_as(arguments.inputs[0]).contiguous()
        return (result,) if isinstance(inputs, tuple) else result

    @classmethod
    def get_name(cls) -> str:
        """The name in the paper."""
        return "I-GOS"

    def attribute_future(self) -> None:
        """Not implemented, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")

    def _maps(
        self,
        arguments: Arguments,
        n_steps: int,
        internal_batch_size: int | None,
        n_iterations: int,
        generator: int | torch.Generator | None,
        show_progress: bool,
    ) -> Tensor:
        """The attributions, (B, 1, H, W)."""
        evaluator = Evaluator(
            self.forward_func,
            self.gradient_func,
            arguments.target,
            arguments.forward_args,
            arguments.inputs,
            needs_values=True,
        )
        images = arguments.inputs[0].detach().to(sum_dtype(arguments.inputs[0]))
        blends = arguments.baselines[0] if arguments.baselines else baseline_images.blurred(images, _SIGMA, "reflect")
        seeds = draw_seeds(len(images), generator)
        examples, nodes = split(arguments.inputs, n_steps, internal_batch_size, look_ahead=True)
        points = [range(part.start + 1, part.stop + 1) for part in nodes]
        maps = [images.new_zeros(0, 1, *images.shape[2:])]
        bar = progress if show_progress else NullProgress
        with bar(total=len(examples) * n_iterations, desc=f"{self.get_name()} attribution") as ticks:
            for rows in examples:
                objective = MaskObjective(evaluator.rows(rows), images[rows], blends[rows], self.settings, points)
                masks = descend(objective, n_iterations, ExampleNoise(seeds[rows]), ticks.update)
                maps.append(objective.upsample(1 - masks))
        if examples:
            evaluator.check_gradient()
        attributions = torch.cat(maps)
        stuck = (by_example(attributions).amax(1) < _MOVED).nonzero().flatten().tolist()
        if stuck:
            warn(
                f"The masks of examples {stuck[:10]} stay within {_MOVED} of 1, so their attributions are next to 0: "
                "no mask lowers F by more than it costs in penalties, F or its gradient is NaN or infinite, or the "
                "image equals its baseline. Choose baselines where F is low, or smaller l1 and tv.",
                RuntimeWarning,
            )
        return attributions
