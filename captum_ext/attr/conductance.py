"""Conductance: what flows through a layer, or a neuron, while the input moves along a path."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import captum.attr
from captum.attr import LayerAttribution, NeuronAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_ext._engine.activations import LayerHooks
from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.layer_arguments import format_layers
from captum_ext._engine.layer_gradients import LayerGradients, NeuronGradients
from captum_ext._engine.layer_image import LayerImage, PointDifferences
from captum_ext._engine.loop import integrate
from captum_ext._engine.results import sums_of
from captum_ext._engine.step_plan import StepPlan
from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.devices import explain_device_mismatch
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import BaselineType, TargetType, TensorOrTuple
from captum_ext.attr._base import PathMethod
from captum_ext.attr._parts import check_device_ids
from captum_ext.attr.neuron import NeuronSelector, check_selector
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import Quadrature, WeightedSum


class LayerConductance(PathMethod, captum.attr.LayerConductance):
    r"""Conductance of layers: the attribution that flows through each unit as the input moves along a path.

    .. math::
        A_j = \int \frac{\partial F}{\partial h_j} \, \mathrm{d}h_j(\gamma(\alpha))
            \approx \sum_k \frac{\partial F}{\partial h_j} \, \Delta h_j(\gamma_k)

    where :math:`h(\gamma)` is the layer's activation along the *input's* path. (:class:`LayerPathAttribution` moves the
    activation itself, on a separate path.) If the layer separates the input from the output, its conductances sum to
    F(input) - F(baseline). Several layers share one walk: each forward and backward pass serves all of them. Memory
    does not grow with ``n_steps``.

    Args:
        forward_func: The model, or any function that runs it and returns one row per example.
        layer: The module to explain, or a list of modules from one walk.
        device_ids: The order of the devices of a DataParallel model that ``forward_func`` wraps. Default: that of
            ``forward_func``, if it is one.
        path: The input's points between baseline and input. Default: the straight line.
        quadrature: How gradients and moves become an attribution, on the points 0, 1/n, ..., 1. Default:
            ``WeightedSum("riemann_trapezoid")``. Captum's sum is ``WeightedSum("riemann_left")`` (its
            ``method="riemann_trapezoid"`` has the same points).
        backward: Which vector-Jacobian product is the gradient. Default: the ordinary one.

    Raises:
        TypeError, ValueError: As :class:`~captum_ext.attr.LayerPathAttribution`; if the quadrature takes its gradients
            between the points of the closed grid.

    Reference:
        Dhamdhere, Sundararajan, Yan: How Important Is a Neuron? ICLR 2019. https://arxiv.org/abs/1805.12233

    Example:
        >>> from captum_ext.attr import LayerConductance
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> hidden, output = LayerConductance(model, [model[1], model[2]]).attribute(torch.rand(3, 4), target=1)
        >>> hidden.shape, output.shape
        (torch.Size([3, 8]), torch.Size([3, 2]))
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module | list[nn.Module],
        device_ids: list[int] | None = None,
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        quadrature: Quadrature | None = None,
        backward: BackwardRule | None = None,
    ) -> None:
        """See the class."""
        format_layers(layer)
        check_device_ids(device_ids)
        LayerAttribution.__init__(self, forward_func, layer, device_ids)  # type: ignore[type-var]
        rule = WeightedSum("riemann_trapezoid") if quadrature is None else quadrature
        PathMethod.__init__(self, forward_func, path, rule, backward, multiply_by_inputs=True)

    def has_convergence_delta(self) -> bool:
        """True with the ordinary gradient; meaningful for layers that separate the input from the output."""
        return PathMethod.has_convergence_delta(self)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        show_progress: bool = False,
    ) -> Any:
        """Attribute the output to the layers; the arguments are those of Captum's LayerConductance.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B. For token ids, give
                embeddings and a ``forward_func`` that takes them.
            baselines: Where the input's path starts; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            target: Which output to explain; see there.
            additional_forward_args: Further arguments of ``forward_func``; see there.
            n_steps: Steps of the path, at least 1. Default: 50, Captum's. Gradients are taken at n_steps + 1 points.
                ``"auto"`` is not available: the layer's moves are known between visited points only.
            method: ``"riemann_trapezoid"``, ``"riemann_left"`` or ``"riemann_right"``. Default: the quadrature's own.
            internal_batch_size: The most rows in any forward pass; see there for the default.
            return_convergence_delta: Whether to return the deltas too.
            attribute_to_layer_input: Whether to explain what the layers take in, or what they put out (default).
            grad_kwargs: Accepted for Captum's signature; it has no effect.
            show_progress: Whether to show a progress bar, one tick per forward pass.

        Returns:
            The conductances in the activation's shape, on the inputs' device (float32 for half precision), a tuple if
            the layer has several tensors; for a list of layers a list of these. With
            ``return_convergence_delta=True`` a pair of that and the deltas (B,), for a list of layers a list of them:
            the sum of an example's conductances less F(input) - F(start of the path). Of a layer that the input's
            effect bypasses, the delta is the part that goes round it, however many steps there are.

        Raises:
            TypeError, ValueError: If an argument can't be used, or a layer does not run, runs several times, or has no
                row per example.

        Warns:
            RuntimeWarning: If F has a NaN or infinite gradient on the path of an example.
        """
        plan = StepPlan(n_steps, internal_batch_size, return_convergence_delta)
        if plan.adaptive:
            raise ValueError(
                f"n_steps: expected a positive integer, got {n_steps!r}. LayerConductance knows the layer's moves "
                "between visited points only, so its steps can't be halved one by one. Give a number."
            )
        if not self.path.complete:
            raise ValueError(
                f"path: conductance follows the points of the path, which the moves of {self.path!r} do not. Use "
                "another path."
            )
        (quadrature,) = self._check_quadratures((self.quadrature,), plan, method)
        arguments = format_arguments(inputs, baselines, target, additional_forward_args)
        hooks = LayerHooks(self.forward_func, format_layers(self.layer), attribute_to_layer_input, self.device_ids)
        layers = LayerGradients(hooks)
        differences = PointDifferences(quadrature, layers)
        named = explain_device_mismatch(self.forward_func, arguments.inputs, arguments.forward_args)
        with self._computation_context(), hooks.active(), named:
            evaluator = Evaluator(
                layers.forward_func,
                layers.gradient_func,
                arguments.target,
                arguments.forward_args,
                arguments.inputs,
                differences.needs_values,
            )
            (result,) = integrate(
                LayerImage(self.path, layers),
                (differences,),
                plan.control(record=False),
                evaluator,
                arguments.inputs,
                arguments.baselines,
                internal_batch_size,
                return_convergence_delta,
                partial(progress if show_progress else NullProgress, desc=f"{self.get_name()} attribution"),
                like=partial(layers.like, evaluator, arguments.inputs),
            )
        parts = self._by_layer(result.attributions, layers.sizes)
        shaped: list[Any] = [part if len(part) > 1 else part[0] for part in parts]
        several = isinstance(self.layer, list)
        if result.delta is None:
            return shaped if several else shaped[0]
        change = sums_of(result.attributions) - result.delta
        deltas = [sums_of(part) - change for part in parts]
        return (shaped, deltas) if several else (shaped[0], deltas[0])

    @staticmethod
    def _by_layer(tensors: Tensors, sizes: list[int]) -> list[Tensors]:
        rest = iter(tensors)
        return [tuple(next(rest) for _ in range(size)) for size in sizes]


class NeuronConductance(PathMethod, NeuronAttribution):
    r"""Conductance of a neuron, split over the inputs.

    .. math::
        A_i = \int \frac{\partial F}{\partial h_j} \frac{\partial h_j}{\partial x_i} \, \mathrm{d}\gamma_i(\alpha)

    where :math:`h_j` is the neuron. The attributions sum to the neuron's conductance in :class:`LayerConductance`,
    which is not a change of F, so there is no convergence delta. The conductances of several neurons (slices) are
    summed; Captum multiplies the sum of their gradients by the gradient of their sum, which mixes neurons.

    Args:
        forward_func: The model, or any function that runs it and returns one row per example.
        layer: The module that has the neuron.
        device_ids: The order of the devices of a DataParallel model that ``forward_func`` wraps. Default: ``None``.
        path: The points between baseline and input. Default: the straight line.
        quadrature: A ``WeightedSum``. Default: with the path's own rule.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines), as in Captum. Straight path only.

    Raises:
        TypeError, ValueError: As :class:`~captum_ext.attr.NeuronPathAttribution`; if the quadrature needs F's values,
            as IDGI's does, whose shares are of F's change.

    Reference:
        Dhamdhere, Sundararajan, Yan: How Important Is a Neuron? ICLR 2019. https://arxiv.org/abs/1805.12233
        Shrikumar, Su, Kundaje: Computationally Efficient Measures of Internal Neuron Importance. 2018.
        https://arxiv.org/abs/1807.09946

    Example:
        >>> from captum_ext.attr import NeuronConductance
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> NeuronConductance(model, model[1]).attribute(torch.rand(3, 4), 7, target=1).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
        *,
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        quadrature: Quadrature | None = None,
    ) -> None:
        """See the class."""
        check_device_ids(device_ids)
        NeuronAttribution.__init__(self, forward_func, format_layers(layer)[0], device_ids)
        PathMethod.__init__(self, forward_func, path, quadrature, None, multiply_by_inputs)
        if self.quadrature.needs_values:
            raise ValueError(
                f"quadrature: {self.quadrature.name} distributes the change of F, which is not the neuron's "
                "conductance. Use WeightedSum."
            )

    def has_convergence_delta(self) -> bool:
        """False: a neuron's conductance is not a change of F's."""
        return False

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: TensorOrTuple,
        neuron_selector: NeuronSelector,
        baselines: BaselineType = None,
        target: TargetType = None,
        additional_forward_args: object = None,
        n_steps: int = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        attribute_to_neuron_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        show_progress: bool = False,
    ) -> TensorOrTuple:
        """Attribute a neuron's conductance to the inputs; the arguments are those of Captum's NeuronConductance.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B.
            neuron_selector: Which neuron: an int for a layer of rank 2; a tuple of ints and slices, one for each
                dimension after the batch; or a function of the layer's tensor, whose derivative weighs the neurons.
            baselines: Where the path starts; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            target: Which output to explain; see there.
            additional_forward_args: Further arguments of ``forward_func``; see there.
            n_steps: Steps of the path, at least 1. Default: 50, Captum's.
            method: The rule to integrate with. Default: the quadrature's own.
            internal_batch_size: The most rows in any forward pass; see there for the default.
            attribute_to_neuron_input: Whether the neuron is one of the layer's input or output (default).
            grad_kwargs: Accepted for Captum's signature; it has no effect.
            show_progress: Whether to show a progress bar, one tick per forward pass.

        Returns:
            The attributions, in the inputs' shape, device and dtype (float32 for half precision), a tuple if ``inputs``
            is one.

        Raises:
            TypeError, ValueError: If an argument can't be used, or the layer does not run or runs several times.
        """
        check_selector(neuron_selector)
        plan = StepPlan(n_steps, internal_batch_size)
        if plan.adaptive:
            raise ValueError(
                f"n_steps: expected a positive integer, got {n_steps!r}. A neuron's conductance is not a change of F "
                "that would tell when to stop. Give a number."
            )
        checked = self._check_quadratures((self.quadrature,), plan, method)
        arguments = format_arguments(inputs, baselines, target, additional_forward_args)
        hooks = LayerHooks(self.forward_func, format_layers(self.layer), attribute_to_neuron_input, self.device_ids)
        neuron = NeuronGradients(hooks, neuron_selector)
        named = explain_device_mismatch(self.forward_func, arguments.inputs, arguments.forward_args)
        with self._computation_context(), hooks.active(), named:
            evaluator = Evaluator(
                neuron.forward_func,
                neuron.gradient_func,
                arguments.target,
                arguments.forward_args,
                arguments.inputs,
                needs_values=False,
            )
            (result,) = integrate(
                self.path,
                checked,
                plan.control(record=False),
                evaluator,
                arguments.inputs,
                arguments.baselines,
                internal_batch_size,
                False,
                partial(progress if show_progress else NullProgress, desc=f"{self.get_name()} attribution"),
            )
        attributions: Any = result.attributions if isinstance(inputs, tuple) else result.attributions[0]
        return cast(TensorOrTuple, attributions)
