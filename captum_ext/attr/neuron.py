"""Path methods for neurons inside the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from captum.attr import NeuronAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_ext._engine.activations import LayerHooks
from captum_ext._engine.arguments import format_arguments
from captum_ext._engine.layer_arguments import format_layers
from captum_ext._engine.step_plan import MAX_STEPS, TOLERANCE, StepPlan
from captum_ext._utils._captum import select_neuron
from captum_ext._utils.devices import explain_device_mismatch
from captum_ext._utils.numbers import is_boolean
from captum_ext._utils.types import BaselineType, TensorOrTuple
from captum_ext.attr._base import PathMethod
from captum_ext.attr._parts import check_device_ids
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import Quadrature

NeuronSelector: TypeAlias = int | tuple[int | slice, ...] | Callable[[Any], Tensor]


class NeuronPathAttribution(PathMethod, NeuronAttribution):
    """Gradients of a neuron inside the model along any path of the inputs, combined by any quadrature.

    It is :class:`~captum_ext.attr.PathAttribution` with a neuron of a layer as the output.

    Args:
        forward_func: The model, or any function that runs it.
        layer: The module that has the neuron.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: that of
            ``forward_func``.
        path: The points between baseline and input. Default: the straight line.
        quadrature: How gradients are combined. Default: ``WeightedSum`` with the path's default rule.
        backward: The backward rule from the layer to the input. Default: the ordinary gradient.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines), which only the straight path and
            ``WeightedSum`` have. Default: True.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.PathAttribution`.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017, on path methods.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import NeuronPathAttribution
        >>> from captum_ext.paths import BlurPath
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> method = NeuronPathAttribution(model, model[1], path=BlurPath(max_sigma=4.0))
        >>> method.attribute(torch.rand(2, 3, 8, 8), (5, 2, slice(1, 4))).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module,
        device_ids: list[int] | None = None,
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        quadrature: Quadrature | None = None,
        backward: BackwardRule | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_device_ids(device_ids)
        NeuronAttribution.__init__(self, forward_func, _single_layer(layer), device_ids)
        PathMethod.__init__(self, forward_func, path, quadrature, backward, multiply_by_inputs)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: TensorOrTuple,
        neuron_selector: NeuronSelector,
        baselines: BaselineType = None,
        additional_forward_args: object = None,
        n_steps: int | Literal["auto"] = 50,
        method: str | None = None,
        internal_batch_size: int | None = None,
        attribute_to_neuron_input: bool = False,
        *,
        return_convergence_delta: bool = False,
        show_progress: bool = False,
        tol: float = TOLERANCE,
        max_steps: int = MAX_STEPS,
        return_diagnostics: bool = False,
        create_graph: bool = False,
    ) -> Any:
        """Attribute a neuron to the inputs; the arguments are those of Captum's NeuronIntegratedGradients.

        Args:
            inputs: The examples to explain: a tensor (B, ...), or a tuple of them with equal B.
            neuron_selector: The neuron: an int for a layer of rank 2; a tuple with one int or slice for each dimension
                after the batch, where a slice is the sum of its neurons; or a function of the layer's tensor (a tuple
                if there are several) that returns one number per example. A single number for all rows, as from
                ``torch.sum``, is treated as a sum over rows; it is refused if the value of each example is needed.
            baselines: The path's start; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            additional_forward_args: Further arguments of ``forward_func``; see there.
            n_steps: The number of steps, or ``"auto"`` for as many as each example needs. Default: 50, as in Captum.
            method: The quadrature's rule. Default ``None``: the class's default.
            internal_batch_size: The most rows of a forward pass; see there for the default.
            attribute_to_neuron_input: Whether the neuron is part of the layer's input instead of its output.
            return_convergence_delta: Whether to return the deltas too: the sum of an example's attributions minus the
                neuron's change from the path's start to the input.
            show_progress: Whether to show a progress bar, one tick per forward pass (per example with
                ``n_steps="auto"``).
            tol: For ``n_steps="auto"``; see :meth:`captum_ext.attr.PathAttribution.attribute`.
            max_steps: For ``n_steps="auto"``; see there.
            return_diagnostics: Whether to return :class:`~captum_ext.attr.Diagnostics` too.
            create_graph: Whether the attributions can be differentiated; see there. Default: False.

        Returns:
            The attributions in the inputs' shape, device and dtype (float32 for half precision); a tuple if ``inputs``
            is one. With ``return_convergence_delta=True``, a pair of these and the deltas (B,). With
            ``return_diagnostics=True``, the diagnostics come last.

        Raises:
            TypeError, ValueError: If an argument is invalid, or the layer did not run.
        """
        plan = StepPlan(
            n_steps, internal_batch_size, return_convergence_delta, return_diagnostics, tol, max_steps, create_graph
        )
        checked = self._check_quadratures((self.quadrature,), plan, method)
        arguments = format_arguments(inputs, baselines, None, additional_forward_args)
        hooks = LayerHooks(self.forward_func, (_single_layer(self.layer),), attribute_to_neuron_input, self.device_ids)
        needs_values = (
            return_convergence_delta or return_diagnostics or plan.adaptive or any(q.needs_values for q in checked)
        )
        neuron = _Neuron(hooks, neuron_selector, needs_values)
        # A function may sum over the rows, and then there is no value per example.
        has_values = needs_values or not callable(neuron_selector)
        named = explain_device_mismatch(self.forward_func, arguments.inputs, arguments.forward_args)
        with self._computation_context(plan.create_graph), hooks.active(), named:
            return self._explain(
                neuron,
                checked,
                arguments,
                plan,
                show_progress,
                lambda parts: parts if isinstance(inputs, tuple) else parts[0],
                has_values,
            )[0]


def _single_layer(layer: object) -> nn.Module:
    if isinstance(layer, list):
        raise TypeError(f"layer: expected one module, got a list of {len(layer)}.")
    return format_layers(layer)[0]


def check_selector(selector: object) -> None:
    """Raise ``TypeError`` if this is not a ``neuron_selector``."""
    indices = selector if isinstance(selector, tuple) else (selector,)
    is_selector = callable(selector) or isinstance(selector, int | tuple)
    if not is_selector or any(map(is_boolean, indices)):
        raise TypeError(
            "neuron_selector: expected an int, a tuple of ints and slices, or a function of the layer's tensor, "
            f"got {selector!r:.80}."
        )


class _Neuron:
    """A neuron as a function of the model's arguments, with one number per row."""

    def __init__(self, hooks: LayerHooks, selector: NeuronSelector, needs_values: bool) -> None:
        check_selector(selector)
        self._hooks = hooks
        self._selector = selector
        self._needs_values = needs_values

    def __call__(self, *args: Any) -> Tensor:
        rows = len(args[0])
        (tensors,) = self._hooks.read(args).tensors
        shapes = [tuple(tensor.shape) for tensor in tensors]
        try:
            neuron = select_neuron(tensors, self._selector)
        except (AssertionError, IndexError) as error:
            raise ValueError(
                f"neuron_selector: {self._selector} picks no neuron of a layer with {self._hooks.end} {shapes}: {error}"
            ) from error
        if not isinstance(neuron, Tensor) or neuron.numel() not in (1, rows):
            got = tuple(neuron.shape) if isinstance(neuron, Tensor) else type(neuron).__name__
            raise ValueError(
                f"neuron_selector: expected one number for each of {rows} rows, got {got} of a layer with "
                f"{self._hooks.end} {shapes}. Give an index for each dimension after the batch."
            )
        if neuron.numel() == rows:
            return neuron.reshape(rows)
        if self._needs_values:
            raise ValueError(
                f"neuron_selector: expected one number for each of {rows} rows, since the quadrature or the delta "
                "needs the neuron's value for each example, got one for all. Sum over all dimensions but the first."
            )
        # The gradient of a sum over rows is the gradient of each row's share.
        return neuron.reshape(1).expand(rows) / rows
