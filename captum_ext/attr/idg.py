"""Integrated Decision Gradients."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_ext.attr._parts import check_not_flag, check_parts
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import DecisionGradients


class IDG(PathAttribution):
    """Integrated Decision Gradients (IDG), on any path.

    Each point of the path counts in proportion to how fast F changes there. ``n_steps="auto"`` places the points where
    F changes, per example, which the paper does in two stages. ``method`` is one of the rules of
    :class:`~captum_ext.quadratures.WeightedSum`; the default is the path's own.

    Without ``normalize`` the attributions do not sum to F(input) - F(start), and there is no convergence delta. See
    :class:`~captum_ext.quadratures.DecisionGradients`, which describes what happens where F falls.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        path: The points between baseline and input. Default: the straight line.
        backward: Which vector-Jacobian product is the gradient. Default: the ordinary one.
        normalize: Whether to rescale each example's attributions to Integrated Gradients' sum, whose limit is
            F(input) - F(start). The convergence delta is then IG's on the same points. Default: False, as in the paper.
        multiply_by_inputs: Taken for Captum's keyword. Only True, the default, has a meaning here.

    Raises:
        TypeError, ValueError: As :class:`~captum_ext.attr.PathAttribution`.

    Reference:
        Walker et al.: Integrated Decision Gradients: Compute Your Attributions Where the Model Makes Its Decision.
        AAAI 2024. https://arxiv.org/abs/2305.20052

    Example:
        >>> from captum_ext.attr import IDG
        >>> from captum_ext.paths import BlurPath
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5), torch.nn.Softmax(1))
        >>> IDG(model, path=BlurPath(max_sigma=4.0)).attribute(torch.rand(2, 3, 8, 8), target=[1, 4]).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        backward: BackwardRule | None = None,
        *,
        normalize: bool = False,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("path", path, "a path such as StraightPath()")
        check_parts(forward_func, path, None, backward)
        quadrature = DecisionGradients(path.default_method, normalize=normalize)
        super().__init__(forward_func, path, quadrature, backward, multiply_by_inputs)
