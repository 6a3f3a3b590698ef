"""The additional arguments of ``forward_func``, and which of their rows belong to which rows of the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from captum_ext._utils._captum import expand_additional_forward_args

ForwardArgs = tuple[Any, ...] | None


@dataclass(frozen=True, eq=False)
class SharedArgument:
    """An additional argument that belongs to the whole call instead of having one row per example.

    Tensors in ``additional_forward_args`` are sliced with the examples and repeated for the steps of the path. A tensor
    in this wrapper is passed to ``forward_func`` unchanged: the adjacency of a graph that all examples share, a causal
    mask (T, T), an embedding table. It is not copied, so ``forward_func`` must not write to it. All methods and metrics
    of this library unwrap it. Captum's do not; for those write ``lambda x: model(x, adjacency)``.

    Args:
        tensor: The tensor, of any shape, layout and device.

    Raises:
        TypeError: If ``tensor`` is not a tensor. Other values are never sliced or repeated and need no wrapper.

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
        """Refuse values that need no wrapper."""
        if not isinstance(self.tensor, Tensor):
            raise TypeError(
                f"SharedArgument: expected a tensor, got {type(self.tensor).__name__}, which is never repeated. "
                "Pass it without the wrapper."
            )


@dataclass(frozen=True, eq=False)
class WithoutRows:
    """A tensor without one row per example, which only passes with exactly the user's rows can take."""

    tensor: Tensor
    examples: int
    problem: str  # the error message for other passes

    def check(self, fits: bool) -> None:
        """Raise ``ValueError`` unless the rows of a pass are the user's."""
        if not fits:
            raise ValueError(self.problem)


def repeated(arguments: ForwardArgs, steps: int) -> ForwardArgs:
    """The arguments for ``steps`` points of each example, one row per point, unwrapped for ``forward_func``."""
    if arguments is None:
        return None
    if steps == 1:  # copied, because forward_func may write to them
        return tuple(
            arg.clone() if isinstance(arg, Tensor) and arg.dim() else _unwrap_argument(arg) for arg in arguments
        )
    for argument in arguments:
        if isinstance(argument, WithoutRows):
            argument.check(False)
    return tuple(_unwrap_argument(argument) for argument in expand_additional_forward_args(arguments, steps) or ())


def rows_of(arguments: ForwardArgs, rows: slice | Tensor) -> ForwardArgs:
    """The arguments of some examples."""
    return None if arguments is None else tuple(_slice_argument(argument, rows) for argument in arguments)


def _slice_argument(argument: Any, rows: slice | Tensor) -> Any:
    if isinstance(argument, WithoutRows):
        every = range(argument.examples)
        argument.check(list(every[rows] if isinstance(rows, slice) else rows.tolist()) == list(every))
    return select_rows(argument, rows) if isinstance(argument, Tensor) and argument.dim() else argument


def select_rows(tensor: Tensor, rows: slice | Tensor) -> Tensor:
    """Some of the rows; the host does not wait for a copy of their indices."""
    return tensor[rows if isinstance(rows, slice) else rows.to(tensor.device, non_blocking=True)]


def _unwrap_argument(argument: Any) -> Any:
    if isinstance(argument, WithoutRows):
        return argument.tensor.clone()
    return argument.tensor if isinstance(argument, SharedArgument) else argument
