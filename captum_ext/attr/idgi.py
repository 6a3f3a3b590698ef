"""Important Direction Gradient Integration."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import ImportantDirection


class IDGI(PathAttribution):
    """Important Direction Gradient Integration (IDGI), on any path.

    Each step's change of F is distributed to the features in proportion to their squared gradients. The published
    method explains a softmax probability. ``method`` is ``riemann_left`` (default, the published rule),
    ``riemann_right``, ``riemann_trapezoid`` or ``riemann_middle``; Captum's default ``"gausslegendre"`` is refused.

    The attributions sum to F's change for any number of steps, so the convergence delta does not measure accuracy. See
    :class:`~captum_ext.quadratures.ImportantDirection`.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        path: The points between baseline and input. Default: the straight line.
        backward: The backward rule. Default: the ordinary gradient.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.PathAttribution`.

    Reference:
        Yang, Wang, Bilgic: IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients.
        CVPR 2023. https://arxiv.org/abs/2303.14242

    Example:
        >>> from captum_ext.attr import IDGI
        >>> from captum_ext.paths import BlurPath
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5), torch.nn.Softmax(1))
        >>> IDGI(model, path=BlurPath(max_sigma=4.0)).attribute(torch.rand(2, 3, 8, 8), target=[1, 4]).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        backward: BackwardRule | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("path", path, "a path such as StraightPath()")
        super().__init__(forward_func, path, ImportantDirection(), backward, multiply_by_inputs)
