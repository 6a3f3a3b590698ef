"""``attribute`` with steps by themselves, and what it did."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from captum_ext._engine.adaptive import Course, Refinement, adapt
from captum_ext._engine.arguments import Arguments
from captum_ext._engine.evaluator import Evaluator
from captum_ext._engine.integrate import Plan, integrate
from captum_ext._utils._captum import NullProgress, progress
from captum_ext._utils.numbers import check_number, check_positive
from captum_ext._utils.warnings import warn
from captum_ext.attr.diagnostics import Diagnostics, Trail
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature, Subsampled
from captum_ext.quadratures.grid import shared_grid
from captum_ext.quadratures.segment import Tensors, by_example

TOLERANCE = 0.01
MAX_STEPS = 512

Explained = tuple[Tensors, Tensor, Diagnostics]


class Stop(NamedTuple):
    """When to stop: the arguments of ``attribute``."""

    n_steps: int | str
    tol: float
    max_steps: int
    rows: int | None

    @property
    def fixed(self) -> bool:
        """Whether the number of steps is given.

        Raises:
            TypeError, ValueError: If an argument can't be used.
        """
        if isinstance(self.n_steps, str) and self.n_steps != "auto":
            raise ValueError(f"n_steps: expected a positive integer or 'auto', got {self.n_steps!r}.")
        check_number("tol", self.tol, "a relative error such as 0.01")
        if not self.tol > 0:
            raise ValueError(f"tol: expected a relative error above 0, such as 0.01, got {self.tol}.")
        check_positive("max_steps", self.max_steps)
        return self.n_steps != "auto"

    def at_most(self) -> int:
        """The largest number of steps."""
        return self.max_steps if isinstance(self.n_steps, str) else self.n_steps


class Task(NamedTuple):
    """What is integrated how."""

    path: Path
    quadrature: Quadrature
    evaluate: Evaluator
    given: Arguments
    complete: bool  # whether attributions are to sum to F's change
    bar: Callable[..., Any]


def check_not_averaged() -> None:
    """Refuse diagnostics to Captum's NoiseTunnel, which would take them for attributions.

    Raises:
        ValueError: If a NoiseTunnel calls ``attribute``.
    """
    caller = sys._getframe(2).f_globals.get("__name__", "")
    if caller == "captum.attr._core.noise_tunnel":
        raise ValueError(
            "return_diagnostics: NoiseTunnel averages attributions over noisy inputs, and diagnostics have no average. "
            "Leave it out, or call attribute() of the method itself."
        )


def make_bar(name: str, shown: bool) -> Callable[..., Any]:
    """A maker of progress bars."""
    return partial(progress if shown else NullProgress, desc=f"{name} attribution")


def explained(task: Task, stop: Stop) -> Explained:
    """Attributions in the inputs' dtypes, deltas and diagnostics."""
    if isinstance(stop.n_steps, str):
        return _by_itself(task, stop)
    return _by_number(task, stop.n_steps, stop.rows)


def _by_itself(task: Task, stop: Stop) -> Explained:
    """As many steps as each example needs: attributions, deltas and diagnostics.

    Warns:
        RuntimeWarning: If an example did not reach the tolerance.
    """
    tol, max_steps, given = stop.tol, stop.max_steps, task.given
    refinement = Refinement(tol, max_steps, stop.rows)
    sums, delta, courses = adapt(
        task.path, task.quadrature, task.evaluate, given.inputs, given.baselines, refinement, task.bar
    )
    missed = [index for index, course in enumerate(courses) if not course.reached]
    short = [index for index in missed if len(courses[index].positions) > max_steps]
    stuck = [index for index in missed if index not in short]
    if short:
        warn(
            f"n_steps='auto': {len(short)} of {len(courses)} examples did not reach tol={tol:g} within "
            f"max_steps={max_steps} (the first are {short[:5]}). Give more max_steps or a larger tol; "
            "return_diagnostics=True shows the error of each.",
            RuntimeWarning,
        )
    if stuck:
        warn(
            f"n_steps='auto': {len(stuck)} of {len(courses)} examples can't reach tol={tol:g} (the first are "
            f"{stuck[:5]}): the output jumps, or is not finite, between points that its dtype can't tell apart, so no "
            "gradient explains its change. Explain a smoother output, such as the logit, or give inputs in float64.",
            RuntimeWarning,
        )
    return sums, delta, _diagnostics(task, sums, delta, courses)


def _by_number(task: Task, n_steps: int, rows: int | None) -> Explained:
    """A fixed number of steps, with diagnostics from the same walk."""
    grid = task.path.fit(shared_grid([task.quadrature.grid(n_steps)]))
    trail = Trail(len(grid))
    quadratures = [task.quadrature]
    if grid.steps is not None and grid.steps == n_steps and n_steps % 2 == 0 and len(grid) > n_steps:
        quadratures.append(Subsampled(task.quadrature, 2))
    given, plan = task.given, Plan(n_steps, rows, True)
    found = integrate(task.path, quadratures, task.evaluate, given.inputs, given.baselines, plan, task.bar, trail)
    (sums, delta), *coarse = found
    assert delta is not None, "planned"
    errors = _distance(sums, coarse[0][0]) if coarse else torch.full_like(delta, torch.nan)
    at = torch.tensor(grid.nodes, dtype=torch.float64, device="cpu")
    courses = [Course(at, values, error, True) for values, error in zip(trail.values(), errors.tolist(), strict=True)]
    return sums, delta, _diagnostics(task, sums, delta, courses)


def _diagnostics(task: Task, sums: Tensors, delta: Tensor, courses: list[Course]) -> Diagnostics:
    change = _flat(sums).sum(1) - delta
    missed = torch.where(delta == 0, 0.0, delta.abs() / change.abs())
    device = delta.device
    return Diagnostics(
        torch.tensor([len(course.positions) for course in courses], dtype=torch.long, device=device),
        missed if task.complete else torch.full_like(missed, torch.nan),
        torch.tensor([course.error for course in courses], device=device),
        torch.tensor([course.reached for course in courses], dtype=torch.bool, device=device),
        tuple(course.positions for course in courses),
        tuple(course.values for course in courses),
    )


def _distance(sums: Tensors, others: Tensors) -> Tensor:
    """The relative L2 distance of maps, (B,)."""
    size, apart = _flat(sums).norm(dim=1), (_flat(sums) - _flat(others)).norm(dim=1)
    return torch.where(apart == 0, 0.0, apart / size)


def _flat(sums: Tensors) -> Tensor:
    return torch.cat([by_example(part) for part in sums], dim=1)
