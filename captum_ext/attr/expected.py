"""Any method, averaged over several baselines."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from captum.attr import Attribution
from captum.log import log_usage
from torch import Tensor

from captum_ext._utils.types import TargetType
from captum_ext.attr._baseline_set import BaselineSet, check_set, one_by_one
from captum_ext.attr._parts import check_flag


class Expected(Attribution):
    """A method's attributions averaged over several baselines: the mean over all of them, exactly.

    The method runs once per baseline, and only a running sum is kept in memory. With hundreds of baselines,
    :class:`ExpectedGradients`, which samples them, is cheaper. An average depends less on the choice of the baseline,
    but features that equal those of all baselines still get nothing.

    Args:
        method: A method of this library or of Captum whose ``attribute`` takes ``baselines``, such as a layer method.
        baselines: The set: a tensor (N, ...) of N baselines for all examples, or a tuple of such tensors, one per
            input; or a list of values that the method accepts as ``baselines`` (numbers, tensors (1, ...) or (B, ...),
            tuples) and of functions that return such a value for the inputs, such as ``captum_ext.baselines.blurred``.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default. Pass
            ``multiply_by_inputs=False`` to the method instead.

    Raises:
        TypeError: If the method does not take baselines, or the set has another type.
        ValueError: If the set is empty, or ``multiply_by_inputs=False``.

    Reference:
        Sturmfels, Lundberg, Lee: Visualizing the Impact of Feature Attribution Baselines. Distill 2020.
        https://distill.pub/2020/attribution-baselines/

    Example:
        >>> from captum_ext import baselines
        >>> from captum_ext.attr import IDGI, Expected
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5), torch.nn.Softmax(1))
        >>> method = Expected(IDGI(model), [0, 1, lambda x: baselines.maximum_distance(x, 0, 1)])
        >>> method.attribute(torch.rand(2, 3, 8, 8), target=4, n_steps=10).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, method: Attribution, baselines: BaselineSet, *, multiply_by_inputs: bool = True) -> None:
        """See the class."""
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
        super().__init__(method.forward_func)
        self.method = method
        self.baselines = baselines

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
        """The mean of the method's attributions over all baselines.

        Args:
            inputs: See the method's ``attribute``.
            target: See there.
            additional_forward_args: See there.
            return_convergence_delta: Whether to return the mean of the method's deltas too: the sum of an example's
                attributions minus the mean over the baselines of F(input) - F(baseline).
            **kwargs: Further arguments of the method's ``attribute``, such as ``n_steps`` and ``internal_batch_size``.

        Returns:
            The mean of the method's results. With ``return_diagnostics=True``, a list with the diagnostics of each
            baseline comes last.

        Raises:
            TypeError: If ``kwargs`` contains ``baselines``, which belong in the constructor.
            ValueError: If the method has no convergence delta to return, or refuses an argument.
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
        total, count = None, 0
        diagnostics = []
        for baseline in one_by_one(self.baselines, inputs):
            result = self.method.attribute(inputs, baselines=baseline, **kwargs)
            if kwargs.get("return_diagnostics"):
                *result, baseline_diagnostics = result
                diagnostics.append(baseline_diagnostics)
                result = tuple(result) if return_convergence_delta else result[0]
            total, count = _summed(total, result), count + 1
        mean = _divided(total, count, result)
        if not kwargs.get("return_diagnostics"):
            return mean
        return (*mean, diagnostics) if return_convergence_delta else (mean, diagnostics)

    @classmethod
    def get_name(cls) -> str:
        """The class's name."""
        return cls.__name__

    def attribute_future(self) -> None:
        """Not implemented, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")


def _summed(total: Any, result: Any) -> Any:
    """The sum of two results with the same structure, in at least float32; ``None`` is an empty sum."""
    if isinstance(result, tuple | list):
        return [_summed(part, new) for part, new in zip(total or [None] * len(result), result, strict=True)]
    wide = result.detach().to(torch.promote_types(result.dtype, torch.float32))
    return wide.clone() if total is None else total.add_(wide)


def _divided(total: Any, count: int, like: Any) -> Any:
    if isinstance(like, Tensor):
        return (total / count).to(like.dtype if like.is_floating_point() else total.dtype)
    return type(like)(_divided(part, count, one) for part, one in zip(total, like, strict=True))
