"""The buffers of a model, put back after forward passes."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from captum_ext._utils.warnings import warn

_SMALL = 1 << 16  # bytes; BatchNorm's buffers are smaller
_COMPRESSED = {  # the two methods that give the indices of a compressed sparse tensor
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
    torch.sparse_bsc: ("ccol_indices", "row_indices"),
}
_LAYOUTS = (torch.strided, torch.sparse_coo, *_COMPRESSED)
_clone_lock = threading.Lock()


@contextmanager
def preserve_buffers(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Put back the modules' buffers at the end, also after an exception."""
    snapshot = BufferSnapshot(modules)
    try:
        yield
    finally:
        snapshot.restore()


class BufferSnapshot:
    """The buffers of some modules at one moment.

    Copies and comparisons take one operation per device and dtype, and so one wait each on a GPU. Large buffers on the
    CPU are copied only when something writes to them. Buffers whose data can't be compared (meta, uninitialized,
    quantized, tensor subclasses) are left alone, but stay in their place.

    Args:
        modules: The modules; submodules are not looked for.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        # torch's layers keep no numbers or flags about their buffers, and there may be hundreds of these layers.
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
        self._others: list[_Parts] = []
        with torch.no_grad():
            for buffer in buffers.values():
                if type(buffer) is Tensor and _is_small(buffer):
                    small[buffer.device, buffer.dtype].append(buffer)
                elif buffer is not None and _is_comparable(buffer):
                    with suppress(Exception):  # a kind of tensor that is not known here is left alone
                        self._others.append(_Parts(buffer))
            self._small = [_Joined(group) for group in small.values()]

    def restore(self) -> None:
        """Put back what has changed.

        Warns:
            UserWarning: If something can't be put back. Nothing is raised, so that finished results are not lost.
        """
        steps: list[Callable[[], None]] = [
            partial(_restore_module, module, buffers, attributes)
            for module, buffers, attributes in self._modules
            if (buffers or module._buffers) and not _is_same(dict(module._buffers.items()), buffers)
        ]
        steps += [joined.restore for joined in self._small]
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
                f"A buffer that the forward passes changed could not be put back ({errors[0]}). The results are not "
                "affected; load the model's state_dict() again if it is to be as before."
            )


def _is_same(now: dict[str, Any], before: dict[str, Any]) -> bool:
    return now.keys() == before.keys() and all(now[name] is buffer for name, buffer in before.items())


def _restore_module(module: nn.Module, buffers: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Give a module the buffers that it had, and the numbers and flags.

    Those often say what a buffer holds that the forward pass has made (``self.ready``, ``self.cached_length``).
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
    """No attribute of this name."""


_MISSING = _Missing()
_FLAGS = (bool, int, float, str, type(None), _Missing)


class _Joined:
    """Small tensors of one device and dtype, copied in one operation."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = tensors
        self._shapes = [tensor.shape for tensor in tensors]
        self._values = _joined(tensors)

    def restore(self) -> None:
        if self._values is None:
            return
        shapes = [tensor.shape for tensor in self._tensors]
        if shapes == self._shapes and not any(map(_is_emptied, self._tensors)):
            now = _joined(self._tensors)
            if now is not None and now.dtype == self._values.dtype and _equal(now, self._values):
                return
        values = self._values.split([shape.numel() for shape in self._shapes])
        for tensor, value, shape in zip(self._tensors, values, self._shapes, strict=True):
            _put_back(tensor, value.view(shape))


class _Parts:
    """A large tensor, or a sparse or nested one with the tensors in which it has its data."""

    def __init__(self, buffer: Tensor) -> None:
        self._buffer = buffer
        # Shares the memory, and keeps its shape and parts when the forward pass gives the buffer others.
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
            if _is_emptied(part):
                raise RuntimeError("its memory was given back")
            if not _share_memory(part, copy):
                _put_back(part, copy)


def _put_back(tensor: Tensor, value: Tensor) -> None:
    same = tensor.shape == value.shape and tensor.dtype == value.dtype and tensor.device == value.device
    same = same and not _is_emptied(tensor)
    if same and _equal(tensor, value):
        return
    with torch.inference_mode(tensor.is_inference()):
        if same:
            tensor.copy_(value)
        else:
            tensor.data = value.clone()


def _is_emptied(tensor: Tensor) -> bool:
    """Whether its memory was given back, as by ``untyped_storage().resize_(0)``; reading it would end the process."""
    return tensor.is_cpu and tensor.numel() > 0 and tensor.untyped_storage().nbytes() == 0


def _is_small(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_quantized or tensor.is_meta:
        return False
    # On other devices all are: a copy of 400 MB takes a GPU less than a millisecond.
    return (tensor.nbytes <= _SMALL or not tensor.is_cpu) and tensor.is_contiguous()


def _is_comparable(buffer: Tensor) -> bool:
    if is_lazy(buffer) or buffer.is_meta or buffer.is_quantized:
        return False
    return buffer.is_nested or (type(buffer) in (Tensor, nn.Parameter) and buffer.layout in _LAYOUTS)


def _parts(buffer: Tensor) -> list[Tensor]:
    """The strided tensors in whose memory a buffer has its data."""
    if buffer.is_nested:
        return list(buffer.unbind())
    if buffer.layout == torch.sparse_coo:
        return [buffer._indices(), buffer._values()]
    if buffer.layout in _COMPRESSED:
        return [*(getattr(buffer, name)() for name in _COMPRESSED[buffer.layout]), buffer.values()]
    return [buffer]


def _without_repetitions(part: Tensor) -> Tensor:
    """An expanded tensor without the dimensions along which it is the same memory."""
    if not part.is_contiguous():
        for dim, stride in enumerate(part.stride()):
            if stride == 0:
                part = part.narrow(dim, 0, min(1, part.shape[dim]))
    return part


def _copy(part: Tensor) -> Tensor:
    """A copy that shares the memory, where torch can, until something writes to either.

    A write moves the tensor written to, which CUDA graphs would miss; so this is for the CPU only.
    """
    if part.is_cpu:
        try:
            with _clone_lock:  # two threads must not do this to one storage at the same time
                return torch._lazy_clone(part)
        except (AttributeError, RuntimeError):  # the memory is NumPy's or a file's
            pass
    return part.clone()


def _share_memory(part: Tensor, copy: Tensor) -> bool:
    address = torch._C._data_address  # type: ignore[attr-defined]  # data_ptr() would count as a write
    return bool(address(part) == address(copy))


def _joined(tensors: list[Tensor]) -> Tensor | None:
    """A copy of all tensors in one, or None if torch has no such operation for them."""
    try:
        return torch.cat([tensor if tensor.dim() == 1 else tensor.reshape(-1) for tensor in tensors])
    except RuntimeError:
        return None


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same bytes: NaN equals itself."""
    flat = (tensor.resolve_conj().resolve_neg().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return torch.equal(*flat)
