"""A pretended device for machines that have no other: tensors that say they are on it, and compute on the CPU."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# The one device besides the CPU that every build of torch can differentiate on. What is there has data all the same.
DEVICE = torch.device("meta")

_has_float64 = [False]


class Elsewhere(Tensor):
    """A tensor on the pretended device, which mixes with no other and has no float64, as MPS."""

    is_meta = False
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: Tensor) -> Elsewhere:
        if values.dtype == torch.float64 and not _has_float64[-1]:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        layout = {"strides": values.stride(), "storage_offset": values.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(cls, values.size(), dtype=values.dtype, device=DEVICE, **layout)

    def __init__(self, values: Tensor) -> None:
        self.values_here = values

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        # Those that devices allow: copies, and indices from the CPU.
        mix = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default, torch.ops.aten.index.Tensor)
        if func not in mix and any(not isinstance(tensor, cls) and tensor.dim() for tensor in tensors):
            raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices.")
        stays = torch.device(kwargs.get("device") or DEVICE) == DEVICE
        if func is torch.ops.aten.copy_.default:
            stays = isinstance(args[0], cls)
        if kwargs.get("device") is not None:
            kwargs["device"] = "cpu"
        args, kwargs = tree_map(_inner, (args, kwargs))
        assert not any(isinstance(leaf, Tensor) and leaf.is_meta for leaf in tree_leaves(args)), "has no data"
        result = func(*args, **kwargs)
        if func is torch.ops.aten._local_scalar_dense.default or not stays:
            return result
        return tree_map(lambda value: cls(value) if isinstance(value, Tensor) else value, result)


def _inner(value):
    return value.values_here if isinstance(value, Elsewhere) else value


class _Made(TorchDispatchMode):
    """Tensors that are made on the device or moved there are on the pretended one."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        there = kwargs.get("device") is not None and torch.device(kwargs["device"]) == DEVICE
        if not there or any(isinstance(leaf, Elsewhere) for leaf in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)
        return Elsewhere(func(*args, **kwargs | {"device": "cpu"}))


class _Listed(TorchFunctionMode):
    """What torch turns into tensors or out of them without a dispatch."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.tensor and torch.device(kwargs.get("device") or "cpu") == DEVICE:
            return Elsewhere(torch.tensor(*args, **kwargs | {"device": "cpu"}))
        if isinstance(args[0] if args else None, Elsewhere):
            if func is Tensor.tolist:
                return args[0].values_here.tolist()
            if func is Tensor.__getitem__ and isinstance(args[1], tuple):
                args = (args[0], tuple(torch.tensor(key) if isinstance(key, list) else key for key in args[1]))
            if func in (Tensor.new_tensor, torch.unravel_index):
                return tree_map(Elsewhere, func(args[0].values_here, *args[1:], **kwargs))
        return func(*args, **kwargs)


@contextmanager
def pretended(float64: bool = False):
    """Inside it, the pretended device is one that torch knows, as MPS without float64 or as CUDA with it."""
    _has_float64.append(float64)
    try:
        with _Made(), _Listed():
            yield
    finally:
        _has_float64.pop()


class Move(torch.autograd.Function):
    """To the pretended device or back, with a gradient."""

    @staticmethod
    def forward(ctx, x):
        return Elsewhere(x.detach().clone()) if x.device.type == "cpu" else x.values_here.clone()

    @staticmethod
    def backward(ctx, gradient):
        return Elsewhere(gradient.clone()) if gradient.device.type == "cpu" else gradient.values_here.clone()


def moved(model: nn.Module) -> nn.Module:
    """The model with its parameters and buffers on the pretended device."""
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                module._parameters[name] = nn.Parameter(Elsewhere(parameter.detach()))
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = Elsewhere(buffer)
    return model
