"""Restore the buffers of a model after forward passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from captum_ext._utils.locks import ShortLock
from captum_ext._utils.warnings import warn

_SMALL = 1 << 16  # bytes; BatchNorm's buffers are smaller
_COMPRESSED = {  # the two methods that give the indices of a compressed sparse tensor
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
    torch.sparse_bsc: ("ccol_indices", "row_indices"),
}
_LAYOUTS = (torch.strided, torch.sparse_coo, *_COMPRESSED)
_copy_lock = ShortLock()


@contextmanager
def preserve_buffers(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Restore the modules' buffers at the end, even after an exception."""
    snapshot = BufferSnapshot(modules)
    try:
        yield
    finally:
        snapshot.restore()


class BufferSnapshot:
    """The buffers of some modules at one moment.

    Copies and comparisons take one operation, and on a GPU one synchronization, per device and dtype. Large buffers on
    the CPU are copied only if something writes to them. The data of buffers that can't be compared (meta,
    uninitialized, quantized, tensor subclasses) is not restored, but a replaced buffer is.

    Args:
        modules: The modules, without their submodules.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        # Layers of torch itself need no attributes restored, and a model may have hundreds of them.
        self._modules: list[tuple[nn.Module, dict[str, Any], dict[str, Any]]] = [
            (
                module,
                dict(module._buffers.items()),  # a scripted module has no plain dict
                {} if type(module).__module__.startswith("torch.nn.") else dict(vars(module)),
            )
            for module in modules
        ]
        buffers = {id(buffer): buffer for _, own, _ in self._modules if own for buffer in own.values()}
        small: defaultdict[tuple[torch.device, torch.dtype], list[Tensor]] = defaultdict(list)
        self._others: list[_LargeBuffer] = []
        with torch.no_grad():
            for buffer in buffers.values():
                if type(buffer) is Tensor and _is_small(buffer):
                    small[buffer.device, buffer.dtype].append(buffer)
                elif buffer is not None and _is_comparable(buffer):
                    with suppress(Exception):  # of an unknown kind of tensor, whose data is not restored
                        self._others.append(_LargeBuffer(buffer))
            self._small = [_SmallBuffers(group) for group in small.values()]

    def restore(self) -> None:
        """Restore the buffers that have changed.

        Warns:
            UserWarning: If a buffer can't be restored. It is not an exception, so that results are not lost.
        """
        steps: list[Callable[[], None]] = [
            partial(_restore_module, module, buffers, attributes)
            for module, buffers, attributes in self._modules
            if (buffers or module._buffers) and not _is_same(dict(module._buffers.items()), buffers)
        ]
        steps += [group.restore for group in self._small]
        steps += [other.restore for other in self._others]
        errors = []
        with torch.no_grad():
            for step in steps:
                try:
                    step()
                except Exception as error:  # buffers may be of any kind
                    errors.append(error)
        if errors:
            warn(
                f"A buffer that the forward passes changed could not be restored ({errors[0]}). The attributions are "
                "not affected. To restore the model, load its state_dict() again."
            )


def _is_same(now: dict[str, Any], before: dict[str, Any]) -> bool:
    return now.keys() == before.keys() and all(now[name] is buffer for name, buffer in before.items())


def _restore_module(module: nn.Module, buffers: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Restore a module's buffers, and its numbers and flags.

    These often describe a buffer that the forward pass has created (``self.ready``, ``self.cached_length``).
    """
    for name in [name for name in module._buffers if name not in buffers]:
        del module._buffers[name]
        module._non_persistent_buffers_set.discard(name)
    for name, buffer in buffers.items():
        module._buffers[name] = buffer
    now = vars(module) if attributes else {}
    for name in now.keys() | attributes.keys():
        before, value = attributes.get(name, _MISSING), now.get(name, _MISSING)
        if before is not value and isinstance(before, _FLAGS) and isinstance(value, _FLAGS):
            if before is _MISSING:
                del now[name]
            else:
                now[name] = before


class _Missing:
    """The value of an attribute that does not exist."""


_MISSING = _Missing()
_FLAGS = (bool, int, float, str, type(None), _Missing)


class _SmallBuffers:
    """Small buffers of one device and dtype, copied in one operation."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = tensors
        self._shapes = [tensor.shape for tensor in tensors]
        self._versions = list(map(_write_count, tensors))
        self._values = _join(tensors)

    def restore(self) -> None:
        if self._values is None:
            return
        shapes = [tensor.shape for tensor in self._tensors]
        if shapes == self._shapes and not any(map(_is_released, self._tensors)):
            now = _join(self._tensors)
            if now is not None and now.dtype == self._values.dtype and _equal(now, self._values):
                return
        values = self._values.split([shape.numel() for shape in self._shapes])
        for tensor, value, shape, version in zip(self._tensors, values, self._shapes, self._versions, strict=True):
            _restore_value(tensor, value.view(shape), hide=version is not None and _write_count(tensor) == version)


class _LargeBuffer:
    """A large, sparse or nested tensor, with the tensors that hold its data."""

    def __init__(self, buffer: Tensor) -> None:
        self._buffer = buffer
        # It shares the memory, and keeps its shape and parts if the forward pass changes those of the buffer.
        self._alias = buffer.detach()
        self._parts = _parts(self._alias)
        self._copies = [_copy(_without_repetitions(part)) for part in self._parts]

    def restore(self) -> None:
        buffer, alias = self._buffer, self._alias
        same = buffer.dtype == alias.dtype and buffer.device == alias.device
        same = same and (buffer.is_nested or buffer.shape == alias.shape)  # nested tensors have no shape
        now = _parts(buffer) if same else []
        if len(now) != len(self._parts) or not all(map(Tensor.is_set_to, now, self._parts)):
            with torch.inference_mode(alias.is_inference()):
                buffer.data = alias
        for part, copy in zip(map(_without_repetitions, self._parts), self._copies, strict=True):
            if _is_released(part):
                raise RuntimeError("its memory was released")
            if not _share_memory(part, copy):
                _restore_value(part, copy)


def _write_count(tensor: Tensor) -> int | None:
    """The number of writes that autograd has seen; ``None`` for inference tensors, which have no counter."""
    return None if tensor.is_inference() else tensor._version


def _restore_value(tensor: Tensor, value: Tensor, *, hide: bool = False) -> None:
    """Write the value unless the tensor has it.

    ``hide`` hides the write from autograd. BatchNorm in training mode changes its buffers with a hidden write. After a
    visible write, autograd could not differentiate the graphs that hold them.
    """
    same = tensor.shape == value.shape and tensor.dtype == value.dtype and tensor.device == value.device
    same = same and not _is_released(tensor)
    if same and _equal(tensor, value):
        return
    with torch.inference_mode(tensor.is_inference()):
        if same:
            (tensor.data if hide else tensor).copy_(value)
        else:
            tensor.data = value.clone()


def _is_released(tensor: Tensor) -> bool:
    """Whether its memory was released, as ``untyped_storage().resize_(0)`` does. Reading it would crash the process."""
    return tensor.is_cpu and tensor.numel() > 0 and tensor.untyped_storage().nbytes() == 0


def _is_small(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_quantized or tensor.is_meta:
        return False
    # On other devices, all tensors count as small: a GPU copies 400 MB in less than a millisecond.
    return (tensor.nbytes <= _SMALL or not tensor.is_cpu) and tensor.is_contiguous()


def _is_comparable(buffer: Tensor) -> bool:
    if is_lazy(buffer) or buffer.is_meta or buffer.is_quantized:
        return False
    return buffer.is_nested or (type(buffer) in (Tensor, nn.Parameter) and buffer.layout in _LAYOUTS)


def _parts(buffer: Tensor) -> list[Tensor]:
    """The strided tensors that hold a buffer's data."""
    if buffer.is_nested:
        return list(buffer.unbind())
    if buffer.layout == torch.sparse_coo:
        return [buffer._indices(), buffer._values()]
    if buffer.layout in _COMPRESSED:
        return [*(getattr(buffer, name)() for name in _COMPRESSED[buffer.layout]), buffer.values()]
    return [buffer]


def _without_repetitions(part: Tensor) -> Tensor:
    """Drop the repetitions of an expanded tensor, which share memory."""
    if not part.is_contiguous():
        for dim, stride in enumerate(part.stride()):
            if stride == 0:
                part = part.narrow(dim, 0, min(1, part.shape[dim]))
    return part


def _copy(part: Tensor) -> Tensor:
    """A copy that, if possible, shares the memory until something writes to either tensor.

    This is for the CPU only: a write moves the tensor to other memory, which CUDA graphs would not notice.
    """
    if part.is_cpu:
        try:
            with _copy_lock.hold():  # for threads that copy the same storage
                return torch._lazy_clone(part)
        except (AttributeError, RuntimeError):  # memory of NumPy or of a file
            pass
    return part.clone()


def _share_memory(part: Tensor, copy: Tensor) -> bool:
    address = torch._C._data_address  # type: ignore[attr-defined]  # data_ptr() would count as a write
    return bool(address(part) == address(copy))


def _join(tensors: list[Tensor]) -> Tensor | None:
    """A copy of all tensors in one, or ``None`` if torch can't join them."""
    try:
        return torch.cat([tensor if tensor.dim() == 1 else tensor.reshape(-1) for tensor in tensors])
    except RuntimeError:
        return None


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same bytes; NaN equals NaN."""
    flat = (tensor.resolve_conj().resolve_neg().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return torch.equal(*flat)
