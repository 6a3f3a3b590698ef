"""A uniform random sample from all inputs of layers (reservoir sampling)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_ext.patterns._calls import Call, LayerObserver


@dataclass
class LayerSamples:
    """The sample of one layer.

    Attributes:
        units: The units of interest.
        groups: The group of channels that each of these units belongs to.
        bias: The layer's bias, (out,).
        keys: A random number for each sample; the samples with the smallest numbers are kept.
        rows: The samples for the groups in use, (samples, groups, features).
    """

    units: Tensor
    groups: list[int]
    bias: Tensor
    keys: Tensor = field(default_factory=lambda: torch.zeros(0, device="cpu"))
    rows: Tensor | None = None

    def by_group(self) -> dict[int, Tensor]:
        """The samples (samples, features) of each group with units of interest; empty if the layer did not run."""
        if self.rows is None:
            return {}
        return dict(zip(sorted(set(self.groups)), self.rows.unbind(1), strict=True))

    def add(self, call: Call, output: Tensor, max_samples: int, generator: torch.Generator) -> None:
        """Draw samples from the inputs of a call."""
        total = output.numel() // output.shape[1 if call.dims else -1]
        keys = torch.cat([self.keys, torch.rand(total, generator=generator, device="cpu")])
        order = keys.argsort()[:max_samples]
        old, new = order[order < len(self.keys)], order[order >= len(self.keys)] - len(self.keys)
        rows = _gather(call, output, new, sorted(set(self.groups))).float().cpu()
        self.rows = rows if self.rows is None else torch.cat([self.rows[old], rows])
        self.keys = torch.cat([keys[old], keys[new + len(self.keys)]])


class InputSampler(LayerObserver):
    """Draws samples from the inputs of layers that run inside :meth:`sampling`: at most ``max_samples`` of each."""

    max_samples: int

    def __init__(self, units: dict[str, Tensor], weights: dict[str, Tensor], model: nn.Module) -> None:
        """See the class."""
        names: dict[int, str] = {}
        super().__init__(names)
        self.layers: dict[str, LayerSamples] = {}
        self._generator = torch.Generator()
        for name, layer_units in units.items():
            layer = model.get_submodule(name)
            if getattr(layer, "transposed", False) or not len(layer_units):
                continue
            per_group = len(weights[name]) // getattr(layer, "groups", 1)
            bias = (
                layer.bias.detach().cpu()
                if isinstance(layer.bias, Tensor)
                else torch.zeros(len(weights[name]), device="cpu")
            )
            self.layers[name] = LayerSamples(
                layer_units, [int(unit) // per_group for unit in layer_units], bias.double()
            )
            names[id(weights[name])] = name

    def n_values(self, weights: dict[str, Tensor]) -> int:
        """The number of values in one sample of all layers."""
        return sum(len(set(layer.groups)) * weights[name][0].numel() for name, layer in self.layers.items())

    @contextmanager
    def sampling(self, generator: torch.Generator) -> Iterator[None]:
        """Draw samples from the forward passes inside the context."""
        self._generator = generator
        with self:
            yield

    def observe(self, name: str, call: Call, output: Tensor) -> None:
        """Draw samples from the call's input."""
        self.layers[name].add(call, output, self.max_samples, self._generator)


def _gather(call: Call, output: Tensor, positions: Tensor, groups: list[int]) -> Tensor:
    """Samples of a call for some groups, given by the positions in its output: (samples, groups, features)."""
    if call.dims == 0:
        return call.input.reshape(-1, 1, call.input.shape[-1])[positions.to(call.input.device)]
    x = functional.pad(call.input, [side for size in reversed(call.padding) for side in (size, size)])
    x = x.unflatten(1, (call.groups, -1))[:, groups].movedim((1, 2), (-2, -1))
    example, *places = torch.unravel_index(positions.to(x.device), (len(output), *output.shape[2:]))
    parts = []
    for offset in product(*map(range, call.weight.shape[2:])):
        steps = zip(places, call.stride, call.dilation, offset, strict=True)
        index = (example, *(place * stride + dilation * step for place, stride, dilation, step in steps))
        parts.append(x[index])  # (samples, groups, channels)
    return torch.stack(parts, -1).flatten(2)
