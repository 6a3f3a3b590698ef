"""Splitting points and examples into forward passes."""

from __future__ import annotations

import torch

from captum_ext._utils.tensors import Tensors

# The default size of a forward pass, in input values: photographs of 3 x 224 x 224. Larger passes are slower on a CPU
# because of page faults (EfficientNet-Lite0, float32, two idle cores: 26 ms per row at 4 rows, 25 at 8, 37 at 16). On a
# GPU, larger passes are faster, so they are as large as the networks that users explain leave room for.
_PHOTOGRAPH = 3 * 224 * 224
_CPU_PHOTOGRAPHS, _OTHER_PHOTOGRAPHS = 8, 16
_CUDA_PHOTOGRAPHS = ((30, 64), (12, 32), (0, 16))  # from so many GB of the card's total memory
_WITHOUT_GRADIENT = 4  # times as many, since activations are not kept; a CPU's caches gain nothing
_DEFAULT_ROWS = 1024


def split(
    inputs: Tensors, nodes: int, internal_batch_size: int | None, look_ahead: bool, gradients: bool = True
) -> tuple[list[slice], list[slice]]:
    """Split examples and nodes so that no forward pass has more rows than allowed.

    Args:
        inputs: The inputs, each (B, ...).
        nodes: The number of nodes.
        internal_batch_size: The most rows, or ``None`` for :func:`default_rows`.
        look_ahead: Whether several nodes may share a pass.
        gradients: Whether the passes take gradients.

    Returns:
        The slices of examples, and the slices of nodes that are visited for each of them.
    """
    examples = len(inputs[0])
    rows = internal_batch_size or default_rows(inputs, gradients)
    example_chunks = _even_chunks(examples, rows)
    widest = max((chunk.stop - chunk.start for chunk in example_chunks), default=1)
    return example_chunks, _even_chunks(nodes, rows // widest if look_ahead else 1)


def default_rows(inputs: Tensors, gradients: bool = True) -> int:
    """The most rows of a forward pass if the user does not set ``internal_batch_size``."""
    values = sum(tensor[0].numel() for tensor in inputs if len(tensor))
    device = inputs[0].device
    photographs = _photographs(device)
    if not gradients and device.type != "cpu":
        photographs *= _WITHOUT_GRADIENT
    return max(1, min(_DEFAULT_ROWS, photographs * _PHOTOGRAPH // max(values, 1)))


def _photographs(device: torch.device) -> int:
    if device.type == "cpu":
        return _CPU_PHOTOGRAPHS
    if device.type != "cuda":
        return _OTHER_PHOTOGRAPHS
    memory = torch.cuda.get_device_properties(device).total_memory / 1e9
    return next(photographs for least, photographs in _CUDA_PHOTOGRAPHS if memory >= least)


def _even_chunks(total: int, most: int) -> list[slice]:
    """The fewest slices, all except the last of one size, because models are compiled per shape."""
    if total == 0:
        return []
    count = -(-total // most)
    size = -(-total // count)
    return [slice(at, min(at + size, total)) for at in range(0, total, size)]
