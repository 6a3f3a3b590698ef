"""Which layer's output a ReLU or a BatchNorm takes, found by following tensors through a real forward pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from captum_ext.patterns._calls import parse

# Functions that hand on a value or its larger neighbours: what is rectified behind them is rectified before them.
_HANDED_ON = (
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


class _Origin(NamedTuple):
    """The layer that a tensor is the output of, handed on or (``direct``) as it came."""

    layer: str
    direct: bool


@dataclass
class Uses:
    """What became of a layer's outputs in one forward pass.

    Attributes:
        calls: How often the layer ran.
        rectified: How many functions like ReLU took its output.
        batch_norms: The BatchNorm layers that took its output as it came.
        others: How many other functions took it.
    """

    calls: int = 0
    rectified: int = 0
    batch_norms: list[str] = field(default_factory=list)
    others: int = 0

    @property
    def only_rectified(self) -> bool:
        """Whether nothing but functions like ReLU saw the output."""
        return self.rectified > 0 and not self.others and not self.batch_norms


class Follow(TorchFunctionMode):
    """Watches a forward pass; :attr:`uses` then says what became of each layer's output."""

    def __init__(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """Watch the layers with these weights."""
        super().__init__()
        self.uses: defaultdict[str, Uses] = defaultdict(Uses)
        self.norm_calls: defaultdict[str, int] = defaultdict(int)
        self._names = {id(weight): name for name, weight in weights.items()}
        self._norms = {
            id(module.running_mean): name
            for name, module in model.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
        }
        # The tensors are kept, so that no other can get the id of one that is gone.
        self._origins: dict[int, tuple[Tensor, _Origin]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the function and note where its tensors come from and go to."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        outputs = [t for t in (result if isinstance(result, tuple | list) else (result,)) if isinstance(t, Tensor)]
        if not outputs:  # a size or a flag
            return result
        call = parse(func, args, kwargs)
        layer = self._names.get(id(call.weight)) if call is not None else None
        arguments = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor)]
        arguments += [t for arg in args if isinstance(arg, tuple | list) for t in arg if isinstance(t, Tensor)]
        sources = [self._origins[id(t)][1] for t in arguments if id(t) in self._origins]
        name = getattr(func, "__name__", "").strip("_")
        for output in outputs:
            self._origins.pop(id(output), None)  # in place: no longer what the layer gave
        for source in sources:
            self._note(source, name, args, kwargs)
        if layer is not None:
            self.uses[layer].calls += 1
            self._origins[id(result)] = (result, _Origin(layer, direct=True))
        elif len(sources) == 1 and name.startswith(_HANDED_ON):
            for output in outputs:
                self._origins[id(output)] = (output, sources[0]._replace(direct=False))
        if name == "batch_norm":
            self.norm_calls[self._norm(args)] += 1
        return result

    def _note(self, source: _Origin, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        uses = self.uses[source.layer]
        if name.startswith(_HANDED_ON):
            return
        if _rectifies(name, args, kwargs):
            uses.rectified += 1
        elif name == "batch_norm" and source.direct and self._norm(args):
            uses.batch_norms.append(self._norm(args))
        else:
            uses.others += 1

    def _norm(self, args: tuple[Any, ...]) -> str:
        return self._norms.get(id(args[1]), "") if len(args) > 1 else ""


def _rectifies(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
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


def follow(model: nn.Module, weights: dict[str, Tensor], inputs: Tensor) -> Follow:
    """Watch one forward pass of the model."""
    watching = Follow(model, weights)
    with torch.no_grad(), watching:
        model(inputs)
    return watching
