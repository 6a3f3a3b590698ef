"""One named check of a part, and what checks assert with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ext._utils.tensors import Tensors
from captum_ext.testing.subject import Subject


@dataclass(frozen=True)
class Check:
    """One check of a part. Call it to run it.

    Attributes:
        name: What it checks, such as ``"batches_equal_single_examples"``.
        subject: The path and the quadrature that it runs, with their inputs.
        function: The check itself.
    """

    name: str
    subject: Subject
    function: Callable[[Subject], None]

    def __call__(self) -> None:
        """Run the check.

        Raises:
            AssertionError: If the part fails it, or if it raises another error, which is then the cause.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.function(self.subject)
        except Exception as error:
            found = str(error) if isinstance(error, AssertionError) else f"it raised {type(error).__name__}: {error}"
            raise AssertionError(f"{self.subject} fails {self.name}: {found}\n{self.explanation}") from error

    def __str__(self) -> str:
        """The name, as for the ids of pytest."""
        return self.name

    @property
    def explanation(self) -> str:
        """The property that is checked, and what to look at if a part fails."""
        lines = (self.function.__doc__ or "").splitlines()
        return "\n".join(line.strip() for line in lines).strip()


def require(condition: object, found: str) -> None:
    """Raise an ``AssertionError`` that says what was found, even if Python ignores assert statements."""
    if not bool(condition):
        raise AssertionError(found)


def require_close(got: Tensors, expected: Tensors, found: str, tolerance: float = 1e-9) -> None:
    """Compare tensors; the tolerance is relative to the largest expected magnitude."""
    distance = relative_distance(got, expected)
    require(distance <= tolerance, f"{found}: they differ by {distance:.3g} of the largest value, not {tolerance:g}.")


def relative_distance(got: Tensors, expected: Tensors) -> float:
    """The largest difference, over the largest expected magnitude; infinite if shapes or finiteness differ."""
    if [part.shape for part in got] != [part.shape for part in expected]:
        return float("inf")
    ours, theirs = (torch.cat([part.detach().flatten().double() for part in parts]) for parts in (got, expected))
    if not len(ours):
        return 0.0
    distance = (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12)
    return float(distance) if bool(torch.isfinite(distance)) else float("inf")


def as_tuple(attributions: Tensor | Tensors) -> Tensors:
    """Attributions of one input or several as a tuple."""
    return attributions if isinstance(attributions, tuple) else (attributions,)
