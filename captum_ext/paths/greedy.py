"""The path of SAMP, which moves the features of the largest contribution first."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from captum_ext.paths.guided import GuidedPath


@dataclass(frozen=True)
class GreedyPath(GuidedPath):
    """SAMP's path: at each step the features that raise F most move first.

    A feature's contribution is its derivative times its remaining way to the input. The features with the largest move
    until the L1 length of the step, 1/n of the whole, is used up. This is :class:`GuidedPath` with its ranking
    reversed: each example has its own path, and the inputs of a tuple are ranked together.

    Args:
        fraction: The share of all features, in (0, 1], that moves at a time. Default: 0.01, ours; the smaller, the
            greedier and slower. 1 is the straight line.
        max_dist: How far, in [0, 1], a feature may be ahead of or behind the straight line, as a share of its whole
            way. 0 is the straight line; 1 sets no limit. Default: 1, ours, since SAMP has no limit.

    Raises:
        TypeError, ValueError: If a setting is out of range.

    Reference:
        Zhang et al.: Path Choice Matters for Clear Attribution in Path Methods. ICLR 2024.
        https://arxiv.org/abs/2401.10442

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.paths import GreedyPath
        >>> method = PathAttribution(lambda x: torch.exp(x).prod(1), GreedyPath(fraction=0.5))
        >>> method.attribute(torch.tensor([[1.0, 2.0]])).shape
        torch.Size([1, 2])
    """

    fraction: float = 0.01
    max_dist: float = 1.0

    def rank(self, gradient: Tensor, positions: Tensor, move: Tensor) -> Tensor:
        """The largest contribution minus that of each feature; see :meth:`GuidedPath.rank`."""
        contribution = (1 - positions).mul_(move).mul_(gradient)
        if not contribution.shape[1]:
            return contribution
        return contribution.amax(1, keepdim=True) - contribution
