"""The published protocols of the information curves, and how one picture's curve is made under each."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from captum_ext.metrics._codecs import Picture, gaussian_blurred, information
from captum_ext.metrics._reveal import Mask, interpolated, random_mask, top_pixels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Protocol:
    """What one evaluation does.

    Args:
        information: ``"webp"``, ``"png"`` or ``"ms-ssim"``.
        ranking: ``"signed"`` or ``"absolute"``.
        fractions: How much of the picture is revealed, step by step.
        exact: Whether exactly so many pixels are revealed where scores are equal.
        blur: The radius of the blur behind the revealed pixels; ``None`` interpolates between them.
        mask_fraction: How many random pixels the uninformative picture knows, if interpolated.
        rescaled: Whether MS-SSIM too is normalised between the uninformative and the original picture.
        confidence: What the score of the original must reach.
        exceed: Whether it must exceed that, for both curves by the softmax; else each curve goes by its own score.
        monotone: Whether a curve never falls: ``"information"`` along the axis, ``"steps"`` in the order of revealing.
        points: Points of the curve.
        aggregates: How the SIC and the AIC of a data set are made.
    """

    information: str
    ranking: str
    fractions: tuple[float, ...]
    exact: bool
    blur: float | None
    mask_fraction: float
    rescaled: bool
    confidence: float
    exceed: bool
    monotone: str | None
    points: int
    aggregates: tuple[str, str]


_PAIR = Protocol(
    information="webp",
    ranking="absolute",
    fractions=(0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75),
    exact=False,
    blur=None,
    mask_fraction=0.01,
    rescaled=True,
    confidence=0.8,
    exceed=False,
    monotone="steps",
    points=1001,
    aggregates=("median", "median"),
)
PROTOCOLS = {
    "corrected": replace(_PAIR, exact=True, confidence=0.0, monotone="information", aggregates=("mean", "mean")),
    "pair": _PAIR,
    "study": replace(
        _PAIR,
        information="png",
        ranking="signed",
        fractions=tuple(float(step) for step in np.linspace(0, 1, 25)[1:-1]),  # none and all are always there
        exact=True,
        blur=20.0,
        rescaled=False,
        exceed=True,
        monotone=None,
        points=101,
        aggregates=("median", "mean"),
    ),
}


class Pictures:
    """An image on its way from no information to all of it.

    Args:
        original: (H, W, C).
        scores: One a pixel, (H, W); NumPy float64.
        mask: The random pixels that the uninformative picture knows; ``None`` to choose them.
        seed: For that choice.
        protocol: How.
        pool: Where the information of revealed pictures is measured while the next ones are made.
    """

    def __init__(
        self, original: Picture, scores: Floats, mask: Mask | None, seed: int, protocol: Protocol, pool: Executor
    ) -> None:
        self.original = original
        self._scores = scores
        self._protocol = protocol
        if protocol.blur is None:
            self._mask = random_mask(original, protocol.mask_fraction, seed) if mask is None else mask
            self.uninformative = interpolated(original, self._mask)
        else:
            self.uninformative = gaussian_blurred(original, protocol.blur)
        self._low, self._high = self._measure(self.uninformative), self._measure(original)
        self._pool = pool
        self._measured: list[Future[float]] = []  # the information of all pictures, as made

    def _measure(self, picture: Picture) -> float:
        return information(self._protocol.information, picture, self.original)

    def revealed(self, step: int) -> Picture:
        """The picture of one step; to be made in order."""
        top = top_pixels(self._scores, self._protocol.fractions[step], self._protocol.exact)
        if self._protocol.blur is None:
            picture = interpolated(self.original, top | self._mask)
        else:
            picture = np.where(top[:, :, None], self.original, self.uninformative)
        self._measured.append(self._pool.submit(self._measure, picture))  # codecs leave the interpreter to others
        return picture

    def _normalised(self, measured: float) -> float:
        if self._protocol.information != "ms-ssim" or self._protocol.rescaled:
            measured = (measured - self._low) / (self._high - self._low)
        return min(max(measured, 0.0), 1.0)

    def reason_to_skip(self, low: float, high: float, confidence: float) -> str | None:
        """Why the protocol leaves the image out, if it does.

        Args:
            low: The score of the uninformative picture.
            high: The score of the original.
            confidence: What the protocol compares with its least.
        """
        least, exceed = self._protocol.confidence, self._protocol.exceed
        if confidence < least or (exceed and confidence <= least):
            return (
                f"confidence: the original's score {confidence:.4g} is not {'above' if exceed else 'at least'} {least}"
            )
        if self._low >= self._high:
            return (
                f"no information to add: the uninformative picture's {self._protocol.information} information "
                f"{self._low:.6g} is not below the original's {self._high:.6g}"
            )
        if low >= high:
            return (
                f"no score to add: the uninformative picture's score {low:.4g} is not below the original's {high:.4g}"
            )
        return None

    def curve(self, scores: Floats, grid: Floats) -> Floats:
        """The normalised score over the information.

        Args:
            scores: Of the uninformative picture, of each step in order, and of the original.
            grid: Where on the axis.
        """
        low, high = scores[0], scores[-1]
        x = np.array([self._normalised(measured.result()) for measured in self._measured], dtype=np.float64)
        y = np.clip((scores[1:-1] - low) / (high - low), 0.0, 1.0)
        if self._protocol.monotone == "steps":
            # PAIR's order: equals are taken in the order revealed, the two ends after them.
            x, y = np.append(x, (0.0, 1.0)), np.append(np.maximum.accumulate(y), (0.0, 1.0))
        else:
            start = [0.0]
            if not self._protocol.rescaled:
                # The uninformative picture itself, which is away from 0 where the axis is not rescaled.
                start.append(self._normalised(self._low))
            x = np.concatenate([start, x, [1.0]])
            y = np.concatenate([np.zeros(len(start)), y, [1.0]])
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
        if self._protocol.monotone == "information":
            y = np.maximum.accumulate(y)
        curve: Floats = np.interp(grid, x, y)
        curve[-1] = 1.0
        return curve
