"""The arguments of ``attribute()`` that choose the steps and the returned values."""

from __future__ import annotations

from typing import Any, NamedTuple

from captum_ext._engine.adaptive import AdaptiveSteps
from captum_ext._engine.steps import FixedSteps
from captum_ext._utils.numbers import check_number, check_positive

TOLERANCE = 0.01
MAX_STEPS = 512


class StepPlan(NamedTuple):
    """The steps, the size of a forward pass, and the values to return.

    Attributes:
        n_steps: The number of steps, or ``"auto"``.
        tol: The relative error to reach with ``"auto"``.
        max_steps: The most steps with ``"auto"``.
        internal_batch_size: The most rows of a forward pass; ``None`` for a size that suits the inputs.
        return_convergence_delta: Whether to return the deltas.
        return_diagnostics: Whether to return diagnostics.
        create_graph: Whether the attributions can be differentiated.
    """

    n_steps: Any = 50
    internal_batch_size: Any = None
    return_convergence_delta: bool = False
    return_diagnostics: bool = False
    tol: Any = TOLERANCE
    max_steps: Any = MAX_STEPS
    create_graph: bool = False

    @property
    def adaptive(self) -> bool:
        """Whether the number of steps is chosen per example."""
        return isinstance(self.n_steps, str)

    def check(self) -> None:
        """Check the numbers.

        Raises:
            TypeError, ValueError: If one of them is invalid.
        """
        if self.internal_batch_size is not None:
            check_positive("internal_batch_size", self.internal_batch_size)
        if not isinstance(self.n_steps, str):
            check_positive("n_steps", self.n_steps)
        elif self.n_steps != "auto":
            raise ValueError(f"n_steps: expected a positive integer or 'auto', got {self.n_steps!r}.")
        check_number("tol", self.tol, "a relative error such as 0.01")
        if not self.tol > 0:
            raise ValueError(f"tol: expected a relative error above 0, such as 0.01, got {self.tol}.")
        check_positive("max_steps", self.max_steps)
        if not self.adaptive:
            for name, value, default in (("tol", self.tol, TOLERANCE), ("max_steps", self.max_steps, MAX_STEPS)):
                if value != default:
                    raise ValueError(
                        f"{name}: has an effect with n_steps='auto' only, got {name}={value} and "
                        f"n_steps={self.n_steps}. Write n_steps='auto', or leave out {name}."
                    )

    def control(self, record: bool) -> FixedSteps | AdaptiveSteps:
        """The step control; ``record`` is whether to keep F along the path, which adaptive steps always do."""
        if self.adaptive:
            return AdaptiveSteps(self.tol, self.max_steps)
        return FixedSteps(self.n_steps, record, estimate=self.return_diagnostics)
