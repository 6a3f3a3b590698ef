"""Path methods at a layer of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import captum.attr
import torch
from captum.attr import LayerAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_ext._engine.activations import Activations, LayerHooks, PatchedForward
from captum_ext._engine.arguments import Arguments, format_target
from captum_ext._engine.batching import default_rows
from captum_ext._engine.layer_arguments import (
    arguments_at_layer,
    format_layer_arguments,
    format_layers,
    read_activations,
    warn_of_runs,
    wrap_shared_arguments,
)
from captum_ext._engine.step_plan import MAX_STEPS, TOLERANCE, StepPlan
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import BaselineType, TargetType
from captum_ext.attr._base import PathMethod
from captum_ext.attr._noise_tunnel import refuse_noise_tunnel
from captum_ext.attr._parts import check_device_ids
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import Quadrature


class LayerPathAttribution(PathMethod, captum.attr.LayerIntegratedGradients):
    """Gradients with respect to a layer's output or input along any path, combined by any quadrature.

    The path leads from the layer's activation at the baselines to its activation at the inputs. F and its gradient at a
    point are computed in one forward pass for the inputs, in which the point replaces the layer's activation. The
    inputs need no gradient themselves; they may be token ids.

    This class is a :class:`captum.attr.LayerIntegratedGradients`, so that ``TCAV`` and ``LLMGradientAttribution``
    accept it.

    Args:
        forward_func: The model, or any function that runs it and returns one row per example.
        layer: The module whose activation is explained, or a list of modules, whose activations move together. A layer
            that is computed from the others alone gets zeros.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: that of
            ``forward_func``.
        path: The points between the two activations. Default: the straight line. ``BlurPath`` starts from the blurred
            activation and blurs the layer's spatial dimensions; sigma is in units of the layer's grid.
        quadrature: How gradients are combined. Default: ``WeightedSum`` with the path's default rule.
        backward: The backward rule from the output to the layer. Default: the ordinary gradient.
        multiply_by_inputs: ``False`` leaves out the factor (activation - baseline's activation), which only the
            straight path and ``WeightedSum`` have. Default: True.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.PathAttribution`.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017, on path methods.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import LayerPathAttribution
        >>> from captum_ext.quadratures import ImportantDirection
        >>> model = torch.nn.Sequential(torch.nn.Embedding(100, 8), torch.nn.Flatten(), torch.nn.Linear(40, 2))
        >>> method = LayerPathAttribution(model, model[0], quadrature=ImportantDirection())
        >>> method.attribute(torch.randint(0, 100, (3, 5)), target=1).sum(2).shape  # one number per token
        torch.Size([3, 5])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module | list[nn.Module] | None,
        device_ids: list[int] | None = None,
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        quadrature: Quadrature | None = None,
        backward: BackwardRule | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        if layer is not None:  # TCAV sets the layer later
            format_layers(layer)
        check_device_ids(device_ids)
        LayerAttribution.__init__(self, forward_func, layer, device_ids)  # type: ignore[type-var]
        PathMethod.__init__(self, forward_func, path, quadrature, backward, multiply_by_inputs)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int | Literal["auto"] = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        show_progress: bool = False,
        tol: float = TOLERANCE,
        max_steps: int = MAX_STEPS,
        return_diagnostics: bool = False,
        create_graph: bool = False,
    ) -> Any:
        """Attribute the output to the layer; the arguments are those of Captum's LayerIntegratedGradients.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B if ``forward_func``
                takes several. They are passed to the model unchanged, including NaN and infinity. If the layer
                and the output have another number of rows (an ``EmbeddingBag`` takes ids and offsets), that is B.
            baselines: The inputs whose activation is the path's start: a number, a tensor in the inputs' shape or with
                one example, or a tuple of these. Default: zeros. ``BlurPath`` accepts only ``None``.
            target: Which output to explain; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            additional_forward_args: Further arguments of ``forward_func``, a tuple if several. Tensors of a
                length other than B and those in a :class:`~captum_ext.attr.SharedArgument` are passed whole. Tensors
                of length B are sliced with the examples, unless a trial pass shows that only passing them whole
                reproduces F's output.
            n_steps: The number of steps, or ``"auto"`` for as many as each example needs. Default: 50, as in Captum.
            method: The quadrature's rule. Default ``None``: the class's default.
            internal_batch_size: The most rows of a forward pass; it may be less than B. Default ``None``: see
                :meth:`captum_ext.attr.PathAttribution.attribute`; inputs and activations count together. The passes
                that read the layer's activations are not halved if memory runs out.
            return_convergence_delta: Whether to return the deltas too.
            attribute_to_layer_input: Whether to explain the layer's input instead of its output. The input is the
                layer's positional arguments, or its keyword arguments if no positional one is a tensor.
            grad_kwargs: Accepted for compatibility with Captum and ignored. Inputs that F does not depend on get zeros.
            show_progress: Whether to show a progress bar, one tick per forward pass (per example with
                ``n_steps="auto"``).
            tol: For ``n_steps="auto"``; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            max_steps: For ``n_steps="auto"``; see there.
            return_diagnostics: Whether to return :class:`~captum_ext.attr.Diagnostics` too.
            create_graph: Whether the attributions can be differentiated with respect to the model's parameters
                (before the layer too) and inputs that require a gradient; see there. Default: False.

        Returns:
            The attributions in the activation's shape and device (float32 for half precision), a tensor, or a tuple if
            the layer has several floating point tensors with as many rows as the first; other tensors are not
            replaced. For a list of layers, a list of these. With ``return_convergence_delta=True``, a pair of these and
            the deltas (B,): the sum of an example's attributions minus F's change *along the path*. This differs from
            F(inputs) - F(baselines), which ``compute_convergence_delta`` uses as in Captum, if some effect of the
            inputs bypasses the layer. With ``return_diagnostics=True``, the diagnostics come last.

        Raises:
            TypeError, ValueError: If an argument is invalid, or the layer did not run or does not have one row per
                example.

        Warns:
            UserWarning: If the model is in training mode, if the layer runs several times (its last run is explained),
                or if an additional tensor may or may not have one row per example.
            RuntimeWarning: If F or its gradient is not finite on the path of an example, or ``tol`` is not reached.
        """
        if return_diagnostics:
            refuse_noise_tunnel()
        plan = StepPlan(
            n_steps, internal_batch_size, return_convergence_delta, return_diagnostics, tol, max_steps, create_graph
        )
        return self._attribute(
            (self.quadrature,),
            method,
            inputs,
            baselines,
            target,
            additional_forward_args,
            plan,
            attribute_to_layer_input,
            show_progress,
        )[0]

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute_each(
        self,
        quadratures: Sequence[Quadrature],
        inputs: Tensor | tuple[Tensor, ...],
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int | Literal["auto"] = 50,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        *,
        show_progress: bool = False,
        tol: float = TOLERANCE,
        max_steps: int = MAX_STEPS,
        return_diagnostics: bool = False,
        create_graph: bool = False,
    ) -> list[Any]:
        """Compute several quadratures from one walk; see :meth:`captum_ext.attr.PathAttribution.attribute_each`.

        Args:
            quadratures: The quadratures, which must take their gradients at the same points.
            inputs: See :meth:`attribute` for this and the other arguments.

        Returns:
            A list with one return value of :meth:`attribute` per quadrature.

        Raises:
            ValueError: If the quadratures can't share a walk, or as :meth:`attribute`.
        """
        plan = StepPlan(
            n_steps, internal_batch_size, return_convergence_delta, return_diagnostics, tol, max_steps, create_graph
        )
        return self._attribute(
            quadratures,
            None,
            inputs,
            baselines,
            target,
            additional_forward_args,
            plan,
            attribute_to_layer_input,
            show_progress,
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
        at_input: bool,
        show_progress: bool,
    ) -> list[Any]:
        checked = self._check_quadratures(quadratures, plan, method)
        arguments = format_layer_arguments(inputs, baselines, target, additional_forward_args, plan.create_graph)
        hooks = LayerHooks(self.forward_func, format_layers(self.layer), at_input, self.device_ids)
        with self._computation_context(plan.create_graph), hooks.active():
            rows = plan.internal_batch_size or default_rows(arguments.inputs)
            arguments = wrap_shared_arguments(hooks, arguments, rows)
            ends, starts = self._read_ends(hooks, arguments, rows)
            warn_of_runs(hooks, ends.runs)
            activations = ends.flat()
            rows = plan.internal_batch_size or default_rows(arguments.inputs + activations)
            patched = PatchedForward(hooks, ends)
            args = arguments_at_layer(hooks, patched, ends, arguments, rows, self.path.look_ahead)
            at_layer = Arguments(activations, starts, format_target(target, activations), args)
            plan = plan._replace(internal_batch_size=rows)
            return self._explain(patched, checked, at_layer, plan, show_progress, partial(self._group_by_layer, ends))

    def _group_by_layer(self, ends: Activations, attributions: Tensors) -> Any:
        """Attributions in the structure of the layers' activations."""
        remaining = iter(attributions)
        layers = [tuple(next(remaining) for _ in tensors) for tensors in ends.tensors]
        grouped = [tensors if len(tensors) > 1 else tensors[0] for tensors in layers]
        return grouped if isinstance(self.layer, list) else grouped[0]

    def _read_ends(self, hooks: LayerHooks, arguments: Arguments, rows: int) -> tuple[Activations, Tensors | None]:
        """The layer's activations at the inputs, and the path's start (``None``: the path's default)."""
        args = arguments.forward_args or ()
        ends = read_activations(hooks, arguments.inputs, args, rows)
        if not self.path.takes_baselines:
            return ends, arguments.baselines
        baselines = arguments.baselines or tuple(torch.zeros_like(tensor) for tensor in arguments.inputs)
        starts = read_activations(hooks, baselines, args, rows).flat()
        start_shapes, end_shapes = ([tensor.shape for tensor in tensors] for tensors in (starts, ends.flat()))
        if start_shapes != end_shapes:
            raise ValueError(
                f"baselines: expected activations of the layer in the shapes that the inputs give, {end_shapes}, got "
                f"{start_shapes}."
            )
        return ends, tuple(tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in starts)
