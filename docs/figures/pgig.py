"""IG, PatternAttribution and PGIG on digits."""

from _shared import digit_rows, digits
from matplotlib.figure import Figure

from captum_ext.attr import PGIG, IntegratedGradients, PatternAttribution


def draw() -> Figure:
    """A row a method; each explains the logit of the true class."""
    model, patterns, x, target = digits()
    return digit_rows(
        {
            "digit": x,
            "IG": IntegratedGradients(model).attribute(x, target=target),
            "Pattern-\nAttribution": PatternAttribution(model, patterns).attribute(x, target),
            "PGIG": PGIG(model, patterns).attribute(x, target=target),
        }
    )
