"""Path methods at the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

from captum.log import log_usage
from torch import Tensor

from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.step_plan import MAX_STEPS, TOLERANCE, StepPlan
from captum_ext._utils.types import BaselineType, TargetType, TensorOrTuple
from captum_ext.attr._base import PathMethod
from captum_ext.attr._noise_tunnel import refuse_noise_tunnel
from captum_ext.quadratures import Quadrature


class PathAttribution(PathMethod):
    """Gradients along any path, combined by any quadrature.

    ``PathAttribution(model)`` is Integrated Gradients. With ``path=BlurPath()`` it is Blur IG, with
    ``quadrature=ImportantDirection()`` IDGI, and any combination works.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        path: The points between baseline and input. Default: the straight line.
        quadrature: How gradients are combined. Default: ``WeightedSum`` with the path's default rule.
        backward: The backward rule, such as a :class:`~captum_ext.patterns.PatternRule`. Default: the ordinary
            gradient. With a custom rule, the attributions need not sum to F(input) - F(start), so there is no
            convergence delta.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines), as in Captum, for the "local"
            attributions of https://arxiv.org/abs/1711.06104. Only the straight path and ``WeightedSum`` have this
            factor. Default: True.

    Raises:
        ValueError: If ``multiply_by_inputs=False`` and the path or the quadrature does not have the factor, or the
            backward rule does not fit ``forward_func``.
        TypeError: If a part has another type, such as the class ``BlurPath`` instead of ``BlurPath()``.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017, on path methods.
        https://arxiv.org/abs/1703.01365

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

    @overload
    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int | Literal["auto"] = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        *,
        return_convergence_delta: Literal[True],
        show_progress: bool = False,
        tol: float = TOLERANCE,
        max_steps: int = MAX_STEPS,
        return_diagnostics: Literal[False] = False,
        create_graph: bool = False,
    ) -> tuple[TensorOrTuple, Tensor]: ...

    @overload
    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int | Literal["auto"] = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: Literal[False] = False,
        *,
        show_progress: bool = False,
        tol: float = TOLERANCE,
        max_steps: int = MAX_STEPS,
        return_diagnostics: Literal[False] = False,
        create_graph: bool = False,
    ) -> TensorOrTuple: ...

    @overload
    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int | Literal["auto"] = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
        tol: float = TOLERANCE,
        max_steps: int = MAX_STEPS,
        return_diagnostics: bool,
        create_graph: bool = False,
    ) -> Any: ...

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Any,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int | Literal["auto"] = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
        tol: float = TOLERANCE,
        max_steps: int = MAX_STEPS,
        return_diagnostics: bool = False,
        create_graph: bool = False,
    ) -> Any:
        """Attribute the output to the inputs; the arguments are those of Captum's Integrated Gradients.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of tensors with equal B if ``forward_func``
                takes several. Integers are explained as floating point numbers.
            baselines: The path's start: a number, a tensor in the inputs' shape or with one example, or a tuple of
                these, one per input. Default: zeros. ``BlurPath`` starts from the blurred input and accepts only
                ``None``.
            target: The output to explain: an int for all examples (a tuple of ints if the output has further
                dimensions), or a list or tensor (B,) with one per example. Default ``None``: the output is one number
                per example.
            additional_forward_args: Further arguments of ``forward_func``, a tuple if several. Tensors have one row per
                example, except 0-dimensional ones and those in a :class:`~captum_ext.attr.SharedArgument`.
            n_steps: The number of steps, at least 1. Default: 50, as in Captum. With ``"auto"``, each example gets as
                many as it needs to reach ``tol``, placed where its path needs them, with ``riemann_trapezoid``. This is
                not available on paths that find each point from the last gradient, such as ``GuidedPath``, and with a
                custom backward rule.
            method: The quadrature's rule. Default ``None``: the class's default.
            internal_batch_size: The most rows of a forward pass; it may be less than B. The attributions depend on it
                only through the model's rounding. Default ``None``: as many rows as 8 photographs of 3 x 224 x 224 have
                input values (16, 32 or 64 on CUDA, by the card's memory; 16 on other devices), at most 1024. A pass
                that runs out of memory is halved, with a warning.
            return_convergence_delta: Whether to return the deltas too.
            show_progress: Whether to show a progress bar, one tick per forward pass (per example with ``"auto"``).
            tol: The relative error to reach with ``"auto"``. For ``WeightedSum``, this is the completeness error; the
                estimated L2 error of the map may be three times as large. For ``ImportantDirection``, whose
                completeness error is always 0, it is the map's estimated error and the part of F's change that the
                gradients along the path do not explain. Default: 0.01.
            max_steps: The most steps with ``"auto"``. Default: 512.
            return_diagnostics: Whether to return :class:`~captum_ext.attr.Diagnostics` too.
            create_graph: Whether the attributions can be differentiated with respect to the model's parameters and
                inputs that require a gradient, as for a loss on attributions. Available on paths that are known in
                advance; memory holds the graphs of all points. Default: False; the attributions are detached.

        Returns:
            The attributions in the inputs' shape, device and dtype (float32 for half precision); a tuple if ``inputs``
            is one. With ``return_convergence_delta=True``, a pair of these and the deltas (B,): the sum of an example's
            attributions minus F(input) - F(start of the path). With ``return_diagnostics=True``, the diagnostics come
            last.

        Raises:
            TypeError, ValueError: If an argument is invalid; the message says what to write instead.

        Warns:
            UserWarning: If the model is in training mode.
            RuntimeWarning: If F or its gradient is not finite on the path of an example, or if ``tol`` is not reached
                because of ``max_steps`` or a jump of the output.
        """
        if return_diagnostics:
            refuse_noise_tunnel()
        plan = StepPlan(
            n_steps, internal_batch_size, return_convergence_delta, return_diagnostics, tol, max_steps, create_graph
        )
        return self._attribute(
            (self.quadrature,), method, inputs, baselines, target, additional_forward_args, plan, show_progress
        )[0]

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute_each(
        self,
        quadratures: Sequence[Quadrature],
        inputs: Any,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int | Literal["auto"] = 50,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
        tol: float = TOLERANCE,
        max_steps: int = MAX_STEPS,
        return_diagnostics: bool = False,
        create_graph: bool = False,
    ) -> list[Any]:
        """Compute several quadratures from one walk along the path, such as IG and IDGI at the cost of one.

        Args:
            quadratures: The quadratures, such as ``[WeightedSum("riemann_trapezoid"), ImportantDirection()]``. They
                must take their gradients at the same points, as all rules on the closed grid 0, 1/n, ..., 1 do
                (``riemann_left``, ``riemann_right``, ``riemann_trapezoid``).
            inputs: See :meth:`attribute` for this and the other arguments.

        Returns:
            A list with one return value of :meth:`attribute` per quadrature.

        Raises:
            ValueError: If the quadratures can't share a walk, or as :meth:`attribute`.

        Example:
            >>> from captum_ext.attr import PathAttribution
            >>> from captum_ext.quadratures import ImportantDirection, WeightedSum
            >>> method = PathAttribution(lambda x: (x**2).sum(1))
            >>> ig, idgi = method.attribute_each(
            ...     [WeightedSum("riemann_trapezoid"), ImportantDirection()], torch.tensor([[3.0, 4.0]])
            ... )
        """
        plan = StepPlan(
            n_steps, internal_batch_size, return_convergence_delta, return_diagnostics, tol, max_steps, create_graph
        )
        return self._attribute(
            quadratures, None, inputs, baselines, target, additional_forward_args, plan, show_progress
        )

    def _attribute(
        self,
        quadratures: Sequence[Quadrature],
        method: str | None,
        inputs: Any,
        baselines: BaselineType,
        target: TargetType,
        additional_forward_args: object,
        plan: StepPlan,
        show_progress: bool,
    ) -> list[Any]:
        checked = self._check_quadratures(quadratures, plan, method)
        arguments = format_arguments(inputs, baselines, target, additional_forward_args)
        with self._computation_context(plan.create_graph):
            return self._explain(
                self.forward_func,
                checked,
                arguments,
                plan,
                show_progress,
                lambda parts: parts if isinstance(inputs, tuple) else parts[0],
            )
