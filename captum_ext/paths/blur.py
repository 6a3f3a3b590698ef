"""The path of Blur Integrated Gradients: from a blurred image to the sharp one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from captum_ext._utils.gaussian import MatrixCache, PaddingMode, blur, sigmas_per_product
from captum_ext._utils.numbers import check_number
from captum_ext._utils.tensors import Tensors
from captum_ext.paths.base import Path

Schedule = Literal["linear", "square", "sqrt"]
_POWERS = {"linear": 1.0, "square": 2.0, "sqrt": 0.5}

_MAX_SIGMA = 1e5  # pixels; the kernel of a larger one would not fit in memory


@dataclass(frozen=True)
class BlurPath(Path):
    """The Gaussian scale space of the input, from ``max_sigma`` (the baseline) down to the input itself.

    Args:
        max_sigma: The standard deviation of the strongest blur, in pixels (samples, voxels). Default: 50, the
            paper's for photographs of about 224 x 224.
        schedule: How sigma decreases from the baseline (alpha = 0) to the input (alpha = 1): ``"linear"``,
            max_sigma (1 - alpha) (default, the paper's); ``"square"``, max_sigma (1 - alpha)^2, with more points
            where the image is nearly sharp and F changes; or ``"sqrt"``, max_sigma sqrt(1 - alpha), with fewer
            points there. (PAIR's ``sqrt=True`` starts at sqrt(max_sigma).) All schedules have the same integral.
        padding_mode: The values beyond the border: ``"constant"``, zeros (default, PAIR's); ``"reflect"``,
            the mirror image (d c b a | a b c d); or ``"replicate"``, the last value. The padding can be wider
            than the image.
        spatial_dims: The dimensions to blur, such as ``(2, 3)`` or ``(-2, -1)``; 0 is the batch. Default: all
            dimensions after (batch, channel), of which there must be 1, 2 or 3.

    Note:
        On this path, the default rule of :class:`~captum_ext.quadratures.WeightedSum` is ``gausslegendre``,
        which has the smallest completeness error with the paper's schedule. The table has the median of the
        absolute convergence delta over 24 photographs at 50 steps. F is EfficientNet-Lite0's softmax
        probability of the predicted class (median 0.75), and max_sigma is 50:

        ============= ============= ====== ========= ===== =====
        schedule      gausslegendre middle trapezoid right left
        ============= ============= ====== ========= ===== =====
        ``"linear"``  0.097         0.157  0.212     0.264 0.283
        ``"square"``  0.039         0.036  0.056     0.120 0.085
        ``"sqrt"``    0.262         0.579  0.752     0.691 0.658
        ============= ============= ====== ========= ===== =====

        F changes most at the smallest values of sigma, where 50 steps of the paper's schedule are coarse.
        (``python -m benchmarks.blur_rules FOLDER`` measures this for a folder of photographs.)

    Raises:
        ValueError, TypeError: If a setting is invalid, or the inputs do not have these dimensions.

    Reference:
        Xu, Venugopalan, Sundararajan: Attribution in Scale and Space. CVPR 2020.
        https://arxiv.org/abs/2004.03383

    Example:
        >>> from captum_ext.attr import IDGI
        >>> from captum_ext.paths import BlurPath
        >>> image = torch.rand(1, 3, 32, 32)
        >>> method = IDGI(lambda x: x.amax((1, 2, 3)), path=BlurPath(max_sigma=8.0))
        >>> method.attribute(image).shape
        torch.Size([1, 3, 32, 32])
    """

    max_sigma: float = 50.0
    schedule: Schedule = "linear"
    padding_mode: PaddingMode = "constant"
    spatial_dims: Sequence[int] | None = None

    takes_baselines: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the settings."""
        check_number("max_sigma", self.max_sigma, "a number of pixels")
        if not 0 < self.max_sigma <= _MAX_SIGMA:
            raise ValueError(f"max_sigma: expected a number of pixels in (0, {_MAX_SIGMA:.0f}], got {self.max_sigma}.")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule: expected one of {get_args(Schedule)}, got {self.schedule!r}.")
        if self.padding_mode not in get_args(PaddingMode):
            raise ValueError(f"padding_mode: expected one of {get_args(PaddingMode)}, got {self.padding_mode!r}.")
        if self.spatial_dims is not None:
            dims = self.spatial_dims
            if not isinstance(dims, Sequence) or isinstance(dims, str) or not all(type(dim) is int for dim in dims):
                raise TypeError(f"spatial_dims: expected dimensions such as (2, 3) or (-2, -1), got {dims!r}.")
            object.__setattr__(self, "spatial_dims", tuple(dims))

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """The fully blurred inputs.

        Raises:
            ValueError: If there are baselines, because this path computes its own start.
        """
        if baselines is not None:
            raise ValueError(
                "baselines: BlurPath starts from the blurred input. Pass baselines=None. "
                "To start from another image, use StraightPath or GuidedPath."
            )
        return self.point(inputs, (), 0.0)

    def sigma(self, alpha: float) -> float:
        """The standard deviation of the blur at a position of the path, in pixels."""
        return float(self.max_sigma * max(1 - alpha, 0.0) ** _POWERS[self.schedule])

    def point(self, inputs: Tensors, start: Tensors, alpha: float) -> Tensors:
        """The inputs with the blur of this position; the start is not used."""
        return tuple(part[0] for part in self.points(inputs, start, (alpha,)))

    def points(self, inputs: Tensors, start: Tensors, alphas: Sequence[float]) -> Tensors:
        """The inputs with the blur of each position."""
        sigmas = [self.sigma(alpha) for alpha in alphas]
        at_once = min(
            sigmas_per_product([tensor.shape[dim] for dim in self._dims(tensor)], tensor.device) for tensor in inputs
        )
        chunks = [self._blurred(inputs, sigmas[first : first + at_once]) for first in range(0, len(sigmas), at_once)]
        return chunks[0] if len(chunks) == 1 else tuple(torch.cat(parts) for parts in zip(*chunks, strict=True))

    def _blurred(self, inputs: Tensors, sigmas: Sequence[float]) -> Tensors:
        matrices: MatrixCache = {}
        blurred = []
        for tensor in inputs:
            points = tensor.unsqueeze(0)
            for dim in self._dims(tensor):
                points = blur(points, dim + 1, sigmas, self.padding_mode, matrices)
            blurred.append(points)
        return tuple(blurred)

    def _dims(self, tensor: Tensor) -> list[int]:
        rank = tensor.dim()
        if self.spatial_dims is None:
            if not 3 <= rank <= 5:
                raise ValueError(
                    f"BlurPath: expected inputs with 1 to 3 dimensions after (batch, channel), got shape "
                    f"{tuple(tensor.shape)}. Pass spatial_dims to choose the dimensions to blur, and pass inputs "
                    "that can't be blurred as additional_forward_args."
                )
            return list(range(2, rank))
        dims = [dim + rank if dim < 0 else dim for dim in self.spatial_dims]
        if not dims or len(set(dims)) < len(dims) or not all(1 <= dim < rank for dim in dims):
            raise ValueError(
                f"spatial_dims: expected distinct dimensions from 1 to {rank - 1} for an input of shape "
                f"{tuple(tensor.shape)}, got {self.spatial_dims}."
            )
        return dims
