"""Statistics of the layers that run in a forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from captum_ext.patterns._calls import parse
from captum_ext.patterns._statistics import Estimator, Statistics, measure


class Collect(TorchFunctionMode):
    """Measures the layers that run inside it; :attr:`statistics` has them by name."""

    def __init__(self, layers: dict[int, tuple[str, Estimator]]) -> None:
        """Measure the layers whose weights have these ids."""
        super().__init__()
        self.statistics: dict[str, Statistics] = {}
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
        call = parse(func, args, kwargs or {})
        if call is not None and id(call.weight) in self._layers:
            name, estimator = self._layers[id(call.weight)]
            # The forward pass is the user's, in lower precision if they say so; the sums are not.
            with torch.autocast(result.device.type, enabled=False):
                measured = measure(call, result, estimator)
            if name in self.statistics:
                self.statistics[name].merge(measured)
            else:
                self.statistics[name] = measured
        return result
