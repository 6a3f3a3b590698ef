"""Counts of what a device would do: kernels launched, waits of the host, copies, and operations in float64.

A device is pretended (``tests.elsewhere``), with data, so that the counts include whatever depends on it. (Fake tensors
on "cuda" can't be differentiated without a driver.)
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests import elsewhere
from tests.elsewhere import DEVICE, Elsewhere

_aten = torch.ops.aten
_COPIES = (_aten._to_copy.default, _aten.copy_.default)
# They read a number, or make a tensor whose size depends on the data.
_WAITS = ("_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "unique_dim", "bincount")
# They launch nothing.
_FREE = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "lift_fresh")
_FROM_LISTS = (torch.tensor, torch.as_tensor, Tensor.new_tensor)


@dataclass
class Counts:
    """What happened on the device, and on the CPU beside it."""

    launches: int = 0
    waits: int = 0
    float64: int = 0
    copies: int = 0  # to the device, without a wait
    cpu: int = 0  # operations

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def __truediv__(self, passes: int) -> Counts:
        quotients = [divmod(getattr(self, field.name), passes) for field in fields(self)]
        assert not any(rest for _, rest in quotients), f"{self} is not the same in each of {passes} passes"
        return Counts(*(quotient for quotient, _ in quotients))


class _Operations(TorchDispatchMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts
        self.paused = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not self.paused:
            self._count(func, args, kwargs or {}, result)
        return result

    def _count(self, func, args, kwargs, result):
        counts, name = self.counts, func._schema.name.removeprefix("aten::")
        leaves = tree_leaves((args, kwargs))
        there = [leaf for leaf in leaves if isinstance(leaf, Elsewhere)]
        made_there = kwargs.get("device") is not None and torch.device(kwargs["device"]) == DEVICE
        if not there and not made_there:
            counts.cpu += not _is_free(func, name)
            return
        if func in _COPIES:
            source, target = (args[1], args[0]) if func is _aten.copy_.default else (args[0], result)
            if source.device != target.device:
                blocks = target.device.type == "cpu" or not (kwargs.get("non_blocking") or args[2:] == (True,))
                counts.waits += blocks
                counts.copies += not blocks
                return
        if name in _WAITS or (name in ("index", "index_put_", "_index_put_impl_") and _reads(args[1])):
            counts.waits += 1
        if not _is_free(func, name):
            counts.launches += 1
            tensors = [leaf for leaf in (*there, *tree_leaves(result)) if isinstance(leaf, Tensor)]
            counts.float64 += any(tensor.dtype == torch.float64 for tensor in tensors)


def _is_free(func, name):
    views = all(value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns)
    return name in _FREE or (bool(func._schema.returns) and views)


def _reads(indices):
    """Whether an index has to be copied to the device, or counted there."""
    return any(index is not None and (index.device.type == "cpu" or index.dtype == torch.bool) for index in indices)


class _Lists(TorchFunctionMode):
    """Numbers that become tensors, or the other way round, without an operation."""

    def __init__(self, operations: _Operations) -> None:
        super().__init__()
        self.operations = operations

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        there = isinstance(args[0] if args else None, Elsewhere)
        reads = func is Tensor.tolist and there
        device = kwargs.get("device")
        writes = func in _FROM_LISTS and (there if device is None else torch.device(device) == DEVICE)
        if not self.operations.paused:
            self.operations.counts.waits += reads or writes
        return func(*args, **kwargs)


class Counter:
    """The counts of the operations in a context, without those of the model's own passes."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._operations = _Operations(self.counts)

    @contextmanager
    def counting(self):
        """A context in which operations are counted, on a device with float64."""
        with elsewhere.pretended(float64=True), _Lists(self._operations), self._operations:
            yield

    @contextmanager
    def paused(self):
        """A context in which they are not."""
        before, self._operations.paused = self._operations.paused, True
        try:
            yield
        finally:
            self._operations.paused = before


class Model:
    """A model of the least operations, which are not counted, with three outputs per row.

    Args:
        counter: Where to pause.
    """

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.passes = 0

    def __call__(self, x):
        self.passes += torch.is_grad_enabled()
        return _Uncounted.apply(x, self.counter)


class _Uncounted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, counter):
        with counter.paused():
            ctx.save_for_backward(x)
            ctx.counter = counter
            flat = x.flatten(1)
            return torch.stack([torch.sin(flat).sum(1), (flat**2).sum(1), torch.cos(3 * flat).sum(1)], 1)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        with ctx.counter.paused():
            parts = torch.stack([torch.cos(x), 2 * x, -3 * torch.sin(3 * x)], 1)
            return (parts * gradient.reshape(*gradient.shape, *(1,) * (x.dim() - 1))).sum(1), None
