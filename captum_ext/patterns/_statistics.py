"""Sums over the data for one layer, and the pattern computed from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from captum_ext._utils.devices import float64_device
from captum_ext.patterns._calls import Call, chunk_values

Estimator = Literal["positive", "linear"]
Mean = Literal["preactivation", "rectified"]
_SUM_NAMES = ("x", "xy", "y", "rectified")


class LayerPattern(NamedTuple):
    """A pattern with the weight's shape, and a mask (out,) of the units that have none."""

    pattern: Tensor
    dead: Tensor


@dataclass
class Statistics:
    """Sums over the samples x of a layer, which are rows or patches, and its outputs y.

    Attributes:
        samples: The number of samples.
        x: The sum of x, in the weight's shape: over the samples with y > 0, or over all samples for the linear
            estimator, with one row per group.
        xy: The sum of x y over the same samples, in the weight's shape.
        y: The sum of y over all samples, (out,).
        rectified: The sum of max(y, 0) over all samples, (out,).
        noise: The relative rounding error of a batch's sums.
    """

    samples: int
    x: Tensor
    xy: Tensor
    y: Tensor
    rectified: Tensor
    noise: float

    def merge(self, other: Statistics) -> None:
        """Add other sums in place, keeping the dtype."""
        self.samples += other.samples
        self.noise = max(self.noise, other.noise)
        for name in _SUM_NAMES:
            own_sum = getattr(self, name)
            own_sum.add_(getattr(other, name).to(own_sum.device))

    def add_samples(self, inputs: Tensor, outputs: Tensor, estimator: Estimator) -> None:
        """Add the samples of a linear layer, a few units at a time because its sums may need most of the memory."""
        x, y = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (inputs, outputs))
        mask, rectified = (y > 0).to(y.dtype), y.clamp(min=0)
        self.samples += len(y)
        self.noise = max(self.noise, _rounding_error(y))
        device = self.y.device
        self.y.add_(y.sum(0).to(device))
        self.rectified.add_(rectified.sum(0).to(device))
        if estimator == "linear":
            self.x.add_(x.sum(0).to(device))
        step = max(1, chunk_values(x.device) // max(x.shape[1], 1))
        for first in range(0, y.shape[1], step):
            units = slice(first, first + step)
            if estimator == "positive":
                self.x[units].add_((mask[:, units].T @ x).to(device))
            self.xy[units].add_(((rectified if estimator == "positive" else y)[:, units].T @ x).to(device))

    def double(self) -> Statistics:
        """A copy in float64, on the CPU if the device has no float64."""
        device = float64_device(self.y.device)
        return replace(self, **{name: getattr(self, name).to(device, torch.float64, copy=True) for name in _SUM_NAMES})

    def fit(self, weight: Tensor, estimator: Estimator, mean: Mean, layout: UnitLayout) -> LayerPattern:
        """The pattern (E[x y] - E[x] E[y]) / (w . numerator), in float64.

        The number of samples of x and x y cancels between numerator and denominator, so sums are sufficient. A
        unit that never fired, or whose numerator is 0 up to rounding, is dead: its pattern is 0.
        """
        mean_y = (self.rectified if mean == "rectified" and estimator == "positive" else self.y) / self.samples
        weight, xy, x = (layout.by_unit(tensor.to(self.xy)) for tensor in (weight, self.xy, self.x))
        if len(x) < len(xy):
            x = x.repeat_interleave(len(xy) // len(x), 0)
        column = (-1, *(1,) * (xy.dim() - 1))
        means = x * mean_y.reshape(column)
        numerator = xy - means
        denominator = (weight * numerator).flatten(1).sum(1)
        size = (weight.abs() * (xy.abs() + means.abs())).flatten(1).sum(1)
        dead = denominator.abs() <= self.noise * size
        pattern = numerator / torch.where(dead, 1, denominator).reshape(column)
        return LayerPattern(layout.as_weight(torch.where(dead.reshape(column), 0, pattern)), dead)


class UnitLayout(NamedTuple):
    """The position of a layer's units in its weight."""

    groups: int
    transposed: bool

    def by_unit(self, weight: Tensor) -> Tensor:
        """The weight as (out, in / groups, ...)."""
        if not self.transposed:
            return weight
        units: Tensor = weight.unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)
        return units

    def as_weight(self, units: Tensor) -> Tensor:
        """The inverse of :meth:`by_unit`."""
        if not self.transposed:
            return units
        weight: Tensor = units.unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)
        return weight


def call_statistics(call: Call, output: Tensor, estimator: Estimator) -> Statistics:
    """One call's sums, computed in the call's dtype (float32 at least)."""
    dtype = torch.promote_types(output.dtype, torch.float32)
    call, output = call.to(dtype), output.detach().to(dtype)
    if not call.dims:
        total = empty_statistics(call, estimator, dtype)
        total.add_samples(call.input, output, estimator)
        return total
    step = max(1, chunk_values(output.device) * len(output) // max(output.numel(), 1))
    total = _chunk_statistics(call.rows(slice(step)), output[:step], estimator)
    for first in range(step, len(output), step):
        rows = slice(first, first + step)
        total.merge(_chunk_statistics(call.rows(rows), output[rows], estimator))
    return total


def empty_statistics(call: Call, estimator: Estimator, dtype: torch.dtype = torch.float64) -> Statistics:
    """Empty sums for a linear layer, on the CPU if its device does not support the dtype."""
    device = float64_device(call.weight.device) if dtype == torch.float64 else call.weight.device
    weight = call.weight.new_zeros(call.weight.shape, dtype=dtype, device=device)
    x = weight.clone() if estimator == "positive" else weight.new_zeros(1, weight.shape[1])
    y, rectified = weight.new_zeros(2, len(weight)).unbind()
    return Statistics(0, x, weight, y, rectified, 0.0)


def _chunk_statistics(call: Call, y: Tensor, estimator: Estimator) -> Statistics:
    others = [dim for dim in range(y.dim()) if dim != 1]
    samples = y.numel() // max(y.shape[1], 1)
    if estimator == "positive":
        mask = (y > 0).to(y.dtype)
        rectified = y * mask
        x, xy = call.weight_gradients(mask, rectified)
    else:
        rectified = y.clamp(min=0)
        x, xy = call.sample_sum(y), call.weight_gradient(y)
    return Statistics(samples, x, xy, y.sum(others), rectified.sum(others), _rounding_error(y))


def _rounding_error(y: Tensor) -> float:
    # Rounding errors in a long sum partly cancel; 100 epsilon is a conservative bound.
    return 100 * torch.finfo(y.dtype).eps
