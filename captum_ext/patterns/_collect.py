"""Statistics of the layers that run in a forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from captum_ext.patterns._calls import Call, called_weight, parse
from captum_ext.patterns._statistics import Estimator, Statistics, measure


class Collect(TorchFunctionMode):
    """Measures the layers that run inside it.

    :attr:`statistics` has the sums by name. Of layers whose samples take less room than their sums, such as the
    first linear one of a VGG, :attr:`samples` has these: (name, call, output).
    """

    def __init__(self, layers: dict[int, tuple[str, Estimator]]) -> None:
        """Measure the layers whose weights have these ids."""
        super().__init__()
        self.statistics: dict[str, Statistics] = {}
        self.samples: list[tuple[str, Call, Tensor]] = []
        self._layers = layers

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the function and measure it if it is a layer's."""
        result = func(*args, **(kwargs or {}))
        if id(called_weight(func, args, kwargs or {})) in self._layers:
            call = parse(func, args, kwargs or {})
            assert call is not None, "it has a weight"
            name, estimator = self._layers[id(call.weight)]
            if _smaller_than_sums(call, result):
                dtype = torch.promote_types(result.dtype, torch.float32)
                # Copied, since what comes next may work in place.
                copied = replace(call, input=call.input.detach().to(dtype, copy=True))
                self.samples.append((name, copied, result.detach().to(dtype, copy=True)))
                return result
            # The forward pass is the user's, in lower precision if they say so; the sums are not.
            with torch.autocast(result.device.type, enabled=False):
                measured = measure(call, result, estimator)
            if name in self.statistics:
                self.statistics[name].merge(measured)
            else:
                self.statistics[name] = measured
        return result


def _smaller_than_sums(call: Call, output: Tensor) -> bool:
    return not call.dims and call.input.numel() + output.numel() < 2 * call.weight.numel()
