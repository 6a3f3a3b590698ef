"""IG2."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.paths import RepresentationPath


class IG2(PathAttribution):
    """IG2: a path from the input to where the model represents it as a reference, such as an input of another class.

    The ``baselines`` of ``attribute`` are the references and have no default. Attributions sum to F(input) - F(end
    found) in the limit, which the convergence delta compares. For the mean over several references write
    ``Expected(IG2(model, layer), references)``. A step takes two gradients: that of F and that of the distance. The
    published number of steps is 201. ``method`` is ``riemann_left`` (default), ``riemann_right`` or
    ``riemann_trapezoid``, with steps counted from the input.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        representation: The module whose output is compared, usually the one before the last; or a function that takes
            what ``forward_func`` takes and returns a tensor (rows, ...).
        step: The L2 length of a step, in the inputs' units. Default ``None``: the distance of input and reference
            divided by ``n_steps``. Ours.
        multiply_by_inputs: Taken for Captum's keyword. Only True, the default, has a meaning here.

    See :class:`~captum_ext.paths.RepresentationPath`.

    Raises:
        TypeError, ValueError: If a setting can't be used, or ``multiply_by_inputs=False``.

    Reference:
        Zhuo, Ge: IG2: Integrated Gradient on Iterative Gradient Path for Feature Attribution. IEEE TPAMI 2024.
        https://arxiv.org/abs/2406.10852

    Example:
        >>> from captum_ext.attr import IG2, Expected
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 3))
        >>> x, references = torch.rand(2, 4), torch.rand(5, 4)
        >>> Expected(IG2(model, model[1]), references).attribute(x, target=1, n_steps=20).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        representation: nn.Module | Callable[..., Tensor],
        step: float | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("representation", representation, "a module or a function")
        check_not_flag("step", step, "a length")
        super().__init__(forward_func, RepresentationPath(representation, step), multiply_by_inputs=multiply_by_inputs)
