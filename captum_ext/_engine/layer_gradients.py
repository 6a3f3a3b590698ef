"""F's gradients at layers and neurons, from the passes that compute them at the inputs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from captum_ext._engine.activations import LayerHooks, tensors_of, with_tensors
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.gradients import select_target
from captum_ext._utils._captum import select_neuron
from captum_ext._utils.devices import run
from captum_ext._utils.tensors import Tensors, sum_dtype
from captum_ext._utils.types import TargetType


class _Recording:
    """A function that records the activations of layers with their graph in each pass.

    Args:
        hooks: The layers of the function.
    """

    def __init__(self, hooks: LayerHooks) -> None:
        self._hooks = hooks
        self._lock = threading.Lock()  # DataParallel runs the layers in several threads
        self._by_device: list[dict[torch.device, Tensors]] = []

    def forward_func(self, *args: Any) -> Any:
        """The function's output."""
        self._by_device = [{} for _ in self._hooks.layers]
        return self._hooks.run(args, self._record)

    def _record(self, k: int, value: Any) -> Any:
        tensors = tensors_of(value)
        layer = type(self._hooks.layers[k]).__name__
        if not tensors:
            raise ValueError(
                f"layer: expected floating point tensors in the {self._hooks.end} of a {layer}, got "
                f"{type(value).__name__}. Explain another layer."
            )
        with self._lock:
            if tensors[0].device in self._by_device[k]:
                raise ValueError(
                    f"layer: a {layer} runs several times in forward_func, and no single run has its conductance. "
                    "Use a separate module for each run."
                )
            # A copy, because a skip connection or Identity may pass the same tensor around the layer ...
            self._by_device[k][tensors[0].device] = copies = tuple(tensor.clone() for tensor in tensors)
        # ... and the model continues with another one, since a later layer may work in place.
        return with_tensors(value, tuple(tensor.clone() for tensor in copies))

    def _layers(self, rows: int) -> list[Tensors]:
        """Check, return and forget each layer's activations in the last pass."""
        layers = [self._hooks.gather(k, by_device) for k, by_device in enumerate(self._by_device)]
        self._by_device = []
        for layer, tensors in zip(self._hooks.layers, layers, strict=True):
            if len(tensors[0]) != rows:
                raise ValueError(
                    f"layer: expected one row for each of {rows} rows of input in dimension 0 of the {self._hooks.end} "
                    f"of a {type(layer).__name__}, got shape {tuple(tensors[0].shape)}. Explain a layer before the "
                    "examples are regrouped, or set batch_first=True."
                )
        return layers


class LayerPass(NamedTuple):
    """One forward and backward pass; all tensors have one row per point.

    Attributes:
        points: The points, one tensor per input.
        activations: Those of all layers.
        gradients: F's gradients at the activations.
    """

    points: Tensors
    activations: Tensors
    gradients: Tensors


class LayerGradients(_Recording):
    """The gradient of F at the inputs and, from the same two passes, at the layers' activations.

    ``forward_func`` and ``gradient_func`` are an evaluator's.
    """

    def __init__(self, hooks: LayerHooks) -> None:
        """See the class."""
        super().__init__(hooks)
        self._passes: list[LayerPass] = []
        self._like: Tensors | None = None  # the activations of the last pass
        self.sizes: list[int] = []  # the number of activations of each layer

    def gradient_func(
        self,
        forward_fn: Callable[..., Any],
        inputs: Tensors,
        target_ind: TargetType = None,
        additional_forward_args: Any = None,
    ) -> tuple[Tensor | None, ...]:
        """The gradients at the inputs, as Captum's function of this signature returns them; keeps those at layers."""
        with torch.enable_grad():
            copies = tuple(tensor.clone() for tensor in inputs)
            output = select_target(run(forward_fn, copies, additional_forward_args), target_ind, len(inputs[0]))
            layers = self._layers(len(inputs[0]))
            activations = tuple(tensor for tensors in layers for tensor in tensors)
            gradients = _gradients(output, (*inputs, *activations))
        self._like = tuple(_widen_copy(activation, inputs[0]) for activation in activations)
        at_layers = tuple(
            torch.zeros_like(activation) if gradient is None else _widen_copy(gradient, inputs[0])
            for gradient, activation in zip(gradients[len(inputs) :], self._like, strict=True)
        )
        self.sizes = [len(tensors) for tensors in layers]
        self._passes.append(LayerPass(tuple(tensor.detach() for tensor in inputs), self._like, at_layers))
        return gradients[: len(inputs)]

    def take(self) -> LayerPass | None:
        """The passes since the last call, joined; ``None`` if there was none."""
        passes, self._passes = self._passes, []
        if len(passes) < 2:
            return passes[0] if passes else None
        return LayerPass(*(_join_rows(parts) for parts in zip(*passes, strict=True)))

    def like(self, evaluator: Evaluator, inputs: Tensors) -> Tensors:
        """Tensors with the number and dtypes of the activations, and with their shapes if there are no examples."""
        if self._like is None:
            evaluator.value(inputs)
            layers = self._layers(len(inputs[0]))
            self._like = tuple(tensor for tensors in layers for tensor in tensors)
            self.sizes = [len(tensors) for tensors in layers]
        return self._like


class NeuronGradients(_Recording):
    """The part of F's gradient at the inputs that flows through some neurons of one layer.

    Args:
        hooks: The layer of the function.
        selector: The neurons, as Captum's ``neuron_selector``.
    """

    def __init__(self, hooks: LayerHooks, selector: Any) -> None:
        super().__init__(hooks)
        self._selector = selector

    def gradient_func(
        self,
        forward_fn: Callable[..., Any],
        inputs: Tensors,
        target_ind: TargetType = None,
        additional_forward_args: Any = None,
    ) -> tuple[Tensor | None, ...]:
        """The gradients at the inputs, with the arguments of Captum's function of this signature."""
        with torch.enable_grad():
            copies = tuple(tensor.clone() for tensor in inputs)
            output = select_target(run(forward_fn, copies, additional_forward_args), target_ind, len(inputs[0]))
            (activations,) = self._layers(len(inputs[0]))
            chosen = self._select(activations)
            weights = _gradients(chosen, activations, retain_graph=True)
            gradients = _gradients(output, activations, retain_graph=True)
            kept = [
                (activation, weight * gradient)
                for activation, weight, gradient in zip(activations, weights, gradients, strict=True)
                if weight is not None and gradient is not None
            ]
            if not kept:
                return (None,) * len(inputs)
            of_neurons, flow = zip(*kept, strict=True)
            return torch.autograd.grad(of_neurons, inputs, flow, allow_unused=True)

    def _select(self, activations: Tensors) -> Tensor:
        try:
            return select_neuron(activations, self._selector)
        except (AssertionError, IndexError) as error:
            raise ValueError(
                f"neuron_selector: {self._selector} picks no neuron of a layer with {self._hooks.end} "
                f"{[tuple(activation.shape) for activation in activations]}: {error}"
            ) from error


def _gradients(output: Tensor, at: Tensors, retain_graph: bool = False) -> tuple[Tensor | None, ...]:
    """The gradients of each row's output; ``None`` where it does not depend on a tensor."""
    differentiable = [tensor for tensor in at if tensor.requires_grad]
    if not (differentiable and output.requires_grad):
        return (None,) * len(at)
    ones = torch.ones_like(output)
    gradients = iter(torch.autograd.grad(output, differentiable, ones, retain_graph, allow_unused=True))
    return tuple(next(gradients) if tensor.requires_grad else None for tensor in at)


def _join_rows(parts: Iterable[Tensors]) -> Tensors:
    return tuple(torch.cat(pieces) for pieces in zip(*parts, strict=True))


def _widen_copy(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.detach().to(like.device, sum_dtype(tensor), copy=True)
