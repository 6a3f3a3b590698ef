"""What a walk asks of a path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from captum_ext.quadratures.grid import Grid
from captum_ext.quadratures.segment import Tensors


class Trace(ABC):
    """A path laid out between the starts and the inputs of B examples, on one grid."""

    @abstractmethod
    def points(self, nodes: slice) -> Tensors:
        """The points at some nodes.

        Args:
            nodes: Which K consecutive nodes of the grid.

        Returns:
            The points, one tensor (K, B, ...) an input.
        """

    @abstractmethod
    def increments(self, nodes: slice, before: float, after: float) -> Tensors:
        """The path's move on the cells of some nodes.

        Args:
            nodes: Which K consecutive nodes of the grid.
            before: The factor of the way from the start of each cell to its point.
            after: The factor of the way from the point to the end of the cell.

        Returns:
            The moves, one tensor (K, B, ...) an input.
        """

    def follow(self, gradients: Tensors) -> None:
        """Learn the gradients at the last points; for paths that can't look ahead.

        Args:
            gradients: One tensor (1, B, ...) an input. They may be overwritten after this call: copy what you keep.
        """
        del gradients


@dataclass(frozen=True)
class Path(ABC):
    """Which points lie between a baseline and an input. Holds settings only, no tensors."""

    look_ahead: ClassVar[bool] = True
    """Whether all points are known before any gradient is, so that points can share a batch."""

    takes_baselines: ClassVar[bool] = True
    """Whether it starts from a baseline that the caller may choose, or makes its own start from the input."""

    default_method: ClassVar[str]
    """The rule by which gradients along this path are best summed."""

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """Where the path starts: the baselines, or zeros.

        Args:
            inputs: The path's ends, each (B, ...).
            baselines: As the user gave them, brought to the shape of ``inputs``; ``None`` for the default.

        Returns:
            The path's first points, shaped as ``inputs``.
        """
        return baselines if baselines is not None else tuple(torch.zeros_like(tensor) for tensor in inputs)

    def fit(self, grid: Grid) -> Grid:
        """The grid as this path can walk it.

        Args:
            grid: The nodes that the quadratures ask for.

        Returns:
            The grid to walk, which may have more nodes.

        Raises:
            ValueError: If this path has no points there.
        """
        return grid

    def local(self) -> Path:
        """The same points with the increments of the path's parameter in place of the path's own.

        Raises:
            ValueError: If the features of this path do not move in step.
        """
        raise ValueError(
            f"multiply_by_inputs=False leaves out the factor (inputs - baselines), which only StraightPath "
            f"has; {type(self).__name__} moves every feature at its own pace. Use multiply_by_inputs=True."
        )

    @abstractmethod
    def trace(self, inputs: Tensors, start: Tensors, grid: Grid) -> Trace:
        """Lay the path out.

        Args:
            inputs: The path's ends, one tensor (B, ...) an input.
            start: Where it starts, in the same shapes.
            grid: What :meth:`fit` returned: ``nodes``, and ``lower`` and ``upper``, the edges of their cells.

        Returns:
            The path of these examples on this grid.
        """


def along(positions: tuple[float, ...], like: Tensor) -> Tensor:
    """Positions as a (K, 1, ...) tensor that multiplies ``like``, (B, ...), node by node."""
    # Made in float64 on the CPU: some devices have no float64. Not to wait for the device is safe in this direction.
    column = torch.tensor(positions, dtype=torch.float64, device="cpu").to(like.dtype)
    column = column.to(like.device, non_blocking=True)
    return column.reshape(-1, *(1,) * like.dim())
