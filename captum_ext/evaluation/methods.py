"""All methods by name, and what explains a batch by many of them at the price of as few walks as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from torch import Tensor

from captum_ext.attr import PathAttribution
from captum_ext.evaluation import comparators
from captum_ext.evaluation.subject import Question, Subject
from captum_ext.paths import BlurPath, GuidedPath, Path, StraightPath
from captum_ext.patterns import PatternRule
from captum_ext.quadratures import ImportantDirection, Quadrature, Subsampled, WeightedSum


class Answer(NamedTuple):
    """The maps of a batch by one method: (B, C, H, W), and |delta| / |F's change| (B,) where it has a delta."""

    method: str
    steps: int
    maps: Tensor
    incompleteness: Tensor | None


@dataclass(frozen=True)
class Stepped:
    """A method along a path. Those on the same path share a walk, so all take rules on its closed grid."""

    path: Path
    quadrature: Quadrature
    needs_patterns: bool = False


@dataclass(frozen=True)
class Single:
    """A method without a number of steps."""

    explain: Callable[[Subject, Question], Tensor]
    needs_patterns: bool = False


_TRAPEZOID, _LEFT, _IDGI = WeightedSum("riemann_trapezoid"), WeightedSum("riemann_left"), ImportantDirection()
STEPPED = {
    "ig": Stepped(StraightPath(), _TRAPEZOID),
    "idgi": Stepped(StraightPath(), _IDGI),
    "guided-ig": Stepped(GuidedPath(), _LEFT),
    "guided-ig+idgi": Stepped(GuidedPath(), _IDGI),
    "blur-ig": Stepped(BlurPath(), _TRAPEZOID),
    "blur-ig+idgi": Stepped(BlurPath(), _IDGI),
    "pgig": Stepped(StraightPath(), _TRAPEZOID, needs_patterns=True),
}
SINGLE = {
    "random": Single(comparators.random),
    "gradient": Single(comparators.gradient),
    "gradient-x-input": Single(comparators.gradient_x_input),
    "vargrad": Single(comparators.vargrad),
    "smoothgrad-squared": Single(comparators.smoothgrad_squared),
    "smoothgrad-ig": Single(comparators.smoothgrad_ig),
    "expected-gradients": Single(comparators.expected_gradients),
    "guided-backprop": Single(comparators.guided_backprop),
    "patternnet": Single(comparators.patternnet, needs_patterns=True),
    "patternattribution": Single(comparators.patternattribution, needs_patterns=True),
}
METHODS: dict[str, Stepped | Single] = {**STEPPED, **SINGLE}


def explain(
    subject: Subject, question: Question, methods: Sequence[str], steps: Sequence[int], truncated: bool = False
) -> Iterator[Answer]:
    """Explain a batch by each method and number of steps, one walk for all that can share it.

    Args:
        subject: The model.
        question: The images and their classes.
        methods: Names.
        steps: Numbers of steps; methods without a path come once, as 0 steps.
        truncated: Whether coarse runs are slices of the finest one's points that stop short of the input.
    """
    stepped = sorted((name for name in methods if name in STEPPED), key=_walk_of)
    for _, names in groupby(stepped, key=_walk_of):
        yield from _along(subject, question, list(names), steps, truncated)
    for name in methods:
        if name in SINGLE:
            yield Answer(name, 0, SINGLE[name].explain(subject, question), None)


def _walk_of(name: str) -> tuple[str, bool]:
    return str(STEPPED[name].path), STEPPED[name].needs_patterns


def _along(
    subject: Subject, question: Question, names: list[str], steps: Sequence[int], truncated: bool
) -> Iterator[Answer]:
    path, patterned = STEPPED[names[0]].path, STEPPED[names[0]].needs_patterns
    model = subject.patterned if patterned else subject
    rule = PatternRule(model.given_patterns(), "attribution", model.model) if patterned else None
    method = PathAttribution(model.probability, path, backward=rule)
    for n_steps, runs in _walks(path.look_ahead, steps, truncated):
        jobs = [(name, number, every) for name in names for number, every in runs]
        quadratures = [Subsampled(_rule(STEPPED[name].quadrature, truncated), every) for name, _, every in jobs]
        found = method.attribute_each(
            quadratures,
            question.inputs,
            None if isinstance(path, BlurPath) else question.baseline,
            question.target,
            n_steps=n_steps,
            internal_batch_size=subject.rows,
            return_convergence_delta=method.has_convergence_delta(),
        )
        for (name, number, _), result in zip(jobs, found, strict=True):
            if not method.has_convergence_delta():
                yield Answer(name, number, result, None)
                continue
            maps, delta = result
            change = maps.flatten(1).sum(1) - delta
            yield Answer(name, number, maps, delta.abs() / change.abs())


def _rule(quadrature: Quadrature, truncated: bool) -> Quadrature:
    # By the left rule the last point of a slice answers for what is left of the path; by the trapezoid half is lost.
    return quadrature.with_method("riemann_left") if truncated else quadrature


def _walks(look_ahead: bool, steps: Sequence[int], truncated: bool) -> list[tuple[int, list[tuple[int, int]]]]:
    """Walks by their number of steps, each with the runs that it serves: (steps of the run, every k-th point)."""
    finest = max(steps)
    if look_ahead and truncated:
        return [(finest - 1, [(number, finest // number) for number in steps])]
    if look_ahead and all(finest % number == 0 for number in steps):
        return [(finest, [(number, finest // number) for number in steps])]
    return [(number, [(number, 1)]) for number in steps]
