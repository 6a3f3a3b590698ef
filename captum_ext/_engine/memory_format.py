"""The memory layout in which a model is given its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from captum_ext._utils.devices import full_precision, is_out_of_memory
from captum_ext._utils.eager import eager_mode
from captum_ext._utils.model_state import find_modules
from captum_ext._utils.tensors import Tensors

_T = TypeVar("_T")

# By model or function: whether its output is the same in both layouts, for each of its methods and choices of inputs.
# The key is the function, not the model inside it, so that no call changes the rounding of another function's calls. An
# answer holds even if the model's weights change: whether code reads memory past the strides does not depend on them.
_same_in_both_layouts: WeakIdKeyDictionary = WeakIdKeyDictionary()


class MemoryFormats:
    """The layout of each input: the user's, or channels_last where that is faster.

    oneDNN's convolutions of photographs are faster with channels last, and later layers keep their layout. Therefore, a
    contiguous float32 input with 2 to 4 channels on the CPU is converted if the model has a convolution with that many
    input channels there, and if one example has the same output in both layouts.

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
        self._original = [_memory_format_of(tensor) for tensor in inputs]
        candidates = [_can_be_faster(tensor) for tensor in inputs]
        channels = _input_channels(forward_func) if any(candidates) else set()
        self.chosen = [
            torch.channels_last if candidate and tensor.shape[1] in channels else original
            for tensor, candidate, original in zip(inputs, candidates, self._original, strict=True)
        ]
        self._changed = [chosen != original for chosen, original in zip(self.chosen, self._original, strict=True)]
        self._compared = self._ran = not any(self._changed)
        self._key = (getattr(forward_func, "__name__", None), tuple(self._changed))

    def attempt(self, run: Callable[[], _T]) -> _T:
        """Return the result of ``run``; if its first call fails, call it again in the user's layouts.

        A model that flattens with ``view()``, or asserts that its input is contiguous, needs the user's layouts.
        """
        if not self._compared:
            self._compared = True
            same = _stored_answers(self._forward_func).get(self._key)
            if not (self._compare() if same is None else same):
                self.chosen, self._ran = self._original, True
        if not self._ran:
            try:
                result = run()
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                self.chosen = self._original
            else:
                self._ran = True
                return result
            result = run()  # outside the handler, so that the model's errors in the user's layout are raised unchanged
            self._ran = True
            _stored_answers(self._forward_func)[self._key] = False
            return result
        return run()

    def _compare(self) -> bool:
        """Whether F is the same for an example in both layouts, as far as one example shows it.

        Code that reads memory past the strides, such as ``as_strided``, computes something else without an error.
        """
        index = self._distinguishing_example()
        if index is None:
            return False
        # Random numbers are drawn alike for both, and the user's generator is left unchanged. In full precision,
        # rounding is far smaller than the difference between two pictures.
        precise = full_precision(torch.device("cpu"))
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), precise, eager_mode():
            state = torch.get_rng_state()
            try:
                original = self._evaluate(index, self._original)
            except Exception:  # the user's error, or a model that does not accept a single example
                return False
            if isinstance(original, Tensor) and not original.any():  # such as weights of zeros before loading others
                return False
            random = not torch.equal(torch.get_rng_state(), state)
            torch.set_rng_state(state)
            try:
                same = _outputs_agree(original, self._evaluate(index, self.chosen), self._forward_func)
            except Exception:
                same = False
        if random and not same:
            return True  # inconclusive, because dropout draws in the order of memory; compared again at the next call
        _stored_answers(self._forward_func)[self._key] = same
        return same

    def _distinguishing_example(self) -> int | None:
        """An example whose memory reads differently in both layouts, unlike that of a picture in one color."""
        pictures = [tensor.detach() for tensor, changed in zip(self._inputs, self._changed, strict=True) if changed]
        for index in range(len(pictures[0])):
            if not any(torch.equal(x[index].flatten(), x[index].permute(1, 2, 0).flatten()) for x in pictures):
                return index
        return None


def in_layouts(tensors: Tensors, layouts: list[torch.memory_format]) -> Tensors:
    """The tensors in these layouts."""
    return tuple(tensor.contiguous(memory_format=layout) for tensor, layout in zip(tensors, layouts, strict=True))


def _stored_answers(forward_func: Callable[..., Any]) -> dict[object, bool]:
    try:
        answers: dict[object, bool] = _same_in_both_layouts.setdefault(
            getattr(forward_func, "__self__", forward_func), {}
        )
    except TypeError:  # the function does not support weak references, so it is compared again at the next call
        return {}
    return answers


def _memory_format_of(tensor: Tensor) -> torch.memory_format:
    if not tensor.is_contiguous():
        for rank, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
            if tensor.dim() == rank and tensor.is_contiguous(memory_format=layout):
                return layout
    return torch.contiguous_format


def _can_be_faster(tensor: Tensor) -> bool:
    return (
        tensor.dim() == 4
        and 2 <= tensor.shape[1] <= 4
        and tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
    )


def _input_channels(forward_func: Callable[..., Any]) -> set[int]:
    """The numbers of input channels of the model's convolutions on the CPU."""
    convolutions = (
        module
        for root in find_modules(forward_func).roots
        for module in root.modules()
        if isinstance(module, nn.Conv2d)
    )
    return {
        convolution.in_channels
        for convolution in convolutions
        if all(parameter.device.type == "cpu" for parameter in convolution.parameters())
    }


def _outputs_agree(original: object, other: object, forward_func: Callable[..., Any]) -> bool:
    """Whether two outputs agree in half of their digits.

    In torchvision's architectures (random weights, float32), rounding changes outputs by up to 1e-5 of the largest one,
    and another picture changes them by at least 0.02.
    """
    if not (isinstance(original, Tensor) and isinstance(other, Tensor)) or original.shape != other.shape:
        return False
    if original.is_complex():
        return False
    parameters = (parameter for module in find_modules(forward_func).roots for parameter in module.parameters())
    dtypes = {tensor.dtype for tensor in (original, *parameters) if tensor.is_floating_point()}
    eps = max((torch.finfo(dtype).eps for dtype in dtypes), default=0.0)
    first, second = original.detach().cpu().double(), other.detach().cpu().double()
    size = float(first.abs().nan_to_num(0, 0, 0).amax()) if first.numel() else 0.0
    return torch.allclose(second, first, rtol=0, atol=math.sqrt(eps) * size, equal_nan=True)
