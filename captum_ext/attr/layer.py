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
    read_all,
    settle_arguments,
    warn_of_runs,
)
from captum_ext._engine.step_plan import MAX_STEPS, TOLERANCE, StepPlan
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import BaselineType, TargetType
from captum_ext.attr._base import PathMethod
from captum_ext.attr._noise_tunnel import refuse_noise_tunnel
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import Quadrature


class LayerPathAttribution(PathMethod, captum.attr.LayerIntegratedGradients):
    """Gradients with respect to a layer's output or input, along any path of it, summed by any quadrature.

    The path leads from the layer's activation at the baselines to its activation at the inputs; the rest of the model
    sees the inputs. Inputs may be what no gradient can be taken of, such as token ids. F and its gradient at a point
    come from one forward pass in which the point stands in for the layer's activation.

    It is a :class:`captum.attr.LayerIntegratedGradients`, and goes where that goes: into ``TCAV`` and
    ``LLMGradientAttribution``.

    Args:
        forward_func: The model, or any function that runs it and returns one row an example.
        layer: The module whose activation is explained, or a list of modules, whose activations then move together.
            Of these, none should be computed from others alone: it would get zeros.
        device_ids: The order of the devices of a DataParallel model that ``forward_func`` wraps. Default: that of
            ``forward_func``, if it is one.
        path: The points between the two activations. Default: the straight line. ``BlurPath`` starts from the blurred
            activation and blurs the layer's own spatial dimensions; sigma is in units of its grid.
        quadrature: How gradients become an attribution. Default: ``WeightedSum`` by the path's own rule.
        backward: Which vector-Jacobian product is the gradient, from the output down to the layer. Default: the
            ordinary one.
        multiply_by_inputs: ``False`` leaves out the factor (activation - baseline's activation). Straight path and
            ``WeightedSum`` only.

    Raises:
        TypeError, ValueError: As :class:`~captum_ext.attr.PathAttribution`.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017, on path methods.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import LayerPathAttribution
        >>> from captum_ext.quadratures import ImportantDirection
        >>> model = torch.nn.Sequential(torch.nn.Embedding(100, 8), torch.nn.Flatten(), torch.nn.Linear(40, 2))
        >>> method = LayerPathAttribution(model, model[0], quadrature=ImportantDirection())
        >>> method.attribute(torch.randint(0, 100, (3, 5)), target=1).sum(2).shape  # one number a token
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
        if layer is not None:  # TCAV's users leave it to TCAV
            format_layers(layer)
        LayerAttribution.__init__(self, forward_func, layer, device_ids)  # type: ignore[type-var]
        PathMethod.__init__(self, forward_func, path, quadrature, backward, multiply_by_inputs)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the attributions hold the factor (activation - baseline's activation)."""
        return self._multiply_by_inputs

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
                takes several. They reach the model in their own dtype, NaN and infinity included. Where the layer and
                the output have another number of rows, that is B (an ``EmbeddingBag`` of ids and offsets).
            baselines: Inputs at which the layer's activation is the path's start: a number, a tensor shaped as the
                inputs or with one example, or a tuple of these. Default: zeros. (``BlurPath`` takes ``None`` only.)
            target: Which output to explain; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            additional_forward_args: Further arguments of ``forward_func``, a tuple if several. Tensors of another
                length than B are passed on whole, as are those in :class:`~captum_ext.attr.SharedArgument`. Those of
                length B go with their examples, unless a trial pass shows that F's output is the same only if they
                are passed on whole.
            n_steps: Steps of the path, or ``"auto"`` for as many as each example needs. Default: 50, Captum's.
            method: The rule to integrate by, one of the quadrature's. Default ``None``: the class's own.
            internal_batch_size: The most rows in any forward pass; it may be less than B. Default ``None``: as in
                :meth:`captum_ext.attr.PathAttribution.attribute`, inputs and activations counted together.
            return_convergence_delta: Whether to return the delta too.
            attribute_to_layer_input: Whether to explain what the layer takes in, or what it puts out (default). Of
                keyword arguments of the layer only if it takes no tensors by position.
            grad_kwargs: Taken for Captum's signature. Inputs that F does not depend on get zeros, whatever it holds.
            show_progress: Whether to show a progress bar, one tick per forward pass.
            tol: For ``n_steps="auto"``; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            max_steps: For ``n_steps="auto"``; see there.
            return_diagnostics: Whether to return :class:`~captum_ext.attr.Diagnostics` too; see there.
            create_graph: Whether the attributions can be differentiated, with respect to the model's parameters
                (below the layer too) and to inputs that require a gradient; see there. Default: False.

        Returns:
            The attributions in the activation's shape and device (float32 for half precision), a tensor, or a tuple if
            the layer takes or puts out several floating point tensors (with as many rows as the first; others stay
            as they are). For a list of layers a list of these. With ``return_convergence_delta=True`` a pair of that
            and the deltas (B,): the sum of an example's attributions less F's change *along the path*. Where a part
            of the inputs' effect goes round the layer, F(inputs) - F(baselines) is another number, which
            ``compute_convergence_delta`` takes, as in Captum.

        Raises:
            TypeError, ValueError: If an argument can't be used, or the layer did not run or has no row an example.

        Warns:
            UserWarning: If the model is in training mode, or the layer runs several times: then its last run is
                explained. If it can't be told whether an additional tensor has one row per example.
            RuntimeWarning: If F has a NaN or infinite gradient on the path of an example.
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
        """Several quadratures from one walk; see :meth:`captum_ext.attr.PathAttribution.attribute_each`.

        Args:
            quadratures: What to compute; their gradients must be taken at the same points.
            inputs: As for :meth:`attribute`, and so are the arguments that follow.

        Returns:
            A list with what :meth:`attribute` returns, one entry a quadrature.

        Raises:
            ValueError: If the quadratures can't share a walk; otherwise as :meth:`attribute`.
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
        hooked = LayerHooks(self.forward_func, format_layers(self.layer), at_input, self.device_ids)
        with self._computation_context(plan.create_graph), hooked.hooked():
            most = plan.internal_batch_size or default_rows(arguments.inputs)
            arguments = settle_arguments(hooked, arguments, most)
            ends, starts = self._ends(hooked, arguments, most)
            warn_of_runs(hooked, ends.runs)
            activations = _flat(ends)
            rows = plan.internal_batch_size or default_rows(arguments.inputs + activations)
            patched = PatchedForward(hooked, ends)
            args = arguments_at_layer(hooked, patched, ends, arguments, rows, self.path.look_ahead)
            at_layer = Arguments(activations, starts, format_target(target, activations), args)
            plan = plan._replace(internal_batch_size=rows)
            return self._explain(patched, checked, at_layer, plan, show_progress, partial(self._by_layer, ends))

    def _by_layer(self, ends: Activations, parts: Tensors) -> Any:
        """Attributions in the form of the layers' activations."""
        rest = iter(parts)
        layers = [tuple(next(rest) for _ in tensors) for tensors in ends.tensors]
        shaped = [tensors if len(tensors) > 1 else tensors[0] for tensors in layers]
        return shaped if isinstance(self.layer, list) else shaped[0]

    def _ends(self, hooked: LayerHooks, arguments: Arguments, rows: int) -> tuple[Activations, Tensors | None]:
        """The layer's activations at the inputs, and where the path starts (``None``: the path's own start)."""
        args = arguments.forward_args or ()
        ends = read_all(hooked, arguments.inputs, args, rows)
        if not self.path.takes_baselines:
            return ends, arguments.baselines
        baselines = arguments.baselines or tuple(torch.zeros_like(tensor) for tensor in arguments.inputs)
        starts = read_all(hooked, baselines, args, rows)
        shapes = [[tensor.shape for tensor in _flat(activations)] for activations in (starts, ends)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"baselines: expected activations of the layer in the shapes that the inputs give, {shapes[1]}, got "
                f"{shapes[0]}."
            )
        return ends, tuple(tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in _flat(starts))


def _flat(activations: Activations) -> Tensors:
    return tuple(tensor for tensors in activations.tensors for tensor in tensors)
