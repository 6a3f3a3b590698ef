"""The backward pass in which patterns replace the weights."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from captum_ext._engine.hooks import hooks, runs_in
from captum_ext.patterns._calls import Call, called_weight, parse_call
from captum_ext.patterns._layers import layer_weights, unwrap
from captum_ext.patterns.bank import Patterns

Mode = Literal["attribution", "signal"]


class PatternRule:
    """A backward rule that uses patterns instead of weights in the vector-Jacobian products of layers.

    The forward pass stays bit-for-bit the model's own. ReLU, pooling and layers without a pattern propagate gradients
    as usual. No weight is changed and no other thread is affected.

    Args:
        patterns: The patterns, by layer name.
        mode: The replacement of the weight w: ``"attribution"`` (default), w times pattern, as in PatternAttribution
            and PGIG; or ``"signal"``, the pattern, as in PatternNet.
        model: The module to which the layer names refer. Default: the method's ``forward_func``, which then must be a
            module.

    Raises:
        TypeError, ValueError: If an argument is invalid.

    Reference:
        Kindermans et al.: Learning how to explain neural networks: PatternNet and PatternAttribution. ICLR 2018.
        https://arxiv.org/abs/1705.05598

    Example:
        >>> from captum_ext.attr import IDGI
        >>> from captum_ext.patterns import PatternRule, fit_patterns
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> rule = PatternRule(fit_patterns(model, [torch.randn(64, 4)]))
        >>> IDGI(model, backward=rule).attribute(torch.randn(3, 4), target=1).shape
        torch.Size([3, 4])
    """

    def __init__(self, patterns: Patterns, mode: Mode = "attribution", model: nn.Module | None = None) -> None:
        """See the class."""
        if not isinstance(patterns, Patterns):
            raise TypeError(
                f"patterns: expected Patterns, as from fit_patterns or Patterns.load, got {type(patterns).__name__}."
            )
        if mode not in get_args(Mode):
            raise ValueError(f"mode: expected one of {get_args(Mode)}, got {mode!r}.")
        if model is not None and not isinstance(model, nn.Module):
            raise TypeError(f"model: expected an nn.Module, got {type(model).__name__}.")
        self.patterns = patterns
        self.mode = mode
        self.model = model

    def bind(self, forward_func: Callable[..., Any]) -> BoundPatterns:
        """The rule for the layers of a function.

        Raises:
            TypeError: If there is no module to which the layer names could refer.
            ValueError: If the patterns do not fit the model.
        """
        model = self.model if self.model is not None else getattr(forward_func, "__self__", forward_func)
        if not isinstance(model, nn.Module):
            raise TypeError(
                "The layers of the patterns can't be found in a function. Pass their module as model=, as in "
                "PGIG(lambda x: model(x).softmax(1), patterns, model=model)."
            )
        return BoundPatterns(unwrap(model), self.patterns, self.mode)


class BoundPatterns:
    """Patterns that were checked against a model; :meth:`active` applies them."""

    def __init__(self, model: nn.Module, patterns: Patterns, mode: Mode) -> None:
        """See :class:`PatternRule`."""
        patterns.weights(model)  # raises if they do not fit
        self._model = model
        self._patterns = patterns
        self._mode = mode

    @contextmanager
    def active(self) -> Iterator[None]:
        """Use patterns for gradients through the model, in this thread and DataParallel's threads.

        Compiled models run eagerly inside the context, because compiled code does not use the patterns.

        Raises:
            ValueError: If layers ran for a gradient, or a gradient was taken, and no layer with a pattern ran.
        """
        calls = _CallCounts()
        with self._replica_modes(calls), self._substitution(self._model, calls):
            yield
        if not calls.patterned and (calls.others or (calls.gradients and not calls.without_gradient)):
            raise ValueError(
                "None of the patterned layers ran, so the gradients do not use the patterns. Pass the module that "
                "forward_func calls as model=. The layers of a traced or scripted model can't be intercepted: pass the "
                "original model."
            )

    def _substitution(self, model: nn.Module, calls: _CallCounts) -> _WeightSubstitution:
        weights = layer_weights(model)
        substitutes = {}
        for name, pattern in self._patterns.items():
            weight = weights[name].detach()
            pattern = pattern.to(weight)
            substitutes[id(weights[name])] = pattern * weight if self._mode == "attribution" else pattern
        return _WeightSubstitution(substitutes, list(weights.values()), calls)

    @contextmanager
    def _replica_modes(self, calls: _CallCounts) -> Iterator[None]:
        """Substitute weights also in the copies of the model that DataParallel makes in this thread.

        They have copied weights and run in other threads, in which the mode of this thread is not active.
        """
        caller, current = threading.get_ident(), threading.local()

        def enter(_: int, module: nn.Module, args: Any, kwargs: Any = None) -> None:
            if getattr(module, "_is_replica", False) and runs_in(caller, module):
                current.mode = self._substitution(module, calls)
                current.mode.__enter__()

        def leave(_: int, module: nn.Module, args: Any, output: Any) -> None:
            mode = current.__dict__.pop("mode", None)
            if mode is not None:
                mode.__exit__(None, None, None)

        with hooks([self._model], enter, at_input=True), hooks([self._model], leave, at_input=False, always=True):
            yield


@contextmanager
def pattern_backward(model: nn.Module, patterns: Patterns, mode: Mode = "attribution") -> Iterator[None]:
    """A context in which gradients through the model use patterns instead of the weights, in any code.

    Inside the context, Captum's own ``IntegratedGradients(model)`` computes PGIG, and ``Saliency``, ``InputXGradient``
    and ``NoiseTunnel`` use patterns too. Contexts may be nested; the inner one takes precedence for its layers.
    Parameters of layers with a pattern have no gradient. The forward pass must run inside the context: gradients of
    an output that was computed outside are the ordinary ones. Compiled models run eagerly inside the context. Only
    reverse mode is supported; ``torch.func``, activation checkpointing, and traced or scripted models are not.

    Args:
        model: The module whose layers have patterns. For DataParallel or torch.compile, the layer names are those of
            the module inside.
        patterns: The patterns, by layer name.
        mode: ``"attribution"`` (weight times pattern, default) or ``"signal"`` (pattern).

    Raises:
        TypeError, ValueError: If the patterns do not fit the model, or a gradient was taken and no layer with a
            pattern ran.

    Reference:
        Kindermans et al.: Learning how to explain neural networks: PatternNet and PatternAttribution. ICLR 2018.
        https://arxiv.org/abs/1705.05598

    Example:
        >>> from captum.attr import IntegratedGradients
        >>> from captum_ext.patterns import fit_patterns, pattern_backward
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> patterns = fit_patterns(model, [torch.randn(64, 4)])
        >>> with pattern_backward(model, patterns):
        ...     attributions = IntegratedGradients(model).attribute(torch.randn(3, 4), target=1)
    """
    with PatternRule(patterns, mode, model).bind(model).active():
        yield


@dataclass
class _CallCounts:
    """Counts of calls while a rule is active, in all of DataParallel's threads.

    Attributes:
        patterned: Calls of layers with a pattern whose vector-Jacobian product was replaced.
        without_gradient: Calls of layers with a pattern that need no gradient, such as those inside an inner rule.
        others: Calls of layers without a pattern that need a gradient.
        gradients: Gradients that were taken.
    """

    patterned: int = 0
    without_gradient: int = 0
    others: int = 0
    gradients: int = 0


class _WeightSubstitution(TorchFunctionMode):
    """Replaces the vector-Jacobian product of calls with one of these weights."""

    def __init__(self, substitutes: dict[int, Tensor], keep: list[Tensor], calls: _CallCounts) -> None:
        super().__init__()
        self._calls = calls
        self._substitutes = substitutes
        self._keep = keep  # keep the weights, so that the ids of deleted tensors are not reused

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        weight = called_weight(func, args, kwargs)
        if weight is None:
            self._calls.gradients += func is torch.autograd.grad or func is Tensor.backward
            return func(*args, **kwargs)
        inputs: Any = args[0] if args else kwargs["input"]
        differentiable = torch.is_grad_enabled() and inputs.requires_grad
        substitute = self._substitutes.get(id(weight))
        if substitute is None or not differentiable:
            self._calls.others += substitute is None and differentiable
            self._calls.without_gradient += substitute is not None
            return func(*args, **kwargs)
        self._calls.patterned += 1
        with torch.no_grad():
            call = parse_call(func, args, kwargs)
        return _PatternVjp.apply(inputs, lambda: func(*args, **kwargs), call, substitute)


class _PatternVjp(torch.autograd.Function):
    """A layer's output, with a gradient for its input through another weight, and none for its own weight."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, run: Callable[[], Tensor], call: Call, substitute: Tensor) -> Tensor:
        ctx.save_for_backward(substitute)
        # The backward pass needs only the shape and the memory format of the input.
        ctx.call = replace(call, input=call.input.to("meta"), weight=call.weight.detach())
        output = run()
        # The output of a linear layer with a bias may be a view, and a view returned from a custom function must not be
        # changed in place. .data shares the memory and is not a view.
        return output.data if output._is_view() else output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None, None]:
        (substitute,) = ctx.saved_tensors
        inputs = torch.empty_like(ctx.call.input, dtype=grad_output.dtype, device=grad_output.device)
        call = replace(ctx.call, input=inputs)
        return call.input_gradient(grad_output, substitute.to(grad_output.dtype)), None, None, None
