"""Names, order, colors and markers of the methods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Label, color, marker, in the papers' order. Not everyone can tell 14 colors apart; with the markers they can.
_KNOWN = {
    "ig": ("IG", "#0072B2", "o"),
    "guided-ig": ("Guided IG", "#D55E00", "s"),
    "blur-ig": ("Blur IG", "#009E73", "^"),
    "pgig": ("PGIG", "#AA3377", "D"),
    "patternattribution": ("PatternAttribution", "#E69F00", "v"),
    "patternnet": ("PatternNet", "#CC79A7", "<"),
    "guided-backprop": ("Guided Backprop", "#882255", ">"),
    "expected-gradients": ("Expected Gradients", "#332288", "P"),
    "smoothgrad-ig": ("SmoothGrad-IG", "#56B4E9", "X"),
    "smoothgrad-squared": ("SmoothGrad²", "#999933", "p"),
    "vargrad": ("VarGrad", "#44AA99", "h"),
    "gradient-x-input": ("Gradient x input", "#B8860B", "*"),
    "gradient": ("Gradient", "#000000", "d"),
    "random": ("Random", "#888888", "."),
    "chance": ("Chance", "#BBBBBB", "|"),
}
_SPARE = (("#6A3D9A", "8"), ("#8C564B", "H"), ("#117733", "1"), ("#CC6677", "2"), ("#4D4D4D", "3"))


@dataclass(frozen=True)
class MethodStyle:
    """A method's label, color, and marker.

    Attributes:
        label: Such as ``"Blur IG + IDGI"``.
        color: IDGI has the color of the method it is applied to.
        marker: Likewise.
        is_idgi: IDGI is dashed and its markers are hollow.
    """

    label: str
    color: str
    marker: str
    is_idgi: bool

    @property
    def line(self) -> dict[str, Any]:
        """Keyword arguments of a matplotlib line."""
        return {
            "color": self.color,
            "marker": self.marker,
            "markersize": 5,
            "markerfacecolor": "white" if self.is_idgi else self.color,
            "linestyle": "--" if self.is_idgi else "-",
            "linewidth": 1.6,
        }


def base_method(method: str) -> str | None:
    """The method that IDGI is applied to; ``None`` if the method is not IDGI."""
    if method == "idgi":
        return "ig"
    return method.removesuffix("+idgi") if method.endswith("+idgi") else None


def sorted_methods(methods: Iterable[str]) -> list[str]:
    """The methods in the papers' order, each before its IDGI; unknown ones last, in the order given."""
    unsorted = list(dict.fromkeys(methods))
    bases = list(dict.fromkeys([*_KNOWN, *(base_method(method) or method for method in unsorted)]))
    return sorted(
        unsorted, key=lambda method: (bases.index(base_method(method) or method), base_method(method) is not None)
    )


def method_styles(methods: Iterable[str]) -> dict[str, MethodStyle]:
    """One style per method, for all figures that show these methods.

    Args:
        methods: Names, as the evaluation has them.

    Returns:
        The styles of the methods, in the papers' order.

    Example:
        >>> from captum_ext.visualization import method_styles
        >>> [style.label for style in method_styles(["blur-ig+idgi", "ig"]).values()]
        ['IG', 'Blur IG + IDGI']
    """
    styles, spare = {}, dict[str, tuple[str, str]]()
    for method in sorted_methods(methods):
        base = base_method(method) or method
        if base in _KNOWN:
            label, color, marker = _KNOWN[base]
        else:
            color, marker = spare.setdefault(base, _SPARE[len(spare) % len(_SPARE)])
            label = base
        is_idgi = base_method(method) is not None
        styles[method] = MethodStyle(f"{label} + IDGI" if is_idgi else label, color, marker, is_idgi)
    return styles
