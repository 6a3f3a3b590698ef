"""Guided Integrated Gradients."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.paths import GuidedPath


class GuidedIG(PathAttribution):
    """Guided Integrated Gradients: a path that moves the features with small gradients first.

    Each example of a batch follows its own path; each forward pass takes one step of all examples. ``method`` is
    ``riemann_left`` (default, the published rule), ``riemann_right`` or ``riemann_trapezoid``.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        fraction: The share of all features, in (0, 1], that moves at once. Default: 0.25.
        max_dist: The largest deviation of a feature from the straight line, in [0, 1]. Default: 0.02.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    See :class:`~captum_ext.paths.GuidedPath` for details and for the effect of rounding on this path.

    Raises:
        TypeError, ValueError: If a setting is out of range, or ``multiply_by_inputs=False``.

    Reference:
        Kapishnikov et al.: Guided Integrated Gradients: An Adaptive Path Method for Removing Noise. CVPR 2021.
        https://arxiv.org/abs/2106.09788

    Example:
        >>> from captum_ext.attr import GuidedIG
        >>> GuidedIG(lambda x: (x**2).sum(1), max_dist=1.0).attribute(torch.ones(1, 2), n_steps=200).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        fraction: float = 0.25,
        max_dist: float = 0.02,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("fraction", fraction, "a share of the features")
        super().__init__(forward_func, GuidedPath(fraction, max_dist), multiply_by_inputs=multiply_by_inputs)
