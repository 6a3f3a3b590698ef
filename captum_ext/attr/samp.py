"""SAMP."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.paths import GreedyPath


class SAMP(PathAttribution):
    """SAMP: a path that moves the features of the largest contribution first.

    The step's features are those with the largest derivative times remaining way; its L1 length is 1/n_steps of the
    whole. It is :class:`~captum_ext.attr.GuidedIG` with the ranking reversed, and as sequential: one step of all
    examples per forward pass. ``method`` is ``riemann_left`` (default), ``riemann_right`` or ``riemann_trapezoid``.
    This is the path from the baseline to the input; SAMP++'s momentum is not included.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        fraction: The share of all features, in (0, 1], that moves at a time. Default: 0.01, ours.
        max_dist: How far a feature may stray from the straight line, in [0, 1]. Default: 1, no limit.
        multiply_by_inputs: Taken for Captum's keyword. Only True, the default, has a meaning here.

    See :class:`~captum_ext.paths.GreedyPath`.

    Raises:
        TypeError, ValueError: If a setting is out of range, or ``multiply_by_inputs=False``.

    Reference:
        Zhang et al.: Path Choice Matters for Clear Attribution in Path Methods. ICLR 2024.
        https://arxiv.org/abs/2401.10442

    Example:
        >>> from captum_ext.attr import SAMP
        >>> SAMP(lambda x: (x**2).sum(1)).attribute(torch.ones(1, 2), n_steps=200).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        fraction: float = 0.01,
        max_dist: float = 1.0,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("fraction", fraction, "a share of the features")
        super().__init__(forward_func, GreedyPath(fraction, max_dist), multiply_by_inputs=multiply_by_inputs)
