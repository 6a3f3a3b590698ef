"""Integrated Gradients."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_ext.attr.path_attribution import PathAttribution


class IntegratedGradients(PathAttribution):
    """Integrated Gradients with a hard limit on rows per pass and memory that does not grow with ``n_steps``.

    The attributions equal those of :class:`captum.attr.IntegratedGradients`, apart from the rounding of Captum's
    weights to float32 and ``riemann_trapezoid``; see :class:`~captum_ext.quadratures.WeightedSum`.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines). Default: True.

    Raises:
        TypeError: If ``forward_func`` is not callable.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import IntegratedGradients
        >>> IntegratedGradients(lambda x: (x**2).sum(1)).attribute(torch.tensor([[3.0, 4.0]]))
        tensor([[ 9., 16.]])
    """

    def __init__(self, forward_func: Callable[..., Tensor], multiply_by_inputs: bool = True) -> None:
        """See the class."""
        super().__init__(forward_func, multiply_by_inputs=multiply_by_inputs)
