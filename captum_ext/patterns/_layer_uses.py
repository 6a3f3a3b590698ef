"""Trace tensors through a forward pass to find the layers whose outputs ReLU or BatchNorm uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from captum_ext._utils.buffers import preserve_buffers
from captum_ext.patterns._calls import called_weight

# Prefixes of functions that return values or the larger ones of neighbors, which therefore commute with ReLU.
_COMMUTING_PREFIXES = (
    "adaptive_max_pool",
    "alpha_dropout",
    "chunk",
    "clone",
    "contiguous",
    "detach",
    "dropout",
    "feature_dropout",
    "flatten",
    "max_pool",
    "movedim",
    "permute",
    "reshape",
    "squeeze",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
)
# Full names of further functions of this kind.
_COMMUTING_NAMES = frozenset(
    "bfloat16 double expand float getitem half narrow select split t tensor_split to unbind".split()  # noqa: SIM905
)


class _Origin(NamedTuple):
    """The layer and the call that a tensor comes from, and whether it is the output itself (``direct``)."""

    layer: str
    call: int
    direct: bool


@dataclass
class Uses:
    """The functions that used a layer's outputs in one forward pass.

    Attributes:
        calls: The number of calls of the layer.
        rectified: The calls whose output was passed to a ReLU-like function.
        batch_norms: The BatchNorm layers to which its output was passed directly.
        others: The number of other uses of its output, such as other functions or the model's output.
        dims: The numbers of dimensions of its outputs.
    """

    calls: int = 0
    dims: set[int] = field(default_factory=set)
    rectified: set[int] = field(default_factory=set)
    batch_norms: list[str] = field(default_factory=list)
    others: int = 0

    @property
    def only_rectified(self) -> bool:
        """Whether only ReLU-like functions used the output of every call."""
        return 0 < len(self.rectified) == self.calls and not self.others and not self.batch_norms


class UseTracer(TorchFunctionMode):
    """Traces a forward pass and records the uses of each layer's output in :attr:`uses`."""

    def __init__(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """Trace the layers with these weights."""
        super().__init__()
        self.uses: defaultdict[str, Uses] = defaultdict(Uses)
        self.norm_calls: defaultdict[str, int] = defaultdict(int)
        self._names = {id(weight): name for name, weight in weights.items()}
        self._norms = {
            id(module.running_mean): name
            for name, module in model.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
        }
        # Keep the tensors, so that the ids of deleted tensors are not reused.
        self._origins: dict[int, tuple[Tensor, _Origin]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the function, and record the origins of its arguments and results."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "").strip("_")
        outputs = [t for t in (result if isinstance(result, tuple | list) else (result,)) if isinstance(t, Tensor)]
        if name != "setitem" and not any(t.is_floating_point() for t in outputs):  # a size, a flag or a mask
            return result
        layer = self._names.get(id(called_weight(func, args, kwargs)))
        arguments = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor)]
        arguments += [t for arg in args if isinstance(arg, tuple | list) for t in arg if isinstance(t, Tensor)]
        sources = [self._origins[id(t)][1] for t in arguments if id(t) in self._origins]
        for output in outputs:
            self._origins.pop(id(output), None)  # changed in place: no longer the layer's output
        for source in sources:
            self._record_use(source, name, args, kwargs)
        if layer is not None:
            uses = self.uses[layer]
            uses.calls += 1
            uses.dims.add(result.dim())
            self._origins[id(result)] = (result, _Origin(layer, uses.calls, direct=True))
        elif len(sources) == 1 and _commutes_with_relu(name):
            for output in outputs:
                self._origins[id(output)] = (output, sources[0]._replace(direct=False))
        if name == "batch_norm":
            self.norm_calls[self._norm_name(args)] += 1
        return result

    def _record_use(self, source: _Origin, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        uses = self.uses[source.layer]
        if _commutes_with_relu(name):
            return
        if _is_relu(name, args, kwargs):
            uses.rectified.add(source.call)
        elif name == "batch_norm" and source.direct and self._norm_name(args):
            uses.batch_norms.append(self._norm_name(args))
        else:
            uses.others += 1

    def record_output(self, output: Any) -> None:
        """Record the model's output as a use."""
        if isinstance(output, Tensor) and id(output) in self._origins:
            self.uses[self._origins[id(output)][1].layer].others += 1
        parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
        for part in parts:
            self.record_output(part)

    def _norm_name(self, args: tuple[Any, ...]) -> str:
        return self._norms.get(id(args[1]), "") if len(args) > 1 else ""


def _commutes_with_relu(name: str) -> bool:
    return name.startswith(_COMMUTING_PREFIXES) or name in _COMMUTING_NAMES


def _is_relu(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if name in ("relu", "relu6"):
        return True
    floor: Any = None
    if name == "hardtanh":
        floor = kwargs.get("min_val", args[1] if len(args) > 1 else -1.0)
    elif name in ("clamp", "clip", "clamp_min"):
        floor = kwargs.get("min", args[1] if len(args) > 1 else None)
    elif name == "threshold":
        threshold = kwargs.get("threshold", args[1] if len(args) > 1 else None)
        value = kwargs.get("value", args[2] if len(args) > 2 else None)
        floor = threshold if threshold == value else None
    return isinstance(floor, int | float) and floor == 0


def trace_uses(model: nn.Module, weights: dict[str, Tensor], inputs: Tensor) -> UseTracer:
    """Trace one forward pass of the model, without changing its buffers."""
    tracer = UseTracer(model, weights)
    with torch.no_grad(), preserve_buffers(model.modules()), tracer:
        tracer.record_output(model(inputs.clone()))
    return tracer
