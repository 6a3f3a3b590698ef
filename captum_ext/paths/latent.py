"""Paths in the latent space of a coder, decoded to inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from captum_ext._utils.tensors import Tensors
from captum_ext.paths._coder import Coder, Decoder, LatentEvaluator, encode_rows
from captum_ext.paths.base import Path, PointTrajectory, Trajectory
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.paths.straight import StraightPath
from captum_ext.quadratures.grid import Grid

_STRAIGHT = StraightPath()


@dataclass(frozen=True)
class LatentPath(Path):
    """A path in the latent space of an encoder and a decoder, whose points are decoded to inputs.

    The points are decode(z) for z on ``inner``, a path from encode(baseline) to encode(input). The first and the last
    point are the baseline and the input themselves, not their reconstructions, so the path jumps at both ends by what
    the coder loses. The jumps do not shrink with more steps, and a weighted sum's completeness error contains them;
    :class:`~captum_ext.quadratures.ImportantDirection` is complete on this path too.

    Guided by :class:`GuidedPath`, the coordinates of z with the smallest gradient move first; dF/dz is the decoder's
    vector-Jacobian product with the gradient of F that the walk computes anyway.

    Args:
        encode: The encoder, a function or module. It takes the inputs as ``forward_func`` does, one positional argument
            per input, in float32 at least, and returns a latent tensor (B, ...), or a tuple of them.
        decode: The decoder, which takes the latents and returns the inputs. A tensor that both functions pass through
            unchanged moves exactly as on ``inner``, so a coder may be of one input among several.
        inner: The path in latent space. Default: the straight line. It starts from a baseline and ends at the input, as
            :class:`StraightPath` and :class:`GuidedPath` do.

    Note:
        Each decoder pass has at most as many rows as a forward pass of the model. On a straight line, every point is
        decoded once. With :class:`GuidedPath`, the decoder runs twice per step, once with a backward pass.

    Raises:
        TypeError: If ``encode`` or ``decode`` is not a function, or returns anything but tensors; if ``inner`` is not a
            path.
        ValueError: If ``inner`` has its own start or end, or the decoder's tensors do not fit the inputs.

    Reference:
        Jha et al.: Enhanced Integrated Gradients. Genome Biology 2020 (the straight line).

        Zaher et al.: Manifold Integrated Gradients: Riemannian Geometry for Feature Attribution. ICML 2024.
        https://arxiv.org/abs/2405.09800

        Kim et al.: Manifold-Aligned Guided Integrated Gradients for Reliable Feature Attribution. ICML 2026 (guided).
        https://arxiv.org/abs/2605.02167

    Example:
        >>> from captum_ext.attr import IDGI
        >>> from captum_ext.paths import LatentPath, fit_pca
        >>> pca = fit_pca(torch.rand(20, 3, 8, 8), 5)
        >>> method = IDGI(lambda x: x.square().sum((1, 2, 3)), path=LatentPath(pca.encode, pca.decode))
        >>> method.attribute(torch.rand(2, 3, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """

    encode: Coder
    decode: Coder
    inner: Path = _STRAIGHT

    def __post_init__(self) -> None:
        """Check the parts; whether points are known in advance is up to the inner path."""
        for name in ("encode", "decode"):
            function = getattr(self, name)
            if not callable(function) or isinstance(function, type):
                raise TypeError(f"{name}: expected a function or a module, got {function!r:.80}.")
        if not isinstance(self.inner, Path):
            raise TypeError(f"inner: expected a path such as StraightPath() or GuidedPath(), got {self.inner!r:.80}.")
        if not (self.inner.takes_baselines and self.inner.ends_at_inputs):
            raise ValueError(
                "inner: expected a path from a baseline to the input, such as StraightPath() or GuidedPath(); "
                f"{type(self.inner).__name__} has its own start or end, which need not be that of any input."
            )
        object.__setattr__(self, "look_ahead", self.inner.look_ahead)
        object.__setattr__(self, "default_method", self.inner.default_method)

    def adapt_grid(self, grid: Grid) -> Grid:
        """The grid as the inner path can walk it."""
        return self.inner.adapt_grid(grid)

    def point(self, inputs: Tensors, start: Tensors, alpha: float) -> Tensors:
        """One decoded point of an inner path that is known in advance; the two ends are the baseline and the input."""
        if alpha in (0, 1):
            return inputs if alpha else start
        ends, starts = (encode_rows(self.encode, points)[0] for points in (inputs, start))
        return Decoder(self.decode, inputs)(self.inner.point(ends, starts, alpha))

    def trajectory(self, inputs: Tensors, start: Tensors, grid: Grid, evaluator: PathEvaluator) -> Trajectory:
        """Encode the ends, and lay the inner path out between them."""
        ends, kept = encode_rows(self.encode, inputs)
        starts, also_kept = encode_rows(self.encode, start)
        decoder = Decoder(self.decode, inputs)
        passed = decoder.passed_through(starts, kept) if kept and kept == also_kept else {}
        inner = self.inner.trajectory(ends, starts, grid, LatentEvaluator(evaluator, decoder))
        kind = _KnownTrajectory if self.look_ahead else _SearchedTrajectory
        return kind(self, inputs, start, inner, decoder, passed)


class _KnownTrajectory(PointTrajectory):
    """Decoded points of an inner path that is known in advance."""

    def __init__(
        self, path: Path, inputs: Tensors, start: Tensors, inner: Trajectory, decoder: Decoder, passed: dict[int, int]
    ) -> None:
        super().__init__(path, inputs, start)
        self._inner = inner
        self._decoder = decoder
        self._passed = passed

    def points(self, grid: Grid) -> Tensors:
        points = super().points(grid)
        return _replaced(points, self._inner.points(grid), self._passed) if self._passed else points

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        moves = super().increments(grid, before, after)
        return _replaced(moves, self._inner.increments(grid, before, after), self._passed) if self._passed else moves

    def _compute(self, alphas: Sequence[float]) -> None:
        for alpha in alphas:
            if alpha not in self._points:
                self._points[alpha] = (tuple(point.unsqueeze(0) for point in self._decoded(alpha)), 0)

    def _decoded(self, alpha: float) -> Tensors:
        if alpha in (0, 1):
            return self._inputs if alpha else self._start
        latents = self._inner.points(Grid((alpha,), (alpha,), (alpha,)))
        return self._decoder(tuple(latent[0] for latent in latents))


class _SearchedTrajectory(Trajectory):
    """Decoded points of an inner path that finds each point from the gradient at the last one."""

    def __init__(
        self, path: Path, inputs: Tensors, start: Tensors, inner: Trajectory, decoder: Decoder, passed: dict[int, int]
    ) -> None:
        self._inputs = inputs
        self._start = start
        self._inner = inner
        self._decoder = decoder
        self._passed = passed
        self._latents: Tensors = ()
        self._last = self._here = start
        self._next: Tensors | None = None

    def points(self, grid: Grid) -> Tensors:
        latents = self._inner.points(grid)
        return tuple(point.unsqueeze(0) for point in self._arrive(grid, latents, self._decoder(_only(latents))))

    def visit(self, grid: Grid, evaluator: PathEvaluator) -> tuple[Tensors, Tensor | None, Tensors]:
        at_latents = LatentEvaluator(evaluator, self._decoder, partial(self._arrive, grid))
        _, values, _ = self._inner.visit(grid, at_latents)
        return at_latents.points, values, at_latents.gradients

    def increments(self, grid: Grid, before: float, after: float) -> Tensors:
        if after and self._next is None:  # once, if several quadratures ask
            ahead = self._inner.increments(grid, 0.0, 1.0)
            latents = tuple(latent + move[0] for latent, move in zip(self._latents, ahead, strict=True))
            self._next = self._inputs if grid.upper[-1] == 1 else self._decoder(latents)
        points = zip(self._last, self._here, self._next or self._here, strict=True)
        moves = tuple((before * (here - last) + after * (new - here)).unsqueeze(0) for last, here, new in points)
        return _replaced(moves, self._inner.increments(grid, before, after), self._passed) if self._passed else moves

    def _arrive(self, grid: Grid, latents: Tensors, decoded: Tensors) -> Tensors:
        """The point at a node, which is the baseline or the input itself at the ends."""
        self._latents = _only(latents)
        ends = {0.0: self._start, 1.0: self._inputs}.get(grid.nodes[0], decoded)
        point = _replaced(ends, decoded, {index: index for index in self._passed})
        self._last, self._here, self._next = self._here, point, None
        return point


def _replaced(tensors: Tensors, others: Tensors, which: dict[int, int]) -> Tensors:
    """The tensors, with some of them taken from the others."""
    return tuple(others[which[k]] if k in which else tensor for k, tensor in enumerate(tensors))


def _only(points: Tensors) -> Tensors:
    """The one point of (1, B, ...)."""
    return tuple(point[0] for point in points)
