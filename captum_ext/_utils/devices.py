"""Differences between devices, and errors for a model and inputs on different devices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from captum_ext._utils._captum import run_forward
from captum_ext._utils.model_state import find_modules

_WITHOUT_FLOAT64 = ("mps",)

# The messages of torch's dispatcher, convolutions, MPS, CUDA and the meta device.
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|STATUS_ALLOC_FAILED", re.IGNORECASE)
_DEVICE_MISMATCH = re.compile(
    r"same device|two devices|expected device|weight type|Placeholder storage|is on (cpu|CPU|cuda|mps|GPU)"
)

_DTYPE_MISMATCH = re.compile(r"same dtype|expected scalar type|to have the same type|bias type|weight type")
_INTEGERS_EXPECTED = re.compile(r"indices.*scalar types: Long, Int")


def has_float64(device: torch.device) -> bool:
    """Whether a device computes in float64."""
    return device.type not in _WITHOUT_FLOAT64


def widest_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on a device without it."""
    return torch.float64 if has_float64(device) else torch.float32


def float64_device(device: torch.device) -> torch.device:
    """The device itself, or the CPU if it has no float64."""
    return device if has_float64(device) else torch.device("cpu")


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """A context without autocast, in which float32 products on CUDA do not use TF32."""
    autocast: AbstractContextManager[Any] = nullcontext()
    if torch.amp.is_autocast_available(device.type):
        autocast = torch.autocast(device.type, enabled=False)
    with autocast, tf32(allowed=False) if device.type == "cuda" else nullcontext():
        yield


def allows_tf32() -> dict[str, bool]:
    """Whether convolutions and products of float32 on CUDA may round their factors to TF32."""
    return {name: getattr(*setting) in ("tf32", True) for name, setting in _tf32_settings().items()}


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """A context in which convolutions and products of float32 on CUDA may use TF32 or not."""
    settings = _tf32_settings().values()
    before = [getattr(backend, name) for backend, name in settings]
    try:
        for backend, name in settings:
            setattr(backend, name, ("tf32" if allowed else "ieee") if name == "fp32_precision" else allowed)
        yield
    finally:
        for (backend, name), value in zip(settings, before, strict=True):
            setattr(backend, name, value)


def _tf32_settings() -> dict[str, tuple[Any, str]]:
    """The settings that allow TF32. Since torch 2.9 these have other names, and the old ones may raise."""
    cudnn: Any = torch.backends.cudnn
    products: Any = torch.backends.cuda.matmul
    if hasattr(products, "fp32_precision") and hasattr(cudnn, "conv"):
        return {"convolutions": (cudnn.conv, "fp32_precision"), "products": (products, "fp32_precision")}
    return {"convolutions": (cudnn, "allow_tf32"), "products": (products, "allow_tf32")}


def number_format(inputs: tuple[Tensor, ...]) -> str:
    """The format in which a model computes with these inputs: their dtype, autocast's, or TF32 where it is allowed."""
    device, first = inputs[0].device, inputs[0]
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        return f"{torch.get_autocast_dtype(device.type)} (autocast)".removeprefix("torch.")
    dtype = str(first.dtype if first.is_floating_point() else torch.get_default_dtype()).removeprefix("torch.")
    tf32 = any(allows_tf32().values())
    return f"{dtype} (TF32 allowed)" if device.type == "cuda" and dtype == "float32" and tf32 else dtype


def run(forward_func: Callable[..., Any], inputs: tuple[Tensor, ...], arguments: Any) -> Any:
    """Call a function with inputs and additional arguments.

    Raises:
        ValueError: If its model and one of the arguments are on different devices, or the inputs have a dtype or a
            shape that it can't take.
    """
    try:
        return run_forward(forward_func, inputs, None, arguments)
    except (RuntimeError, IndexError) as error:
        if is_out_of_memory(error):
            raise
        raise_device_mismatch(error, forward_func, inputs, arguments)
        raise_input_mismatch(error, forward_func, inputs)
        raise


@contextmanager
def explain_device_mismatch(
    forward_func: Callable[..., Any], inputs: tuple[Tensor, ...], arguments: Any
) -> Iterator[None]:
    """Raise a ``ValueError`` if a pass fails because its model and a tensor are on different devices."""
    try:
        yield
    except RuntimeError as error:
        raise_device_mismatch(error, forward_func, inputs, arguments)
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a pass failed because memory ran out; cuDNN and cuBLAS have their own messages for it."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))
    )


def raise_input_mismatch(error: Exception, forward_func: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
    """Raise a ``ValueError`` if this is the error of a model that can't take such inputs."""
    message = str(error)
    if _INTEGERS_EXPECTED.search(message):
        raise ValueError(
            "inputs: the model looks up embeddings of integers, which can't be moved along a path. Explain the "
            "embedding layer, as in LayerIntegratedGradients(model, model.embedding).attribute(ids, ...)."
        ) from error
    if "Can't call numpy()" in message:
        raise ValueError(
            "forward_func: converts tensors to NumPy, as predict_proba does, so it has no gradient. Write the model in "
            "torch."
        ) from error
    if _DTYPE_MISMATCH.search(message):
        roots = find_modules(forward_func).roots
        dtypes = sorted({str(p.dtype) for module in roots for p in module.parameters() if p.is_floating_point()})
        for tensor in inputs:
            if dtypes and str(tensor.dtype) not in dtypes:
                raise ValueError(
                    f"inputs: expected the model's dtype {' or '.join(dtypes)}, got {tensor.dtype}. Write "
                    f"inputs.to({dtypes[0]}), or model.to({tensor.dtype})."
                ) from error
    if all(tensor.dim() == 1 for tensor in inputs):
        raise ValueError(
            "inputs: one dimension, so each number is an example, and the model fails on these. For one example with "
            f"many features, write inputs.unsqueeze(0). ({message.splitlines()[0]})"
        ) from error


def raise_device_mismatch(
    error: Exception, forward_func: Callable[..., Any], inputs: tuple[Tensor, ...], arguments: Any
) -> None:
    """Raise a ``ValueError`` if this is the error of a model and a tensor on different devices."""
    if not _DEVICE_MISMATCH.search(str(error)):
        return
    modules = find_modules(forward_func).roots
    # Modules are in no fixed order; sort, so that the message is always the same.
    devices = sorted({str(parameter.device) for module in modules for parameter in module.parameters()})
    tensors = {"inputs": inputs[0]} if len(inputs) == 1 else {f"inputs[{k}]": tensor for k, tensor in enumerate(inputs)}
    rest = arguments if isinstance(arguments, tuple) else (arguments,)
    tensors |= {f"additional_forward_args[{k}]": arg for k, arg in enumerate(rest) if isinstance(arg, Tensor)}
    for name, tensor in tensors.items():
        if devices and str(tensor.device) not in devices:
            raise ValueError(
                f"{name}: expected the model's device {' or '.join(devices)}, got {tensor.device}. Write "
                f"{name}.to({devices[0]!r}), or model.to({str(tensor.device)!r})."
            ) from error
