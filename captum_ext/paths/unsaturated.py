"""The part of another path on which F is not saturated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from captum_ext._utils.numbers import check_number, check_positive
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.warnings import warn
from captum_ext.paths.base import Path, Trajectory
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.paths.straight import StraightPath
from captum_ext.quadratures.grid import Grid


@dataclass(frozen=True)
class UnsaturatedPath(Path):
    """Another path up to the first position at which F reaches a share of its maximum there: Left IG's path.

    The position is found per example from F at ``n_pilot + 1`` even positions, with forward passes only, and
    interpolated linearly between two of them. All nodes of the quadrature are then on the part before it.

    Args:
        path: The path to shorten, known in advance. Default: the straight line.
        fraction: The share of F's maximum on the path, in (0, 1]. Default: 0.9.
        n_pilot: How many steps the search takes. Default: 50.

    Note:
        The attributions sum to F(end found) - F(start), and the convergence delta is taken between these.

        A share of the maximum presumes an F that is positive, such as a probability. An example whose F is not positive
        anywhere keeps its whole path, and one that starts at the share already has no path left; both are a
        ``RuntimeWarning``.

    Raises:
        TypeError: If ``path`` is not a path, or a number has another type.
        ValueError: If ``path`` finds its points from gradients, ``fraction`` is not in (0, 1], or ``n_pilot`` is not
            positive.

    Reference:
        Miglani et al.: Investigating Saturation Effects in Integrated Gradients. ICML 2020 Workshop on Human
        Interpretability in Machine Learning. https://arxiv.org/abs/2010.12697

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.paths import UnsaturatedPath
        >>> method = PathAttribution(lambda x: x.clamp(max=1).sum(1), UnsaturatedPath(n_pilot=100))
        >>> method.attribute(torch.tensor([[4.0]]))  # up to F = 0.9
        tensor([[0.9000]])
    """

    path: Path = StraightPath()  # noqa: RUF009 -- immutable
    fraction: float = 0.9
    n_pilot: int = 50

    ends_at_inputs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the parts."""
        if not isinstance(self.path, Path):
            raise TypeError(f"path: expected a path such as StraightPath(), got {self.path!r:.80}.")
        if not self.path.look_ahead:
            raise ValueError(
                f"path: expected one that is known in advance; {type(self.path).__name__} finds each point from the "
                "gradient at the last. Use StraightPath or BlurPath."
            )
        check_number("fraction", self.fraction, "a share such as 0.9")
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction: expected a share in (0, 1], got {self.fraction}.")
        check_positive("n_pilot", self.n_pilot)

    @property
    def takes_baselines(self) -> bool:  # type: ignore[override]
        """That of the whole path."""
        return self.path.takes_baselines

    @property
    def default_method(self) -> str:  # type: ignore[override]
        """That of the whole path."""
        return self.path.default_method

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """The start of the whole path."""
        return self.path.start(inputs, baselines)

    def adapt_grid(self, grid: Grid) -> Grid:
        """The grid as the whole path can walk it."""
        return self.path.adapt_grid(grid)

    def without_input_factor(self) -> Path:
        """The same part of the path without the factor."""
        return replace(self, path=self.path.without_input_factor())

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """Find where each example's path ends, and lay it out up to there."""
        whole = self.path.trajectory(inputs, start, grid, evaluator)
        positions = [k / self.n_pilot for k in range(self.n_pilot + 1)]
        with torch.no_grad():
            pilot = [evaluator.value(_at(whole, position)).detach() for position in positions]
        ends = _first_crossing(torch.stack(pilot), self.fraction)
        parts = []
        for row in (slice(k, k + 1) for k in range(len(ends))):
            end, begin = (tuple(tensor[row] for tensor in tensors) for tensors in (inputs, start))
            parts.append(self.path.trajectory(end, begin, grid, evaluator.rows(row)))
        return _PartTrajectory(parts, ends)


def _at(trajectory: Trajectory, position: float) -> Tensors:
    """One point of each example, (B, ...)."""
    node = Grid((position,), (position,), (position,))
    return tuple(points[0] for points in trajectory.points(node))


def _first_crossing(values: Tensor, fraction: float) -> list[float]:
    """The first positions at which F, (K + 1, B) at even positions, reaches a share of its maximum.

    Warns:
        RuntimeWarning: If an example's F is nowhere positive, or reaches the share at the start.
    """
    table = values.double().cpu()
    maxima = table.amax(0)
    positive = maxima > 0
    levels = fraction * maxima
    index = (table >= levels).double().argmax(0)
    before, after = (table.gather(0, k.unsqueeze(0))[0] for k in ((index - 1).clamp(min=0), index))
    rise = after - before
    share = torch.where(rise > 0, (levels - before) / torch.where(rise > 0, rise, 1), 1.0)
    ends = torch.where(positive, (index - 1 + share).clamp(min=0) / (len(table) - 1), 1.0)
    ends = torch.where(positive & (index == 0), 0.0, ends)
    _warn(~positive, "F is nowhere positive on the path, so there is no share of its maximum; the whole path is taken")
    _warn(ends == 0, f"F at the start is at least {fraction:g} of its maximum on the path; the attributions are 0")
    return ends.tolist()


def _warn(which: Tensor, what: str) -> None:
    rows = which.nonzero().flatten().tolist()
    if rows:
        warn(
            f"UnsaturatedPath: for {len(rows)} examples, {what}. Explain a probability, or choose another baseline.",
            RuntimeWarning,
        )


class _PartTrajectory(Trajectory):
    """One trajectory per example, each with its own end."""

    def __init__(self, parts: list[Trajectory], ends: list[float]) -> None:
        self._parts = parts
        self._ends = ends

    def points(self, grid: Grid) -> Tensors:
        pairs = zip(self._parts, self._ends, strict=True)
        return self._joined([part.points(_scale_grid(grid, end)) for part, end in pairs])

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        pairs = zip(self._parts, self._ends, strict=True)
        return self._joined([part.increments(_scale_grid(grid, end), before, after) for part, end in pairs])

    def output_deltas(self, evaluator: PathEvaluator) -> Tensor:
        start, end = (tuple(points[0] for points in self.points(Grid((at,), (at,), (at,)))) for at in (0.0, 1.0))
        return evaluator.value(end) - evaluator.value(start)

    @staticmethod
    def _joined(parts: list[Tensors]) -> Tensors:
        return tuple(torch.cat(pieces, dim=1) for pieces in zip(*parts, strict=True))


def _scale_grid(grid: Grid, end: float) -> Grid:
    """The positions of the whole path that are these of the part up to ``end``."""
    nodes, lower, upper = (tuple(end * at for at in ats) for ats in (grid.nodes, grid.lower, grid.upper))
    return replace(grid, nodes=nodes, lower=lower, upper=upper)
