"""Blur Integrated Gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from captum_ext._utils.gaussian import PaddingMode
from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.paths import BlurPath
from captum_ext.paths.blur import Schedule


class BlurIG(PathAttribution):
    """Blur Integrated Gradients: from a blurred image to the sharp one, without a baseline to choose.

    ``attribute`` accepts only ``baselines=None``. The increments are differences of blurred images, so the attributions
    of a linear F are exact for any number of steps. PAIR's code multiplies by a derivative instead, a forward
    difference that is 0 at sigma 0: its attributions of a linear F that changes by 21.8 summed to 2.1 with 20 steps and
    to 30.7 with 100.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        max_sigma: The strongest blur, in pixels. Default: 50.
        schedule: The decrease of sigma along the path: ``"linear"`` (default), ``"square"`` or ``"sqrt"``.
        padding_mode: ``"constant"`` (zeros, default), ``"reflect"`` or ``"replicate"``.
        spatial_dims: The dimensions to blur. Default: all after (batch, channel).
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    See :class:`~captum_ext.paths.BlurPath` for details.

    Raises:
        TypeError, ValueError: If a setting is invalid, or ``multiply_by_inputs=False``.

    Reference:
        Xu, Venugopalan, Sundararajan: Attribution in Scale and Space. CVPR 2020.
        https://arxiv.org/abs/2004.03383

    Example:
        >>> from captum_ext.attr import BlurIG
        >>> series = torch.randn(2, 1, 100)  # two time series of one channel
        >>> model = torch.nn.Sequential(torch.nn.Conv1d(1, 4, 5), torch.nn.ReLU(), torch.nn.Flatten())
        >>> BlurIG(model, max_sigma=10.0, padding_mode="reflect").attribute(series, target=7).shape
        torch.Size([2, 1, 100])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        max_sigma: float = 50.0,
        schedule: Schedule = "linear",
        padding_mode: PaddingMode = "constant",
        spatial_dims: Sequence[int] | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("max_sigma", max_sigma, "a number of pixels")
        path = BlurPath(max_sigma, schedule, padding_mode, spatial_dims)
        super().__init__(forward_func, path, multiply_by_inputs=multiply_by_inputs)
