"""MFABA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.paths import AdversarialPath
from captum_ext.paths.adversarial import ClipBound


class MFABA(PathAttribution):
    """MFABA: a path down the gradient from the input until the model decides for another class.

    One gradient per step serves the search and the sum; a forward pass per step tells whether the class has changed.
    ``attribute`` takes ``n_steps``, the most steps (the published number is 50), and ``baselines=None`` only.
    Attributions sum to F(input) - F(end found) in the limit, which the convergence delta compares. ``method`` is
    ``riemann_left`` (default, the published rule), ``riemann_right`` or ``riemann_trapezoid``, with steps counted from
    the input.

    F is one of several outputs per example, shape (B, classes), the largest of which is the class. If the target is
    not the class at the input, the path still leads down the target's output until the class changes.

    Args:
        forward_func: The model, or any function that takes the inputs and returns the scores of at least two classes.
        step: The length of a step, in the inputs' units. Default: 0.1, the published one.
        variant: ``"norm"`` (default) divides the gradient by its L2 norm over all features of an example; ``"sign"``
            moves each feature by ``step`` along the gradient's sign.
        clip: The range of valid inputs, such as (0, 1), with a bound per channel if these are sequences. Default
            ``None``: no clipping. Inputs outside the range raise an error.
        epsilon: The farthest that a feature may move from the input, in the inputs' units. Default ``None``: no limit;
            ours.
        multiply_by_inputs: Taken for Captum's keyword. Only True, the default, has a meaning here.

    See :class:`~captum_ext.paths.AdversarialPath`.

    Raises:
        TypeError, ValueError: If a setting is out of range, or ``multiply_by_inputs=False``.

    Reference:
        Zhu et al.: MFABA: A More Faithful and Accelerated Boundary-based Attribution Method for Deep Neural Networks.
        AAAI 2024. https://arxiv.org/abs/2312.13630

    Example:
        >>> from captum_ext.attr import MFABA
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 3))
        >>> x = torch.rand(2, 4)
        >>> MFABA(model, clip=(0, 1)).attribute(x, target=model(x).argmax(1), n_steps=50).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        step: float = 0.1,
        variant: Literal["norm", "sign"] = "norm",
        clip: tuple[ClipBound, ClipBound] | None = None,
        epsilon: float | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("step", step, "a length")
        if variant not in ("norm", "sign"):
            raise ValueError(f"variant: expected 'norm' or 'sign', got {variant!r}.")
        path = AdversarialPath(None, step, "l2" if variant == "norm" else "sign", clip, epsilon)
        super().__init__(forward_func, path, multiply_by_inputs=multiply_by_inputs)
