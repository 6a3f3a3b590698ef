"""Statistics of the layers that run in a forward pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from captum_ext._utils.devices import full_precision
from captum_ext.patterns._calls import Call, Watch
from captum_ext.patterns._statistics import Estimator, Statistics, measure


class Collect(Watch):
    """Computes statistics of the layers that run while it is active.

    :attr:`statistics` has the sums by name. For layers whose samples take less memory than their sums, such as the
    first linear layer of a VGG, :attr:`samples` has the samples instead: (name, call, output).
    """

    def __init__(self, names: dict[int, str], estimators: dict[str, Estimator]) -> None:
        """Measure layers, given as their names by the ids of their weights."""
        super().__init__(names)
        self.statistics: dict[str, Statistics] = {}
        self.samples: list[tuple[str, Call, Tensor]] = []
        self._estimators = estimators

    def saw(self, name: str, call: Call, output: Tensor) -> None:
        """Add the call's sums, or keep its samples."""
        if _smaller_than_sums(call, output):
            dtype = torch.promote_types(output.dtype, torch.float32)
            # Copied, because later operations may work in place.
            copied = replace(call, input=call.input.detach().to(dtype, copy=True))
            self.samples.append((name, copied, output.detach().to(dtype, copy=True)))
            return
        # The forward pass may run in lower precision, but the sums must not.
        with full_precision(output.device):
            measured = measure(call, output, self._estimators[name])
        if name in self.statistics:
            self.statistics[name].merge(measured)
        else:
            self.statistics[name] = measured


def _smaller_than_sums(call: Call, output: Tensor) -> bool:
    return not call.dims and call.input.numel() + output.numel() < 2 * call.weight.numel()
