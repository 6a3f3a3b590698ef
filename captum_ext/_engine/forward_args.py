"""The additional arguments of ``forward_func``: which rows of them go with which rows of the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from captum_ext._utils._captum import expand_additional_forward_args

ForwardArgs = tuple[Any, ...] | None


@dataclass(frozen=True, eq=False)
class SharedArgument:
    """An additional argument that belongs to the whole call, not row by row to the examples.

    Any other tensor in ``additional_forward_args`` has one row per example, and is sliced and repeated along with the
    examples and the steps of the path, unless a pass holds exactly the examples. One in this wrapper reaches
    ``forward_func`` as it is: the adjacency of a graph that all examples share, a causal mask (T, T), an embedding
    table. It is handed over itself, not a copy, so ``forward_func`` must not write to it. All methods and metrics of
    this library unwrap it; Captum's own do not: for those write ``lambda x: model(x, adjacency)``.

    Args:
        tensor: The tensor, of any shape, layout and device.

    Raises:
        TypeError: If it is not a tensor; nothing else is ever repeated.

    Example:
        >>> from captum_ext.attr import IDGI, SharedArgument
        >>> adjacency = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # one graph of three nodes
        >>> def score(x, adjacency):  # x: (B, 3)
        ...     return torch.tanh(x @ adjacency).sum(1)
        >>> IDGI(score).attribute(torch.rand(5, 3), additional_forward_args=SharedArgument(adjacency)).shape
        torch.Size([5, 3])
    """

    tensor: Tensor

    def __post_init__(self) -> None:
        """Refuse what needs no wrapper."""
        if not isinstance(self.tensor, Tensor):
            raise TypeError(
                f"SharedArgument: expected a tensor, got {type(self.tensor).__name__}, which is never repeated. "
                "Pass it as it is."
            )


@dataclass(frozen=True, eq=False)
class WithoutRows:
    """A tensor without a row for each example: it reaches passes with exactly the user's rows, and no others."""

    tensor: Tensor
    examples: int
    problem: str  # the message for other passes

    def check(self, fits: bool) -> None:
        """Raise ``ValueError`` unless the rows of a pass are the user's."""
        if not fits:
            raise ValueError(self.problem)


def repeated(arguments: ForwardArgs, steps: int) -> ForwardArgs:
    """The arguments of ``steps`` points of each example, one row a point, as ``forward_func`` takes them."""
    if arguments is None:
        return None
    if steps == 1:  # copied, since forward_func may write to them
        return tuple(arg.clone() if isinstance(arg, Tensor) and arg.dim() else _unwrapped(arg) for arg in arguments)
    for argument in arguments:
        if isinstance(argument, WithoutRows):
            argument.check(False)
    return tuple(_unwrapped(argument) for argument in expand_additional_forward_args(arguments, steps) or ())


def rows_of(arguments: ForwardArgs, rows: slice | Tensor) -> ForwardArgs:
    """The arguments of some examples."""
    return None if arguments is None else tuple(_rows_of(argument, rows) for argument in arguments)


def _rows_of(argument: Any, rows: slice | Tensor) -> Any:
    if isinstance(argument, WithoutRows):
        argument.check(_is_all(rows, argument.examples))
    return argument[rows] if isinstance(argument, Tensor) and argument.dim() else argument


def _is_all(rows: slice | Tensor, examples: int) -> bool:
    if isinstance(rows, slice):
        return rows.indices(examples) == (0, examples, 1)
    return len(rows) == examples and rows.tolist() == list(range(examples))


def _unwrapped(argument: Any) -> Any:
    if isinstance(argument, WithoutRows):
        return argument.tensor.clone()
    return argument.tensor if isinstance(argument, SharedArgument) else argument
