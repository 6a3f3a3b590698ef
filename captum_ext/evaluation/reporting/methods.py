"""Methods as a report calls, orders and draws them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Name, colour, marker: the papers' order. No 14 colours are all told apart by everyone; with the marker they are.
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
}
_SPARE = (("#6A3D9A", "8"), ("#8C564B", "H"), ("#117733", "1"), ("#CC6677", "2"), ("#4D4D4D", "3"))


@dataclass(frozen=True)
class Look:
    """How a method is drawn and called.

    Attributes:
        label: Such as ``"Blur IG + IDGI"``.
        colour: Of the base; IDGI on it has the same.
        marker: Likewise.
        dashed: Whether it is IDGI.
    """

    label: str
    colour: str
    marker: str
    dashed: bool


def base(method: str) -> str | None:
    """The method that IDGI was applied to; ``None`` for all others."""
    if method == "idgi":
        return "ig"
    return method.removesuffix("+idgi") if method.endswith("+idgi") else None


def ordered(methods: Iterable[str]) -> list[str]:
    """In the papers' order, each base before its IDGI; unknown ones last, in the order given."""
    given = list(dict.fromkeys(methods))
    known = list(_KNOWN)

    def key(method: str) -> tuple[int, int, bool]:
        root = base(method) or method
        unknown = [name for name in dict.fromkeys(base(name) or name for name in given) if name not in _KNOWN]
        place = (known.index(root), 0) if root in _KNOWN else (len(known), unknown.index(root))
        return (*place, base(method) is not None)

    return sorted(given, key=key)


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """One look a method, for all figures of a report."""
    found, spare = {}, dict[str, tuple[str, str]]()
    for method in ordered(methods):
        root = base(method) or method
        if root in _KNOWN:
            label, colour, marker = _KNOWN[root]
        else:
            colour, marker = spare.setdefault(root, _SPARE[len(spare) % len(_SPARE)])
            label = root
        is_idgi = base(method) is not None
        found[method] = Look(f"{label} + IDGI" if is_idgi else label, colour, marker, is_idgi)
    return found
