"""The one ``attribute()`` of all path methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from captum.log import log_usage
from torch import Tensor

from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.step_plan import MAX_STEPS, TOLERANCE, StepPlan
from captum_ext._utils.types import BaselineType, TargetType, TensorOrTuple
from captum_ext.attr._base import PathMethod
from captum_ext.attr._noise_tunnel import refuse_noise_tunnel
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import Quadrature


class PathAttribution(PathMethod):
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
        TypeError: If a part is something else, such as the class ``BlurPath`` for ``BlurPath()``.

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

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        quadrature: Quadrature | None = None,
        backward: BackwardRule | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        super().__init__(forward_func, path, quadrature, backward, multiply_by_inputs)

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
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B if
                ``forward_func`` takes several. Integers are explained as floating point numbers.
            baselines: Where the path starts: a number, a tensor shaped as the inputs or with one example, or a
                tuple of these, one an input. Default: zeros. (``BlurPath`` starts from the blurred input and
                takes ``None`` only.)
            target: Which output to explain: an int, or a tuple of ints for outputs of more dimensions, for all
                examples; a list or a tensor (B,) of one for each. Default ``None``: the output is one number
                an example.
            additional_forward_args: Further arguments of ``forward_func``, a tuple if several. Tensors have
                one row per example (0-dimensional and :class:`~captum_ext.attr.SharedArgument` ones aside).
            n_steps: Steps of the path, 1 at least. Default: 50, Captum's. ``"auto"`` takes as many as each example
                needs to reach ``tol``, where its path needs them, by ``riemann_trapezoid``; not on ``GuidedPath``,
                nor by a backward rule.
            method: The rule to integrate by, one of the quadrature's. Default ``None``: the class's own.
            internal_batch_size: The most rows in any forward pass; it may be less than B. The attributions
                depend on it only by the rounding of the model's batches. Default ``None``: 8 photographs of
                3 x 224 x 224 or as many input values (16 on other devices), at most 1024 rows; it is
                not timed. On a GPU more is faster.
            return_convergence_delta: Whether to return the delta too.
            show_progress: Whether to show a progress bar, one tick per forward pass (with ``"auto"``, per example).
            tol: For ``"auto"``: the relative error to reach. For ``WeightedSum`` that is the completeness error, while
                the estimated L2 error of the map may be three times as large; for ``ImportantDirection``, whose sum is
                always right, it is the estimated error of the map, and what the gradients along the path leave over of
                F's change. Default: 0.01.
            max_steps: For ``"auto"``: the most steps. Default: 512.
            return_diagnostics: Whether to return :class:`~captum_ext.attr.Diagnostics` too.
            create_graph: Whether the attributions can be differentiated, with respect to the model's parameters and to
                inputs that require a gradient, as for a loss on attributions. On paths known in advance; memory holds
                the graphs of all points. Default: False, and they are detached.

        Returns:
            The attributions, in the inputs' shape, device and dtype (float32 for half precision), a tuple if
            ``inputs`` is one. With ``return_convergence_delta=True`` a pair of these and the deltas (B,): the
            sum of an example's attributions less F(input) - F(start of the path). With
            ``return_diagnostics=True`` the diagnostics come last.

        Raises:
            TypeError, ValueError: If an argument can't be used; the message says what to write instead.

        Warns:
            UserWarning: If the model is in training mode.
            RuntimeWarning: If F has a NaN or infinite gradient on the path of an example, or ``tol`` is not
                reached: because of ``max_steps``, or because the output jumps.
        """
        if return_diagnostics:
            refuse_noise_tunnel()
        plan = StepPlan(
            n_steps,
            internal_batch_size,
            return_convergence_delta,
            return_diagnostics,
            tol,
            max_steps,
            create_graph,
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
        plan = StepPlan(
            n_steps,
            internal_batch_size,
            return_convergence_delta,
            return_diagnostics,
            tol,
            max_steps,
            create_graph,
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
