"""What the information curves of some images are, and those of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from captum_ext.metrics._protocols import PROTOCOLS

How = Literal["median", "mean"]


@dataclass(frozen=True)
class InformationCurves:
    """The information curves of B images. Rows of images that were left out are NaN.

    Attributes:
        information: The axis: the information in the picture from 0, the uninformative picture's, to 1, the original's;
            (P,).
        sic: The target's probability, normalised between those two pictures', (B, P).
        aic: Whether the target is the most probable class, likewise, (B, P).
        sic_area: The area under each SIC, (B,).
        aic_area: The area under each AIC, (B,).
        sic_skipped: The images without a SIC: position in the batch, and why.
        aic_skipped: The images without an AIC.
        protocol: What made them.
    """

    information: Tensor
    sic: Tensor
    aic: Tensor
    sic_area: Tensor
    aic_area: Tensor
    sic_skipped: dict[int, str]
    aic_skipped: dict[int, str]
    protocol: str


@dataclass(frozen=True)
class AggregateCurves:
    """The information curves of a data set. NaN if no image was kept.

    Attributes:
        information: The axis, (P,).
        sic: The curve over all kept images, (P,).
        aic: Likewise.
        sic_area: The area under that curve.
        aic_area: Likewise.
        sic_kept: How many images have a SIC.
        aic_kept: How many have an AIC.
        sic_left_out: How many have none.
        aic_left_out: Likewise.
    """

    information: Tensor
    sic: Tensor
    aic: Tensor
    sic_area: float
    aic_area: float
    sic_kept: int
    aic_kept: int
    sic_left_out: int
    aic_left_out: int


def aggregate(curves: InformationCurves | Sequence[InformationCurves], how: How | None = None) -> AggregateCurves:
    """The curves of a data set, over the images that were not left out.

    Args:
        curves: What :func:`information_curve` returned, or a list of what it returned for each batch.
        how: ``"median"`` or ``"mean"`` of the curves, point by point. Default ``None``: the protocol's, which are the
            median for ``"pair"``, the median of SIC and mean of AIC for ``"study"``, the mean for ``"corrected"``.

    Returns:
        The curves, their areas, and how many images were kept and left out.

    Raises:
        ValueError: If there are no curves, they come from several protocols, or ``how`` is unknown.

    Example:
        >>> from captum_ext.metrics.information import InformationCurves, aggregate
        >>> axis, rows = torch.tensor([0.0, 1.0]), torch.tensor([[0.0, 1.0], [1.0, 1.0]])
        >>> each = InformationCurves(axis, rows, rows, rows.mean(1), rows.mean(1), {}, {}, "corrected")
        >>> aggregate(each).sic_area
        0.75
    """
    parts = [curves] if isinstance(curves, InformationCurves) else list(curves)
    if not parts:
        raise ValueError("curves: expected those of at least one batch, got none.")
    kinds = {(part.protocol, len(part.information)) for part in parts}
    if len(kinds) > 1:
        raise ValueError(f"curves: expected one protocol, got {sorted({part.protocol for part in parts})}.")
    if how not in (None, *get_args(How)):
        raise ValueError(f"how: expected one of {get_args(How)} or None, got {how!r}.")
    axis = parts[0].information
    lines = {}
    for name, usual in zip(("sic", "aic"), PROTOCOLS[parts[0].protocol].aggregates, strict=True):
        rows = torch.cat([getattr(part, name) for part in parts])
        some = rows[~rows.isnan().any(1)]
        # NumPy's median of an even number is between the two in the middle, as in PAIR; torch's is the lower.
        over = np.median if (how or usual) == "median" else np.mean
        line = torch.from_numpy(over(some.numpy(), axis=0)) if len(some) else torch.full_like(axis, torch.nan)
        lines[name] = (line, float(torch.trapezoid(line, axis)), len(some), len(rows) - len(some))
    pairs = zip(lines["sic"], lines["aic"], strict=True)
    return AggregateCurves(axis, *(part for pair in pairs for part in pair))  # type: ignore[arg-type]
