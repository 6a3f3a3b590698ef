"""How points and examples are split into forward passes."""

from __future__ import annotations

from captum_ext._utils.tensors import Tensors

# What a forward pass takes if the user sets no limit, in input values: photographs of 3 x 224 x 224. With more of them
# a CPU spends its time on page faults (EfficientNet-Lite0, float32, two cores, idle: 26 ms a row at 4 rows, 25 at 8, 37
# at 16). Elsewhere more is faster; how much fits is the user's to say.
_PHOTOGRAPH = 3 * 224 * 224
_CPU_PHOTOGRAPHS, _OTHER_PHOTOGRAPHS = 8, 16
_DEFAULT_ROWS = 1024


def split(
    inputs: Tensors, nodes: int, internal_batch_size: int | None, look_ahead: bool
) -> tuple[list[slice], list[slice]]:
    """Split examples and nodes so that no forward pass has more rows than allowed.

    Args:
        inputs: The inputs, each (B, ...).
        nodes: How many nodes the path has.
        internal_batch_size: The most rows, or ``None`` for a size that suits the inputs.
        look_ahead: Whether several nodes may share a pass.

    Returns:
        The slices of examples, and the slices of nodes that each of those takes.
    """
    examples = len(inputs[0])
    rows = internal_batch_size or default_rows(inputs)
    example_chunks = _even_chunks(examples, rows)
    widest = max((chunk.stop - chunk.start for chunk in example_chunks), default=1)
    return example_chunks, _even_chunks(nodes, rows // widest if look_ahead else 1)


def default_rows(inputs: Tensors) -> int:
    """The most rows of a forward pass that the user sets no limit for."""
    values = sum(tensor[0].numel() for tensor in inputs if len(tensor))
    photographs = _CPU_PHOTOGRAPHS if inputs[0].device.type == "cpu" else _OTHER_PHOTOGRAPHS
    return max(1, min(_DEFAULT_ROWS, photographs * _PHOTOGRAPH // max(values, 1)))


def _even_chunks(total: int, most: int) -> list[slice]:
    """As few slices as possible, all of one size but the last: compiled models are made per shape."""
    if total == 0:
        return []
    count = -(-total // most)
    size = -(-total // count)
    return [slice(at, min(at + size, total)) for at in range(0, total, size)]
