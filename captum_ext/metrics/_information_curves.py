"""Information curves of images, and their aggregate over a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from captum_ext.metrics._protocols import PROTOCOLS

CurveStatistic = Literal["median", "mean"]


@dataclass(frozen=True)
class InformationCurves:
    """The information curves of B images. Rows of excluded images are NaN.

    Attributes:
        information: The horizontal axis, (P,): the information in the picture, from 0 for the uninformative picture to
            1 for the original.
        sic: The target's probability, scaled to 0 for the uninformative picture and 1 for the original, (B, P).
        aic: Whether the target is the most probable class, scaled likewise, (B, P).
        sic_area: The area under each SIC, (B,).
        aic_area: The area under each AIC, (B,).
        sic_exclusions: The reason for each image without a SIC, by its position in the batch.
        aic_exclusions: The reason for each image without an AIC.
        protocol: The protocol that was used.
    """

    information: Tensor
    sic: Tensor
    aic: Tensor
    sic_area: Tensor
    aic_area: Tensor
    sic_exclusions: dict[int, str]
    aic_exclusions: dict[int, str]
    protocol: str


@dataclass(frozen=True)
class AggregateCurves:
    """The information curves of a data set. NaN if no image has a curve.

    Attributes:
        information: The horizontal axis, (P,).
        sic: The SIC of the data set, (P,).
        aic: The AIC of the data set, (P,).
        sic_area: The area under the SIC.
        aic_area: The area under the AIC.
        n_sic: Number of images with a SIC.
        n_aic: Number of images with an AIC.
        n_sic_exclusions: Number of images without a SIC.
        n_aic_exclusions: Number of images without an AIC.
    """

    information: Tensor
    sic: Tensor
    aic: Tensor
    sic_area: float
    aic_area: float
    n_sic: int
    n_aic: int
    n_sic_exclusions: int
    n_aic_exclusions: int


def aggregate(
    curves: InformationCurves | Sequence[InformationCurves], statistic: CurveStatistic | None = None
) -> AggregateCurves:
    """Aggregate the curves of all images that have one.

    Args:
        curves: The result of :func:`information_curve`, or a list of its results for several batches.
        statistic: ``"median"`` or ``"mean"`` of the curves at each point. Default ``None``: that of the protocol, which
            is the median for ``"pair"``, the median of SIC and mean of AIC for ``"study"``, and the mean for
            ``"corrected"``.

    Returns:
        The curves of the data set, their areas, and the numbers of images with and without a curve.

    Raises:
        ValueError: If there are no curves, they come from several protocols, or ``statistic`` is unknown.

    Example:
        >>> from captum_ext.metrics import InformationCurves, aggregate
        >>> axis, rows = torch.tensor([0.0, 1.0]), torch.tensor([[0.0, 1.0], [1.0, 1.0]])
        >>> curves = InformationCurves(axis, rows, rows, rows.mean(1), rows.mean(1), {}, {}, "corrected")
        >>> aggregate(curves).sic_area
        0.75
    """
    parts = [curves] if isinstance(curves, InformationCurves) else list(curves)
    if not parts:
        raise ValueError("curves: expected those of at least one batch, got none.")
    kinds = {(part.protocol, len(part.information)) for part in parts}
    if len(kinds) > 1:
        raise ValueError(f"curves: expected one protocol, got {sorted({part.protocol for part in parts})}.")
    if statistic not in (None, *get_args(CurveStatistic)):
        raise ValueError(f"statistic: expected one of {get_args(CurveStatistic)} or None, got {statistic!r}.")
    axis = parts[0].information
    results = {}
    for name, default in zip(("sic", "aic"), PROTOCOLS[parts[0].protocol].aggregates, strict=True):
        rows = torch.cat([getattr(part, name) for part in parts])
        valid = rows[~rows.isnan().any(1)]
        # The median of an even number of values is between the middle two for NumPy and PAIR; torch takes the lower.
        reduce = np.median if (statistic or default) == "median" else np.mean
        curve = torch.from_numpy(reduce(valid.numpy(), axis=0)) if len(valid) else torch.full_like(axis, torch.nan)
        results[name] = (curve, float(torch.trapezoid(curve, axis)), len(valid), len(rows) - len(valid))
    pairs = zip(results["sic"], results["aic"], strict=True)
    return AggregateCurves(axis, *(part for pair in pairs for part in pair))  # type: ignore[arg-type]
