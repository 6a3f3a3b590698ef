"""The memory layout in which a model is given its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from captum_ext._utils.devices import full_precision
from captum_ext._utils.eager import eager_mode
from captum_ext._utils.model_state import modules_of
from captum_ext._utils.tensors import Tensors

_T = TypeVar("_T")

# By model or function: whether it computes the same in both layouts, for each of its methods and choice of inputs. By
# function and not by the model in it, so that no call changes the rounding of a call of another function. An answer
# stands although the model's weights may change: whether code reads memory past the strides does not depend on them.
_indifferent: WeakIdKeyDictionary = WeakIdKeyDictionary()


class MemoryFormats:
    """The layout of each input: the user's own, and channels_last where that is cheaper.

    oneDNN's convolutions of photographs are cheaper with their channels last, and what follows them keeps their
    layout. So a contiguous float32 input of 2 to 4 channels on the CPU is given so to a model with a convolution of
    as many input channels there, once one example gave the same output in both layouts.

    Args:
        forward_func: The model, or a function that refers to it.
        inputs: The user's inputs.
        evaluate: F's output for one example: ``evaluate(index, layouts)`` with the inputs in these layouts.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        inputs: Tensors,
        evaluate: Callable[[int, list[torch.memory_format]], Any],
    ) -> None:
        self._forward_func = forward_func
        self._inputs = inputs
        self._evaluate = evaluate
        self._own = [_own(tensor) for tensor in inputs]
        candidates = [_may_change(tensor) for tensor in inputs]
        channels = _channels(forward_func) if any(candidates) else set()
        self._chosen = [
            torch.channels_last if candidate and tensor.shape[1] in channels else own
            for tensor, candidate, own in zip(inputs, candidates, self._own, strict=True)
        ]
        self._changed = [chosen != own for chosen, own in zip(self._chosen, self._own, strict=True)]
        self._compared = self._ran = not any(self._changed)

    def apply(self, tensors: Tensors) -> Tensors:
        """The tensors in these layouts."""
        return in_layouts(tensors, self._chosen)

    def attempt(self, run: Callable[[], _T]) -> _T:
        """What ``run`` returns; the first time again in the user's layouts if it fails in others.

        A model that flattens by ``view()``, or asserts that its input is contiguous, needs the user's.
        """
        if not self._compared:
            self._compared = True
            if not self._same_in_both():
                self._chosen, self._ran = self._own, True
        if not self._ran:
            try:
                result = run()
            except Exception:
                self._chosen = self._own
            else:
                self._ran = True
                return result
            result = run()  # outside the handler: an error of the model's in the user's layout is raised as it is
            self._ran = True
            self._remember(False)
            return result
        return run()

    def _same_in_both(self) -> bool:
        answer = _answers(self._forward_func).get(self._key())
        return self._compare() if answer is None else answer

    def _compare(self) -> bool:
        """Whether F is the same for an example in both layouts, as far as that can be seen.

        Code that reads memory past the strides, as ``as_strided``, computes something else, without an error.
        """
        index = self._telling_example()
        if index is None:
            return False
        # What is random is drawn alike for both, and the user's numbers stay in their order. In full precision, where
        # rounding is far below the difference between two pictures.
        precise = full_precision(torch.device("cpu"))
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), precise, eager_mode():
            state = torch.get_rng_state()
            try:
                own = self._evaluate(index, self._own)
            except Exception:  # the user's error, or a model that takes no single example
                return False
            if isinstance(own, Tensor) and not own.any():  # as with weights of zeros, until others are loaded
                return False
            random = not torch.equal(torch.get_rng_state(), state)
            torch.set_rng_state(state)
            try:
                same = _agree(own, self._evaluate(index, self._chosen), self._forward_func)
            except Exception:
                same = False
        if random and not same:
            return True  # says nothing: dropout draws in the order of memory. Asked again at the next call
        self._remember(same)
        return same

    def _telling_example(self) -> int | None:
        """One whose memory reads differently in both layouts, as that of a picture in one color does not."""
        pictures = [tensor.detach() for tensor, changed in zip(self._inputs, self._changed, strict=True) if changed]
        for index in range(len(pictures[0])):
            if not any(torch.equal(x[index].flatten(), x[index].permute(1, 2, 0).flatten()) for x in pictures):
                return index
        return None

    def _remember(self, same: bool) -> None:
        _answers(self._forward_func)[self._key()] = same

    def _key(self) -> object:
        return getattr(self._forward_func, "__name__", None), tuple(self._changed)


def in_layouts(tensors: Tensors, layouts: list[torch.memory_format]) -> Tensors:
    """The tensors in these layouts."""
    return tuple(tensor.contiguous(memory_format=layout) for tensor, layout in zip(tensors, layouts, strict=True))


def _answers(forward_func: Callable[..., Any]) -> dict[object, bool]:
    try:
        answers: dict[object, bool] = _indifferent.setdefault(getattr(forward_func, "__self__", forward_func), {})
    except TypeError:  # it takes no weak references: asked again at the next call
        return {}
    return answers


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
    return {module.in_channels for module in modules if isinstance(module, nn.Conv2d) and _on_cpu(module)}


def _on_cpu(module: nn.Module) -> bool:
    return all(parameter.device.type == "cpu" for parameter in module.parameters())


def _agree(own: object, other: object, forward_func: Callable[..., Any]) -> bool:
    """Whether two outputs agree in half of their digits.

    In torchvision's architectures (random weights, float32) the kernels' rounding is up to 1e-5 of the largest output;
    what another picture changes is .02 and more.
    """
    if not (isinstance(own, Tensor) and isinstance(other, Tensor)) or own.shape != other.shape or own.is_complex():
        return False
    parameters = (parameter for root in modules_of(forward_func) for parameter in root.parameters())
    dtypes = {tensor.dtype for tensor in (own, *parameters) if tensor.is_floating_point()}
    eps = max((torch.finfo(dtype).eps for dtype in dtypes), default=0.0)
    first, second = own.detach().cpu().double(), other.detach().cpu().double()
    size = float(first.abs().nan_to_num(0, 0, 0).amax()) if first.numel() else 0.0
    return torch.allclose(second, first, rtol=0, atol=math.sqrt(eps) * size, equal_nan=True)
