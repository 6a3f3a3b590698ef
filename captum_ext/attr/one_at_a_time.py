"""Any method on one position of a sequence at a time: Sequential Integrated Gradients and its relatives."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import torch
from captum.attr import Attribution
from captum.log import log_usage
from torch import Tensor

from captum_ext._engine.arguments import format_arguments, format_baselines
from captum_ext._engine.batching import default_rows
from captum_ext._engine.forward_args import ForwardArgs, repeated, rows_of
from captum_ext._utils.numbers import is_integer, is_number
from captum_ext._utils.tensors import Tensors, by_example, float_dtype, sum_dtype
from captum_ext._utils.types import BaselineType, TargetType
from captum_ext._utils.warnings import warn
from captum_ext.attr._parts import check_flag
from captum_ext.attr.path_attribution import PathAttribution


class OneAtATime(Attribution):
    """A method on one token, or time step, at a time, while the rest of the example stays: SIG.

    For each position the method explains F as a function of that position only; its path leads from the mask to what is
    there. So the model sees a whole sentence with one word that changes, and not a sentence that is mostly blank. With
    :class:`IntegratedGradients` this is Sequential Integrated Gradients; any other path and quadrature works too.

    It takes as many gradients as the method for each position that differs from its baseline. Positions that do not,
    such as padding and special tokens, get exactly 0 and cost nothing. The rows of all positions and examples share
    forward passes.

    There is no convergence delta. The attributions of one position sum to F(x) - F(x without that position), but the
    sum over positions adds such differences, each from another start, and is not the change of F along any path.

    Args:
        method: A method of this library at the inputs, such as ``IntegratedGradients(model)``.
        dim: The dimension of the inputs that counts positions. Default: 1, as in (B, T, D).
        mask: What a position is replaced with: a number, or a tensor in the shape of one position, such as the
            embedding of [MASK], (D,), or a tuple of these, one per input. Default ``None``: the ``baselines`` of
            :meth:`attribute`.
        multiply_by_inputs: Taken for Captum's keyword. Only True, the default, has a meaning here; give the method
            ``multiply_by_inputs=False``.

    Raises:
        TypeError: If ``method`` is something else, as a layer method is, or ``dim`` or ``mask`` has another type.
        ValueError: If ``dim`` is 0, which counts examples, or ``multiply_by_inputs=False``.

    Reference:
        Enguehard: Sequential Integrated Gradients: a simple but effective method for explaining language models.
        Findings of ACL 2023. https://arxiv.org/abs/2305.15853

    Example:
        >>> from captum_ext.attr import IntegratedGradients, OneAtATime
        >>> def model(x):  # (B, T, D) to one number per example
        ...     return x.sum(2).prod(1)
        >>> sig = OneAtATime(IntegratedGradients(model), mask=0.0)
        >>> sig.attribute(torch.tensor([[[2.0, 1.0], [4.0, 0.0]]])).sum(2).round()  # all of F needs each
        tensor([[12., 12.]])
    """

    def __init__(
        self,
        method: PathAttribution,
        dim: int = 1,
        mask: BaselineType | tuple[Tensor | float, ...] = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_flag(multiply_by_inputs)
        if not multiply_by_inputs:
            raise ValueError(
                "multiply_by_inputs: expected True. Have the method leave the factor (inputs - baselines) out, as in "
                "OneAtATime(IntegratedGradients(model, multiply_by_inputs=False))."
            )
        if not isinstance(method, PathAttribution):
            raise TypeError(
                "method: expected a method of captum_ext.attr at the inputs, such as IntegratedGradients(model), got "
                f"{method!r:.80}. For token ids, explain their embeddings (captum_ext.text.TextInputs)."
            )
        if not is_integer(dim):
            raise TypeError(f"dim: expected an integer, got {type(dim).__name__}.")
        if dim == 0:
            raise ValueError("dim: expected the dimension that counts positions, got 0, which counts examples.")
        for one in mask if isinstance(mask, tuple) else (mask,):
            if not (one is None and mask is None) and not isinstance(one, Tensor) and not is_number(one):
                raise TypeError(f"mask: expected a number or a tensor (one position), got {type(one).__name__}.")
        super().__init__(method.forward_func)
        self.method = method
        self.dim = int(dim)
        self.mask = mask

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the method has the factor (inputs - baselines)."""
        return bool(self.method.multiplies_by_inputs)

    def has_convergence_delta(self) -> bool:
        """False; the class says why."""
        return False

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Any,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        internal_batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Attribute the output to each position in turn.

        Args:
            inputs: As for the method's ``attribute``. Several inputs have as many positions each, and move together.
            baselines: What each position is replaced with, if the constructor has no ``mask``: as for the method's
                ``attribute``. Default: zeros.
            target: As for the method's ``attribute``.
            additional_forward_args: Likewise.
            internal_batch_size: The most rows in any forward pass; a row is one point of one position of one example.
                Default ``None``: as for the method at the whole input.
            **kwargs: What else the method's ``attribute`` takes, such as ``n_steps``.

        Returns:
            The attributions, in the shape of the inputs.

        Raises:
            TypeError: If ``kwargs`` has an argument that the method does not take.
            ValueError: If baselines are given twice, the inputs have no such dimension, or the convergence delta or
                diagnostics are asked for; otherwise as the method.

        Warns:
            RuntimeWarning: As the method.
        """
        for name in ("return_convergence_delta", "return_diagnostics", "create_graph"):
            if kwargs.pop(name, False):
                self._refuse(name)
        formatted = format_arguments(inputs, baselines, target, additional_forward_args)
        xs = tuple(self._positions_first(x.detach().to(sum_dtype(x))) for x in formatted.inputs)
        starts = self._starts(xs, formatted.inputs, formatted.baselines)
        rows = self._moving(xs, starts)
        results = [torch.zeros_like(x) for x in xs]
        if len(rows.examples):
            pieces = tuple(x[rows.examples, rows.positions] for x in xs)
            function = _AtPosition(self.method.forward_func, xs, formatted, self.dim)
            with _explained_warnings():
                parts = self._bound(function).attribute(
                    tuple(piece.to(float_dtype(x)) for piece, x in zip(pieces, formatted.inputs, strict=True)),
                    tuple(start[rows.examples, rows.positions] for start in starts),
                    target=_of_rows(formatted.target, rows.examples),
                    additional_forward_args=(rows.examples, rows.positions),
                    internal_batch_size=internal_batch_size or default_rows(formatted.inputs),
                    **kwargs,
                )
            for result, part in zip(results, parts, strict=True):
                result[rows.examples, rows.positions] = part
        shaped = tuple(result.movedim(1, self.dim).contiguous() for result in results)
        return shaped if isinstance(inputs, tuple) else shaped[0]

    def _refuse(self, name: str) -> NoReturn:
        if name == "return_convergence_delta":
            raise ValueError(
                "return_convergence_delta: OneAtATime has none. Each position has its own start, so the sum over "
                "positions is not the change of F along a path. Pass False."
            )
        raise ValueError(f"{name}: not available with OneAtATime, which runs the method per position. Leave it out.")

    def _bound(self, function: Callable[..., Tensor]) -> PathAttribution:
        """The method, for a function of single positions."""
        bound = copy.copy(self.method)
        bound.forward_func = function
        return bound

    def _positions_first(self, x: Tensor) -> Tensor:
        """(B, T, ...), whichever dimension counts the positions."""
        if not (-x.dim() < self.dim < x.dim()) or self.dim % x.dim() == 0:
            raise ValueError(f"inputs: expected positions in dimension {self.dim}, got shape {tuple(x.shape)}.")
        return x.movedim(self.dim, 1)

    def _starts(self, xs: Tensors, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        if len({x.shape[1] for x in xs}) > 1:
            raise ValueError(
                f"inputs: expected as many positions in each, got {[x.shape[1] for x in xs]}. Pass those without "
                "positions as additional_forward_args."
            )
        if self.mask is None:
            formatted = baselines or tuple(torch.zeros_like(x, dtype=sum_dtype(x)) for x in inputs)
            return tuple(map(self._positions_first, formatted))
        if baselines is not None:
            raise ValueError("baselines: the constructor's mask says what replaces a position. Give one of the two.")
        masks = self.mask if isinstance(self.mask, tuple) else (self.mask,)
        if len(masks) != len(xs):
            raise ValueError(f"mask: expected one for each of {len(xs)} inputs, got {len(masks)}.")
        spread = tuple(_spread(mask, x) for mask, x in zip(masks, xs, strict=True))
        starts = format_baselines(spread, xs)
        assert starts is not None, "there is a mask"
        return starts

    def _moving(self, xs: Tensors, starts: Tensors) -> _Rows:
        """The positions that a path moves; all of them for a method without the factor (input - baseline)."""
        different = torch.stack(
            [
                by_example((x != start).flatten(0, 1)).any(1).reshape(x.shape[:2])
                for x, start in zip(xs, starts, strict=True)
            ]
        ).any(0)
        if not self.multiplies_by_inputs:
            different = torch.ones_like(different)
        return _Rows(*different.nonzero().unbind(1))

    @classmethod
    def get_name(cls) -> str:
        """The class's name in words."""
        return "One At A Time"

    def attribute_future(self) -> None:
        """Not there, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")


class _Rows(NamedTuple):
    """The positions to explain, in order of example and position, each (rows,)."""

    examples: Tensor
    positions: Tensor


class _AtPosition:
    """F as a function of one position of each row, the rest of which is an example."""

    def __init__(self, forward_func: Callable[..., Any], xs: Tensors, arguments: Any, dim: int) -> None:
        self.forward_func = forward_func
        self._xs = tuple(x.to(float_dtype(like)) for x, like in zip(xs, arguments.inputs, strict=True))
        self._args: ForwardArgs = arguments.forward_args
        self._dim = dim

    def __call__(self, *arguments: Tensor) -> Any:
        *pieces, examples, positions = arguments
        rows = torch.arange(len(examples), device=examples.device)
        whole = []
        for x, piece in zip(self._xs, pieces, strict=True):
            full = x[examples].to(piece.dtype)
            full[rows, positions] = piece
            whole.append(full.movedim(1, self._dim))
        return self.forward_func(*whole, *(repeated(rows_of(self._args, examples), 1) or ()))


@contextmanager
def _explained_warnings() -> Iterator[None]:
    """Say in warnings what the examples of the inner method are."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    for one in seen:
        message = str(one.message)
        if "examples" in message:
            message += " (Here an example is one position that moves; all examples' positions are counted in order.)"
        warn(message, one.category)


def _of_rows(target: Any, examples: Tensor) -> Any:
    """The target of each row."""
    if isinstance(target, Tensor):
        return target[examples]
    return [target[index] for index in examples.tolist()] if isinstance(target, list) else target


def _spread(mask: Any, x: Tensor) -> Any:
    """The mask as a baseline of inputs (B, T, ...)."""
    if not isinstance(mask, Tensor) or not mask.dim():
        return float(mask)
    if mask.shape != x.shape[2:]:
        raise ValueError(
            f"mask: expected a number or the shape of a position, {tuple(x.shape[2:])}, got {tuple(mask.shape)}."
        )
    return mask.expand(1, *x.shape[1:])
