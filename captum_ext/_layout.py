"""The memory layout in which a model is given its inputs."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor, nn

from captum_ext._model import modules_of
from captum_ext._segment import Tensors

_T = TypeVar("_T")

# Models and functions in which a view() failed on channels_last: so that this is found out once. By function and not
# by the model in it, so that no call changes the rounding of a call of another function.
_contiguous_only: WeakSet[Any] = WeakSet()


class Layouts:
    """The layout of each input: the user's own, and channels_last where that is cheaper.

    oneDNN's convolutions of photographs are cheaper with their channels last, and what follows them keeps their
    layout. So a contiguous float32 input of 2 to 4 channels on the CPU is given so to a model with a convolution of
    as many input channels.

    Args:
        forward_func: The model, or a function that refers to it.
        inputs: The user's inputs.
    """

    def __init__(self, forward_func: Callable[..., Any], inputs: Tensors) -> None:
        owner: Any = getattr(forward_func, "__self__", forward_func)
        self._owner = owner if isinstance(owner, nn.Module | FunctionType) else None
        self._own = [_own(tensor) for tensor in inputs]
        channels = set() if self._owner is not None and self._owner in _contiguous_only else _channels(forward_func)
        self._chosen = [
            torch.channels_last if _may_change(tensor) and tensor.shape[1] in channels else own
            for tensor, own in zip(inputs, self._own, strict=True)
        ]

    def apply(self, tensors: Tensors) -> Tensors:
        """The tensors in these layouts."""
        return tuple(
            tensor.contiguous(memory_format=layout) for tensor, layout in zip(tensors, self._chosen, strict=True)
        )

    def attempt(self, run: Callable[[], _T]) -> _T:
        """What ``run`` returns; a second time and from then on in the user's layouts if the model can't do with these.

        A model that flattens by ``view()`` needs contiguous tensors.
        """
        try:
            return run()
        except RuntimeError as error:
            if self._chosen == self._own or "view size is not compatible" not in str(error):
                raise
        self._chosen[:] = self._own  # in place: shared with the evaluators of some rows
        if self._owner is not None:
            _contiguous_only.add(self._owner)
        return run()


def _own(tensor: Tensor) -> torch.memory_format:
    if not tensor.is_contiguous():
        for rank, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
            if tensor.dim() == rank and tensor.is_contiguous(memory_format=layout):
                return layout
    return torch.contiguous_format


def _may_change(tensor: Tensor) -> bool:
    return (
        tensor.dim() == 4
        and 2 <= tensor.shape[1] <= 4
        and tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
    )


def _channels(forward_func: Callable[..., Any]) -> set[int]:
    """How many input channels the model's convolutions take."""
    modules = (module for root in modules_of(forward_func) for module in root.modules())
    return {module.in_channels for module in modules if isinstance(module, nn.Conv2d)}
