"""The information curves of one image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from captum_ext._utils.arrays import BoolArray
from captum_ext.metrics._codecs import information_measure
from captum_ext.metrics._interpolation import TopPixels, interpolate, random_mask
from captum_ext.metrics._protocols import InformationProtocol
from captum_ext.vision.picture_files import gaussian_blur

_ROWS = 16
Float64Array = NDArray[np.float64]


class ImageCurve:
    """Makes the pictures of one image at each step, and its curves from their scores.

    Args:
        image: uint8 (C, H, W); similarities are computed on its device, and with a blur the pictures of all steps.
        scores: One attribution per pixel, (H, W).
        mask: The known pixels of the uninformative picture; ``None`` draws them at random.
        seed: For this draw.
        protocol: The settings of the curve.
        pool: Measures the information of pictures while the next ones are made.
    """

    def __init__(
        self,
        image: Tensor,
        scores: Float64Array,
        mask: BoolArray | None,
        seed: int,
        protocol: InformationProtocol,
        pool: Executor,
    ) -> None:
        device = image.device
        self.original = image.detach().permute(1, 2, 0).contiguous()
        self._picture = picture = self.original.cpu().numpy()
        self._top_pixels = TopPixels(scores, protocol.exact)
        self._protocol = protocol
        if protocol.blur is None:
            self._mask = random_mask(picture, protocol.mask_fraction, seed) if mask is None else mask
            self.uninformative = torch.from_numpy(interpolate(picture, self._mask)).to(device)
        else:
            self.uninformative = torch.from_numpy(gaussian_blur(picture, protocol.blur).copy()).to(device)
            self._ranks = torch.from_numpy(self._top_pixels.ranks()).to(device)
        self._measure = information_measure(protocol.information, self.original)
        # A CPU's caches hold one picture at a time, and each is encoded alone; a GPU is faster with many.
        self._rows = 1 if device.type == "cpu" or protocol.information != "ms-ssim" else _ROWS
        (self._low,), (self._high,) = self._measure([self.uninformative]), self._measure([self.original])
        self._pool = pool
        self._waiting: list[Tensor] = []
        self._information: list[Future[Sequence[float]]] = []  # of the pictures of all steps so far

    def picture(self, step: int) -> Tensor:
        """The picture (H, W, C) of a step; call it for each step in order."""
        fraction = self._protocol.fractions[step]
        if self._protocol.blur is None:
            picture = torch.from_numpy(interpolate(self._picture, self._top_pixels(fraction) | self._mask))
        else:
            top = self._ranks < round(fraction * self._ranks.numel())
            picture = torch.where(top.unsqueeze(2), self.original, self.uninformative)
        self._waiting.append(picture)
        if len(self._waiting) == self._rows:
            self._submit()
        return picture

    def _submit(self) -> None:
        if self._waiting:
            self._information.append(self._pool.submit(self._measure, self._waiting))  # releases the interpreter lock
            self._waiting = []

    def _normalize(self, value: float) -> float:
        if self._protocol.information != "ms-ssim" or self._protocol.rescale_ms_ssim:
            value = (value - self._low) / (self._high - self._low)
        return min(max(value, 0.0), 1.0)

    def exclusion(self, low: float, high: float, confidence: float) -> str | None:
        """The reason why the protocol excludes the image; ``None`` if it does not.

        Args:
            low: The score of the uninformative picture.
            high: The score of the original.
            confidence: The score that must reach the protocol's minimum.
        """
        minimum, strict = self._protocol.confidence, self._protocol.strict_confidence
        if confidence < minimum or (strict and confidence <= minimum):
            bound = f"{'above' if strict else 'at least'} {minimum}"
            return f"confidence: the original's score {confidence:.4g} is not {bound}"
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

    def curve(self, scores: Float64Array, grid: Float64Array) -> Float64Array:
        """The normalized score as a function of the information.

        Args:
            scores: Of the uninformative picture, of each step in order, and of the original.
            grid: The points on the horizontal axis.
        """
        self._submit()
        low, high = scores[0], scores[-1]
        information = [value for part in self._information for value in part.result()]
        x = np.array([self._normalize(value) for value in information], dtype=np.float64)
        y = np.clip((scores[1:-1] - low) / (high - low), 0.0, 1.0)
        if self._protocol.monotone == "steps":
            # PAIR's order: ties in the order of the steps, then the two ends.
            x, y = np.append(x, (0.0, 1.0)), np.append(np.maximum.accumulate(y), (0.0, 1.0))
        else:
            start = [0.0]
            if not self._protocol.rescale_ms_ssim:
                # The uninformative picture itself, which is not at 0 if the axis is not scaled.
                start.append(self._normalize(self._low))
            x = np.concatenate([start, x, [1.0]])
            y = np.concatenate([np.zeros(len(start)), y, [1.0]])
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
        if self._protocol.monotone == "information":
            y = np.maximum.accumulate(y)
        curve: Float64Array = np.interp(grid, x, y)
        curve[-1] = 1.0
        return curve
