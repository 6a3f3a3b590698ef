"""Left Integrated Gradients."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.paths import Path, StraightPath, UnsaturatedPath


class LeftIG(PathAttribution):
    """Integrated Gradients on the part of the path before F saturates.

    The path of each example ends where F first reaches a share of its maximum on the path. The attributions sum to
    F(that end) - F(start), which is what the convergence delta compares them with.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        path: The points between baseline and input. Default: the straight line.
        fraction: The share of F's maximum, in (0, 1]. Default: 0.9.
        n_pilot: How many steps the search for the end takes; each is one forward pass. Default: 50.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines). Default: True.

    Raises:
        TypeError, ValueError: As :class:`~captum_ext.attr.PathAttribution` and
            :class:`~captum_ext.paths.UnsaturatedPath`.

    Reference:
        Miglani et al.: Investigating Saturation Effects in Integrated Gradients. ICML 2020 Workshop on Human
        Interpretability in Machine Learning. https://arxiv.org/abs/2010.12697

    Example:
        >>> from captum_ext.attr import LeftIG
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(1))
        >>> attributions, delta = LeftIG(model).attribute(
        ...     torch.tensor([[3.0, 1.0, 2.0, 0.0]]), target=0, return_convergence_delta=True
        ... )
        >>> attributions.shape
        torch.Size([1, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        fraction: float = 0.9,
        n_pilot: int = 50,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("path", path, "a path such as StraightPath()")
        super().__init__(forward_func, UnsaturatedPath(path, fraction, n_pilot), multiply_by_inputs=multiply_by_inputs)
