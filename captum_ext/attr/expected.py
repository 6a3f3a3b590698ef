"""Any method, averaged over several baselines."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from captum.attr import Attribution
from captum.log import log_usage
from torch import Tensor

from captum_ext._utils.types import TargetType
from captum_ext.attr._baseline_set import BaselineSet, check_set, count, one_by_one
from captum_ext.attr._parts import check_flag, check_not_flag
from captum_ext.attr._weights import Weights, check_weights, resolve_weights


class Expected(Attribution):
    """A method's attributions averaged over several baselines: their mean or weighted mean, exactly.

    The method runs once per baseline, and only a running sum is kept in memory. With hundreds of baselines,
    :class:`ExpectedGradients`, which samples them, is cheaper. An average depends less on the choice of the baseline,
    but features that equal those of all baselines still get nothing.

    Args:
        method: A method of this library or of Captum whose ``attribute`` takes ``baselines``, such as a layer method.
        baselines: The set: a tensor (N, ...) of N baselines for all examples, or a tuple of such tensors, one per
            input; or a list of values that the method accepts as ``baselines`` (numbers, tensors (1, ...) or (B, ...),
            tuples) and of functions that return such a value for the inputs, such as ``captum_ext.baselines.blurred``.
        weights: The weight of each baseline: a tensor (N,), or (B, N) for other weights in each example, or a function
            of the inputs that returns one of these. Weights are at least 0 and sum to 1 per example. A baseline whose
            weight is 0 in every example is not run. Default: 1 / N.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default. Pass
            ``multiply_by_inputs=False`` to the method instead.

    Raises:
        TypeError: If the method takes no baselines, the set has another type, or the weights are neither a tensor nor a
            function.
        ValueError: If the set is empty, the weights do not fit it, are negative, not finite, or do not sum to 1, or
            ``multiply_by_inputs=False``.

    Reference:
        Sturmfels, Lundberg, Lee: Visualizing the Impact of Feature Attribution Baselines. Distill 2020.
        https://distill.pub/2020/attribution-baselines/

        Tran Duc Tuan et al.: Enhancing Visual Feature Attribution via Weighted Integrated Gradients. 2025, on weights
        per baseline.
        https://arxiv.org/abs/2505.03201

    Example:
        >>> from captum_ext import baselines
        >>> from captum_ext.attr import IDGI, Expected
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5), torch.nn.Softmax(1))
        >>> method = Expected(IDGI(model), [0, 1, lambda x: baselines.maximum_distance(x, 0, 1)])
        >>> method.attribute(torch.rand(2, 3, 8, 8), target=4, n_steps=10).shape
        torch.Size([2, 3, 8, 8])

        A function can weigh the baselines per example, here by how near they are:

        >>> data = torch.rand(5, 3, 8, 8)
        >>> nearness = lambda x: (-torch.cdist(x.flatten(1), data.flatten(1))).softmax(1)
        >>> Expected(IDGI(model), data, nearness).attribute(torch.rand(2, 3, 8, 8), target=4).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        method: Attribution,
        baselines: BaselineSet,
        weights: Weights | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("weights", weights, "a tensor or a function of the inputs")
        check_flag(multiply_by_inputs)
        if not multiply_by_inputs:
            raise ValueError(
                "multiply_by_inputs: expected True. Leave out the factor (inputs - baselines) in the method, as in "
                "Expected(IntegratedGradients(model, multiply_by_inputs=False), baselines)."
            )
        attribute = getattr(method, "attribute", None)
        if isinstance(method, type) or attribute is None:
            raise TypeError(f"method: expected one such as IntegratedGradients(model), got {method!r:.80}.")
        parameters = inspect.signature(attribute).parameters.values()
        if not any(p.name == "baselines" or p.kind is p.VAR_KEYWORD for p in parameters):
            raise TypeError(
                f"method: expected one that takes baselines; {type(method).__name__} has none to average over."
            )
        check_set(baselines)
        if weights is not None:
            check_weights(weights, count(baselines))
        super().__init__(method.forward_func)
        self.method = method
        self.baselines = baselines
        self.weights = weights

    @property
    def multiplies_by_inputs(self) -> bool:
        """The method's."""
        return bool(self.method.multiplies_by_inputs)

    def has_convergence_delta(self) -> bool:
        """The method's."""
        return bool(self.method.has_convergence_delta())

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Any,
        target: TargetType = None,
        additional_forward_args: object = None,
        return_convergence_delta: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The mean, or weighted mean, of the method's attributions over all baselines.

        Args:
            inputs: See the method's ``attribute``.
            target: See there.
            additional_forward_args: See there.
            return_convergence_delta: Whether to return the mean of the method's deltas too: the sum of an example's
                attributions minus the mean over the baselines of F(input) - F(baseline), with the same weights.
            **kwargs: Further arguments of the method's ``attribute``, such as ``n_steps`` and ``internal_batch_size``.

        Returns:
            What the method returns, averaged; with ``return_diagnostics=True`` a list of the diagnostics of each
            baseline comes last, with ``None`` for a baseline that was not run.

        Raises:
            TypeError: If ``kwargs`` has baselines, which are the constructor's.
            ValueError: If the method has no convergence delta to return, or the weights do not fit these examples;
                otherwise as the method.
        """
        if "baselines" in kwargs:
            raise TypeError("baselines: the set is given once, as in Expected(method, baselines). Leave it out here.")
        if return_convergence_delta:
            if not self.has_convergence_delta():
                raise ValueError(f"return_convergence_delta: {type(self.method).__name__} has none. Leave it False.")
            kwargs["return_convergence_delta"] = True
        # None is not passed on, because neuron methods have no target.
        optional = {"target": target, "additional_forward_args": additional_forward_args}
        kwargs.update((name, value) for name, value in optional.items() if value is not None)
        shares = None if self.weights is None else resolve_weights(self.weights, inputs, count(self.baselines))
        total: Any = None
        diagnostics: list[Any] = []
        for k, baseline in enumerate(one_by_one(self.baselines, inputs)):
            if shares is not None and shares.numel() and not bool(shares[..., k].any()):
                diagnostics.append(None)
                continue
            result = self.method.attribute(inputs, baselines=baseline, **kwargs)
            if kwargs.get("return_diagnostics"):
                *result, baseline_diagnostics = result
                diagnostics.append(baseline_diagnostics)
                result = tuple(result) if return_convergence_delta else result[0]
            total = _summed(total, result, None if shares is None else shares[..., k])
        mean = _divided(total, count(self.baselines) if shares is None else 1, result)
        if not kwargs.get("return_diagnostics"):
            return mean
        return (*mean, diagnostics) if return_convergence_delta else (mean, diagnostics)

    @classmethod
    def get_name(cls) -> str:
        """The class's name."""
        return cls.__name__

    def attribute_future(self) -> None:
        """Not there, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")


def _summed(total: Any, result: Any, shares: Tensor | None) -> Any:
    """The sum of two results with the same structure, in at least float32; ``None`` is an empty sum."""
    if isinstance(result, tuple | list):
        return [_summed(part, new, shares) for part, new in zip(total or [None] * len(result), result, strict=True)]
    wide = result.detach().to(torch.promote_types(result.dtype, torch.float32))
    if shares is not None:
        wide = _weighted(wide, shares.to(wide.device, wide.dtype))
    return wide.clone() if total is None else total.add_(wide)


def _weighted(result: Tensor, shares: Tensor) -> Tensor:
    """The result times one share, or times one per example."""
    if shares.dim():
        if len(shares) != len(result):
            raise ValueError(
                f"weights: expected one row per row of the method's result, which has {len(result)}, got "
                f"{len(shares)}. Pass weights (n_baselines,) for all examples."
            )
        shares = shares.reshape(-1, *(1,) * (result.dim() - 1))
    # What has no weight is left out, even if it is not finite.
    return torch.where(shares == 0, torch.zeros_like(result), shares * result)


def _divided(total: Any, n: int, like: Any) -> Any:
    if isinstance(like, Tensor):
        return (total / n).to(like.dtype if like.is_floating_point() else total.dtype)
    return type(like)(_divided(part, n, one) for part, one in zip(total, like, strict=True))
