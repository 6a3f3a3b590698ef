"""Pattern-Guided Integrated Gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from captum_ext._engine.gradients import compute_gradients, compute_gradients_from_output
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.patterns import PatternRule, Patterns

_STARTS = {"one": compute_gradients, "output": compute_gradients_from_output}


class PGIG(PathAttribution):
    """Pattern-Guided Integrated Gradients: Integrated Gradients with the backward pass of PatternAttribution.

    There is no convergence delta, because gradients with patterns are not those of F, so that the attributions need not
    sum to F(input) - F(baseline) for any number of steps.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        patterns: The patterns of the layers.
        model: The module whose layers the patterns name. Default: ``forward_func``.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines). Default: True.
        start: The value that each backward pass starts from: ``"one"`` (default; the paper's Eq. 4) or ``"output"``,
            the output at that point, which the paper's code for VGG-16 inserts at the softmax.

    Raises:
        TypeError, ValueError: If the patterns do not fit the model, or ``start`` has another value.

    Reference:
        Schwarzenberg, Castle: Pattern-Guided Integrated Gradients. ICML 2020 Workshop on Human Interpretability.
        https://arxiv.org/abs/2007.10685

    Example:
        >>> from captum_ext.attr import PGIG
        >>> from captum_ext.patterns import fit_patterns
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> patterns = fit_patterns(model, [torch.randn(64, 4)])
        >>> PGIG(lambda x: model(x).softmax(1), patterns, model=model).attribute(torch.randn(3, 4), target=1).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        patterns: Patterns,
        model: nn.Module | None = None,
        multiply_by_inputs: bool = True,
        *,
        start: Literal["one", "output"] = "one",
    ) -> None:
        """See the class."""
        if start not in _STARTS:
            raise ValueError(f"start: expected one of {tuple(_STARTS)}, got {start!r}.")
        rule = PatternRule(patterns, "attribution", model)
        super().__init__(forward_func, backward=rule, multiply_by_inputs=multiply_by_inputs)
        self.gradient_func = _STARTS[start]
