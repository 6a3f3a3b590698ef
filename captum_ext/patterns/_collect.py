"""Statistics of the layers that run in a forward pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from captum_ext._utils.devices import full_precision
from captum_ext.patterns._calls import Call, Watch
from captum_ext.patterns._statistics import Estimator, Statistics, measure


class Collect(Watch):
    """Measures the layers that run inside it.

    :attr:`statistics` has the sums by name. Of layers whose samples take less room than their sums, such as the
    first linear one of a VGG, :attr:`samples` has these: (name, call, output).
    """

    def __init__(self, names: dict[int, str], estimators: dict[str, Estimator]) -> None:
        """Measure the layers with these names, by the ids of their weights."""
        super().__init__(names)
        self.statistics: dict[str, Statistics] = {}
        self.samples: list[tuple[str, Call, Tensor]] = []
        self._estimators = estimators

    def saw(self, name: str, call: Call, output: Tensor) -> None:
        """Measure the call, or keep its samples."""
        if _smaller_than_sums(call, output):
            dtype = torch.promote_types(output.dtype, torch.float32)
            # Copied, since what comes next may work in place.
            copied = replace(call, input=call.input.detach().to(dtype, copy=True))
            self.samples.append((name, copied, output.detach().to(dtype, copy=True)))
            return
        # The forward pass is the user's, in lower precision if they say so; the sums are not.
        with full_precision(output.device):
            measured = measure(call, output, self._estimators[name])
        if name in self.statistics:
            self.statistics[name].merge(measured)
        else:
            self.statistics[name] = measured


def _smaller_than_sums(call: Call, output: Tensor) -> bool:
    return not call.dims and call.input.numel() + output.numel() < 2 * call.weight.numel()
