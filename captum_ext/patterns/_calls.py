"""Intercepted calls of linear and convolution functions, with their input and weight.

A layer is identified by its weight and not by its module: what counts is the call of ``F.linear`` or ``F.conv2d`` with
the weight, for any forward method (asymmetric padding, a functional call, a module used twice) that makes this call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS: dict[object, int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}
_TRANSPOSED: dict[object, int] = {
    torch.conv_transpose1d: 1,
    torch.conv_transpose2d: 2,
    torch.conv_transpose3d: 3,
}
_CONV_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED_NAMES = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_CACHED_VALUES, _GPU_VALUES = 2**20, 2**26  # 4 MB, which a CPU caches; and 256 MB


def chunk_values(device: torch.device) -> int:
    """The number of values to process at a time: as many as a CPU caches, or enough to keep a GPU busy."""
    return _CACHED_VALUES if device.type == "cpu" else _GPU_VALUES


@dataclass(frozen=True)
class Call:
    """One call of a linear or convolution function.

    Attributes:
        input: Its input, padded if the function's padding is asymmetric.
        weight: Its weight.
        dims: The number of spatial dimensions, 0 for a linear function.
        input_padding: The padding that was added to the input, in the format of ``F.pad``.
    """

    input: Tensor
    weight: Tensor
    dims: int = 0
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()
    input_padding: tuple[int, ...] = ()

    def input_gradient(self, grad_output: Tensor, weight: Tensor) -> Tensor:
        """The vector-Jacobian product with another weight instead of the call's weight."""
        if self.dims == 0:
            return grad_output @ weight
        gradient: Tensor = self._backward(grad_output, weight, (True, False, False))[0]
        return functional.pad(gradient, [-size for size in self.input_padding]) if self.input_padding else gradient

    def weight_gradient(self, grad_output: Tensor) -> Tensor:
        """The sum over all samples (rows, or patches) of sample times output gradient, in the weight's shape."""
        return self._weight_gradient(grad_output, self.weight)

    def weight_gradients(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """The weight gradients for two output gradients of a convolution, from one pass over the samples."""
        if not self.transposed and (self.groups > 1 or self.weight.shape[2:].numel() == 1):
            return self._gradients_from_patches(one, other)
        # Put each group's units side by side, as in a layer with twice as many units.
        groups = self.groups
        doubled = torch.cat([part.unflatten(1, (groups, -1)) for part in (one, other)], 2).flatten(1, 2)
        units = 1 if self.transposed else 0
        shape = list(self.weight.shape)
        shape[units] *= 2
        both = self._weight_gradient(doubled, self.weight.new_empty(1).expand(shape))
        if self.transposed:
            return both[:, : shape[1] // 2], both[:, shape[1] // 2 :]
        first, second = both.unflatten(0, (groups, 2, -1)).unbind(1)
        return first.flatten(0, 1), second.flatten(0, 1)

    def _gradients_from_patches(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        # The kernels for grouped and for 1 x 1 convolutions are several times slower than a product with the patches.
        x = functional.pad(self.input, [side for size in reversed(self.padding) for side in (size, size)])
        for axis, size in enumerate(self.weight.shape[2:]):
            reach = self.dilation[axis] * (size - 1) + 1
            x = x.unfold(2 + axis, reach, self.stride[axis])[..., :: self.dilation[axis]]
        out, kernel = range(3, 3 + self.dims), range(3 + self.dims, 3 + 2 * self.dims)
        patches = x.unflatten(1, (self.groups, -1)).permute(0, 1, 2, *kernel, *out)
        units = torch.cat([part.unflatten(1, (self.groups, -1)).flatten(3) for part in (one, other)], 2)
        step = max(1, chunk_values(patches.device) // patches[:, :1].numel())
        both = torch.cat(
            [_patch_products(units[:, k : k + step], patches[:, k : k + step]) for k in range(0, self.groups, step)]
        )
        first, second = both.chunk(2, 1)
        return first.reshape(self.weight.shape), second.reshape(self.weight.shape)

    def rows(self, rows: slice) -> Call:
        """The call with some of the examples."""
        return replace(self, input=self.input[rows])

    def sample_sum(self, output: Tensor) -> Tensor:
        """The sum of all samples that gave this output, in the shape of a weight with one unit per group."""
        if self.dims == 0:
            return self._rows(self.input).sum(0, keepdim=True)
        shape = list(self.weight.shape)
        shape[1 if self.transposed else 0] = 1 if self.transposed else self.groups
        ones = self.input.new_ones(len(self.input), self.groups, *output.shape[2:])
        return self._weight_gradient(ones, self.weight.new_empty(1).expand(shape))

    def to(self, dtype: torch.dtype) -> Call:
        """The same call in another dtype."""
        return replace(self, input=self.input.detach().to(dtype), weight=self.weight.detach().to(dtype))

    def _weight_gradient(self, grad_output: Tensor, weight: Tensor) -> Tensor:
        if self.dims == 0:
            return self._rows(grad_output).T @ self._rows(self.input)
        gradient: Tensor = self._backward(grad_output, weight, (False, True, False))[1]
        return gradient

    @staticmethod
    def _rows(tensor: Tensor) -> Tensor:
        return tensor.reshape(-1, tensor.shape[-1])

    def _backward(self, grad_output: Tensor, weight: Tensor, output_mask: tuple[bool, bool, bool]) -> Any:
        return torch.ops.aten.convolution_backward(
            grad_output,
            self.input,
            weight,
            None,
            self.stride,
            self.padding,
            self.dilation,
            self.transposed,
            self.output_padding,
            self.groups,
            output_mask,
        )


def _patch_products(units: Tensor, patches: Tensor) -> Tensor:
    """The products of units (B, groups, units, samples) and patches (B, groups, ..., samples), summed over examples."""
    features = patches.flatten(0, 1).reshape(units.shape[0] * units.shape[1], -1, units.shape[3])
    products: Tensor = torch.bmm(units.flatten(0, 1), features.transpose(1, 2)).unflatten(0, units.shape[:2]).sum(0)
    return products


def called_weight(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The weight argument of a linear or convolution function; ``None`` for other functions."""
    if func is functional.linear or func in _CONVOLUTIONS or func in _TRANSPOSED:
        weight: Tensor | None = args[1] if len(args) > 1 else kwargs.get("weight")
        return weight
    return None


def parse_call(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
    """The call of ``func``, or ``None`` if it is not a linear or convolution function."""
    if func is functional.linear:
        arguments = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
        return Call(arguments["input"], arguments["weight"])
    transposed = func in _TRANSPOSED
    dims = _TRANSPOSED[func] if transposed else _CONVOLUTIONS.get(func, 0)
    if not dims:
        return None
    arguments = dict(zip(_TRANSPOSED_NAMES if transposed else _CONV_NAMES, args, strict=False)) | kwargs
    if arguments["input"].dim() != dims + 2:
        raise ValueError(
            f"Patterns need batched convolutions, (B, C, ...); got an input of shape {tuple(arguments['input'].shape)}."
        )
    dilation = _per_dimension(arguments.get("dilation", 1), dims)
    call = Call(
        arguments["input"],
        arguments["weight"],
        dims,
        stride=_per_dimension(arguments.get("stride", 1), dims),
        dilation=dilation,
        groups=arguments.get("groups", 1),
        transposed=transposed,
        output_padding=_per_dimension(arguments.get("output_padding", 0), dims),
    )
    padding = arguments.get("padding", 0)
    if padding == "same":
        return _pad_same(call)
    return replace(call, padding=_per_dimension(0 if padding == "valid" else padding, dims))


def _pad_same(call: Call) -> Call:
    sides: list[int] = []  # in the order of F.pad: the last dimension first
    for size, dilation in zip(reversed(call.weight.shape[2:]), reversed(call.dilation), strict=True):
        total = dilation * (size - 1)
        sides += [total // 2, total - total // 2]
    if sides[::2] == sides[1::2]:
        return replace(call, padding=tuple(reversed(sides[::2])))
    return replace(
        call,
        input=functional.pad(call.input, sides),
        padding=(0,) * call.dims,
        input_padding=tuple(sides),
    )


def _per_dimension(value: Any, dims: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


class LayerObserver(TorchFunctionMode):
    """Observes the calls of some layers while it is active."""

    def __init__(self, names: dict[int, str]) -> None:
        """Observe layers; ``names`` maps the ids of their weights to their names."""
        super().__init__()
        self._names = names

    def observe(self, name: str, call: Call, output: Tensor) -> None:
        """Process a call of one of the layers."""
        raise NotImplementedError

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the function, and process the call if it belongs to one of the layers."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = self._names.get(id(called_weight(func, args, kwargs)))
        if name is not None:
            call = parse_call(func, args, kwargs)
            assert call is not None, "it has a weight"
            self.observe(name, call, result)
        return result
