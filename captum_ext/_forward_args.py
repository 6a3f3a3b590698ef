"""The additional arguments of ``forward_func``: which rows of them go with which rows of the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from captum_ext._compat import expand_additional_forward_args

ForwardArgs = tuple[Any, ...] | None


@dataclass(frozen=True, eq=False)
class Unrepeated:
    """An additional argument that belongs to the whole call, not row by row to the examples.

    Any other tensor in ``additional_forward_args`` has one row an example, and is sliced and repeated along with the
    examples and the steps of the path. One in this wrapper reaches ``forward_func`` as it is: the adjacency of a graph
    that all examples share, a causal mask (T, T), an embedding table. It is handed over itself, not a copy, so
    ``forward_func`` must not write to it. All methods and metrics of this library unwrap it; Captum's own do not: for
    those write ``lambda x: model(x, adjacency)``.

    Args:
        tensor: The tensor, of any shape, layout and device.

    Raises:
        TypeError: If it is not a tensor; nothing else is ever repeated.

    Example:
        >>> from captum_ext.attr import IDGI, Unrepeated
        >>> adjacency = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # one graph of three nodes
        >>> def score(x, adjacency):  # x: (B, 3)
        ...     return torch.tanh(x @ adjacency).sum(1)
        >>> IDGI(score).attribute(torch.rand(5, 3), additional_forward_args=Unrepeated(adjacency)).shape
        torch.Size([5, 3])
    """

    tensor: Tensor

    def __post_init__(self) -> None:
        """Refuse what needs no wrapper."""
        if not isinstance(self.tensor, Tensor):
            raise TypeError(
                f"Unrepeated: expected a tensor, got {type(self.tensor).__name__}, which is never repeated. Pass it as "
                "it is."
            )


def repeated(arguments: ForwardArgs, steps: int) -> ForwardArgs:
    """The arguments of ``steps`` points of each example, one row a point, as ``forward_func`` takes them."""
    expanded: ForwardArgs = expand_additional_forward_args(arguments, steps)
    return None if expanded is None else tuple(_unwrapped(argument) for argument in expanded)


def rows_of(arguments: ForwardArgs, rows: slice | Tensor) -> ForwardArgs:
    """The arguments of some examples."""
    if arguments is None:
        return None
    return tuple(arg[rows] if isinstance(arg, Tensor) and arg.dim() else arg for arg in arguments)


def _unwrapped(argument: Any) -> Any:
    return argument.tensor if isinstance(argument, Unrepeated) else argument
