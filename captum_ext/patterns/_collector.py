"""Statistics of the layers that run in a forward pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from captum_ext._utils.devices import full_precision
from captum_ext.patterns._calls import Call, LayerObserver
from captum_ext.patterns._statistics import Estimator, Statistics, call_statistics


class StatisticsCollector(LayerObserver):
    """Computes statistics of the layers that run while it is active.

    :attr:`statistics` has the sums by name. For layers whose samples take less memory than their sums, such as the
    first linear layer of a VGG, :attr:`samples` has the samples instead: (name, call, output).
    """

    def __init__(self, names: dict[int, str], estimators: dict[str, Estimator]) -> None:
        """Collect from layers; ``names`` maps the ids of their weights to their names."""
        super().__init__(names)
        self.statistics: dict[str, Statistics] = {}
        self.samples: list[tuple[str, Call, Tensor]] = []
        self._estimators = estimators

    def observe(self, name: str, call: Call, output: Tensor) -> None:
        """Add the call's sums, or keep its samples."""
        if not call.dims and call.input.numel() + output.numel() < 2 * call.weight.numel():
            dtype = torch.promote_types(output.dtype, torch.float32)
            # Copied, because later operations may work in place.
            call_copy = replace(call, input=call.input.detach().to(dtype, copy=True))
            self.samples.append((name, call_copy, output.detach().to(dtype, copy=True)))
            return
        # The forward pass may run in lower precision, but the sums must not.
        with full_precision(output.device):
            statistics = call_statistics(call, output, self._estimators[name])
        if name in self.statistics:
            self.statistics[name].merge(statistics)
        else:
            self.statistics[name] = statistics
