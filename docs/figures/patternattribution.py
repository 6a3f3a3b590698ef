"""The gradient, the gradient times the input, and by patterns, on digits."""

from _shared import digit_rows, digits
from captum.attr import InputXGradient
from matplotlib.figure import Figure

from captum_ext.attr import PatternAttribution, PatternNet


def draw() -> Figure:
    """A row a method; each explains the logit of the true class."""
    model, patterns, x, target = digits()
    return digit_rows(
        {
            "digit": x,
            "gradient\nx input": InputXGradient(model).attribute(x.clone().requires_grad_(), target).detach(),
            "PatternNet": PatternNet(model, patterns).attribute(x, target),
            "Pattern-\nAttribution": PatternAttribution(model, patterns).attribute(x, target),
        }
    )
