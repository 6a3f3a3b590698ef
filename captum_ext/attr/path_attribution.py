"""The one ``attribute()`` of all path methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Literal, overload

import torch
from captum.attr import GradientAttribution
from captum.log import log_usage
from torch import Tensor

from captum_ext._backward import BackwardRule
from captum_ext._compat import NullProgress, progress
from captum_ext._evaluate import Evaluator
from captum_ext._gradients import compute_gradients
from captum_ext._integrate import Plan, integrate
from captum_ext._model import untouched
from captum_ext._types import BaselineType, TargetType, TensorOrTuple
from captum_ext.attr._arguments import format_arguments
from captum_ext.attr._parts import check_local, check_parts, check_quadratures
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import Quadrature, WeightedSum


class PathAttribution(GradientAttribution):
    """Gradients along any path, summed by any quadrature.

    Integrated Gradients is ``PathAttribution(f)``; its relatives are this class with other parts: Blur IG has
    ``path=BlurPath()``, IDGI ``quadrature=ImportantDirection()``, and any combination works.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row an example.
        path: The points between baseline and input. Default: the straight line.
        quadrature: How gradients become an attribution. Default: ``WeightedSum`` by the path's own rule.
        backward: Which vector-Jacobian product is the gradient, such as a
            :class:`~captum_ext.patterns.PatternRule`. Default: the ordinary one. By another rule the attributions do
            not sum to F(input) - F(start), so there is no convergence delta.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines), as in Captum: the "local"
            attribution of https://arxiv.org/abs/1711.06104. Straight path and ``WeightedSum`` only.

    Raises:
        ValueError: If ``multiply_by_inputs=False`` and the path or the quadrature has no such factor, or the backward
            rule does not fit ``forward_func``.

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.paths import GuidedPath
        >>> from captum_ext.quadratures import WeightedSum
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 3))
        >>> method = PathAttribution(model, path=GuidedPath(), quadrature=WeightedSum("riemann_trapezoid"))
        >>> attributions, delta = method.attribute(torch.rand(2, 4), target=1, return_convergence_delta=True)
        >>> attributions.shape, delta.shape
        (torch.Size([2, 4]), torch.Size([2]))
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        quadrature: Quadrature | None = None,
        backward: BackwardRule | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_parts(forward_func, path, quadrature, backward)
        super().__init__(forward_func)
        self.gradient_func: Any = compute_gradients
        self.path = path if multiply_by_inputs else path.local()
        self.quadrature = quadrature if quadrature is not None else WeightedSum(path.default_method)
        self._backward = None if backward is None else backward.bind(forward_func)
        self._multiply_by_inputs = multiply_by_inputs
        check_local(multiply_by_inputs, [self.quadrature])

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the attributions hold the factor (inputs - baselines); Captum's evaluation asks."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """True by the ordinary gradient: attributions along a path sum to F(input) - F(start)."""
        return self._backward is None

    @classmethod
    def get_name(cls) -> str:
        """The class's name in words, abbreviations in one piece: Blur IG, IDGI."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__)

    @overload
    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        *,
        return_convergence_delta: Literal[True],
        show_progress: bool = False,
    ) -> tuple[TensorOrTuple, Tensor]: ...

    @overload
    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: Literal[False] = False,
        *,
        show_progress: bool = False,
    ) -> TensorOrTuple: ...

    @overload
    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
    ) -> TensorOrTuple | tuple[TensorOrTuple, Tensor]: ...

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Any,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
    ) -> Any:
        """Attribute the output to the inputs; the arguments are those of Captum's Integrated Gradients.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B if
                ``forward_func`` takes several. Integers are explained as floating point numbers.
            baselines: Where the path starts: a number, a tensor shaped as the inputs or with one example, or a
                tuple of these, one an input. Default: zeros. (``BlurPath`` starts from the blurred input and
                takes ``None`` only.)
            target: Which output to explain: an int, or a tuple of ints for outputs of more dimensions, for all
                examples; a list or a tensor (B,) of one for each. Default ``None``: the output is one number
                an example.
            additional_forward_args: Further arguments of ``forward_func``, a tuple if several. Tensors have
                one row an example (0-dimensional and :class:`~captum_ext.attr.Unrepeated` ones aside).
            n_steps: Steps of the path, 1 at least. Default: 50, Captum's.
            method: The rule to integrate by, one of the quadrature's. Default ``None``: the class's own.
            internal_batch_size: The most rows in any forward pass; it may be less than B. The attributions do
                not depend on it. Default ``None``: 16 photographs of 3 x 224 x 224 or as many input values, at
                most 1024 rows. On a GPU more is faster.
            return_convergence_delta: Whether to return the delta too.
            show_progress: Whether to show a progress bar, one tick a forward pass.

        Returns:
            The attributions, in the inputs' shape, device and dtype (float32 for half precision), a tuple if
            ``inputs`` is one. With ``return_convergence_delta=True`` a pair of these and the deltas (B,): the
            sum of an example's attributions less F(input) - F(start of the path).

        Raises:
            TypeError, ValueError: If an argument can't be used; the message says what to write instead.

        Warns:
            UserWarning: If the model is in training mode.
            RuntimeWarning: If F has a NaN or infinite gradient on the path of an example.
        """
        quadrature = self.quadrature if method is None else self.quadrature.with_method(method)
        return self.attribute_each(
            (quadrature,),
            inputs,
            baselines,
            target,
            additional_forward_args,
            n_steps,
            internal_batch_size,
            return_convergence_delta,
            show_progress=show_progress,
        )[0]

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute_each(
        self,
        quadratures: Sequence[Quadrature],
        inputs: Any,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int = 50,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
    ) -> list[Any]:
        """Several quadratures from one walk along the path: IG and IDGI for the price of one.

        Args:
            quadratures: What to compute, such as ``[WeightedSum("riemann_trapezoid"), ImportantDirection()]``.
                They must take their gradients at the same points: any rules on the closed grid
                0, 1/n, ..., 1 do (``riemann_left``, ``riemann_right``, ``riemann_trapezoid``).
            inputs: As for :meth:`attribute`, and so are the arguments that follow.

        Returns:
            A list with what :meth:`attribute` returns, one entry a quadrature.

        Raises:
            ValueError: If the quadratures can't share a walk; otherwise as :meth:`attribute`.

        Example:
            >>> from captum_ext.attr import PathAttribution
            >>> from captum_ext.quadratures import ImportantDirection, WeightedSum
            >>> method = PathAttribution(lambda x: (x**2).sum(1))
            >>> ig, idgi = method.attribute_each(
            ...     [WeightedSum("riemann_trapezoid"), ImportantDirection()], torch.tensor([[3.0, 4.0]])
            ... )
        """
        given = format_arguments(inputs, baselines, target, additional_forward_args, n_steps, internal_batch_size)
        quadratures = check_quadratures(quadratures)
        check_local(self._multiply_by_inputs, quadratures)
        if return_convergence_delta and not self.has_convergence_delta():
            raise ValueError(
                "return_convergence_delta: by a backward rule of its own a method has no completeness to miss, so "
                "there is no delta. Leave it False."
            )
        needs_values = any(quadrature.needs_values for quadrature in quadratures)
        evaluate = Evaluator(
            self.forward_func, self.gradient_func, given.target, given.forward_args, given.inputs, needs_values
        )
        plan = Plan(n_steps, internal_batch_size, return_convergence_delta)
        bar = partial(progress if show_progress else NullProgress, desc=f"{self.get_name()} attribution")
        rule = nullcontext() if self._backward is None else self._backward.active()
        with torch.inference_mode(False), torch.no_grad(), untouched(self.forward_func), rule:
            results = integrate(self.path, quadratures, evaluate, given.inputs, given.baselines, plan, bar)
        formatted = [attributions if isinstance(inputs, tuple) else attributions[0] for attributions, _ in results]
        if not return_convergence_delta:
            return formatted
        return list(zip(formatted, [delta for _, delta in results], strict=True))

    def attribute_future(self) -> None:
        """Not there, as in Captum's Integrated Gradients."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")
