"""The methods of the command, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from captum_ext.attr import (
    IDGI,
    PGIG,
    BlurIG,
    Diagnostics,
    GuidedIG,
    IntegratedGradients,
    PathAttribution,
    PatternAttribution,
    PatternNet,
)
from captum_ext.cli.errors import CommandError
from captum_ext.paths import BlurPath, GuidedPath
from captum_ext.patterns import Patterns


@dataclass(frozen=True)
class Question:
    """The task of a method: to explain the target's probability for an image (1, C, H, W).

    Attributes:
        patterned: The model to which the patterns belong, which computes the same logits.
    """

    model: nn.Module
    image: Tensor
    baseline: Tensor
    target: int
    steps: int
    show_progress: bool
    patterned: nn.Module = field(default_factory=nn.Identity)
    patterns: Patterns | None = None

    def given_patterns(self) -> Patterns:
        """The patterns, for methods that need them."""
        assert self.patterns is not None, "parse() checks this"
        return self.patterns


class Answer(NamedTuple):
    """Attributions (1, C, H, W), and their delta and diagnostics if the method has them."""

    attributions: Tensor
    delta: Tensor | None = None
    diagnostics: Diagnostics | None = None


@dataclass(frozen=True)
class Method:
    """A method with its title in figures and the function that runs it."""

    title: str
    answer: Callable[[Question], Answer]
    needs_patterns: bool = False


def _path(
    make: Callable[[Callable[..., Tensor]], PathAttribution], takes_baseline: bool = True
) -> Callable[[Question], Answer]:
    def answer(question: Question) -> Answer:
        found = make(_probability(question.model)).attribute(
            question.image,
            question.baseline if takes_baseline else None,
            question.target,
            n_steps=question.steps,
            return_convergence_delta=True,
            return_diagnostics=True,
            show_progress=question.show_progress,
        )
        return Answer(*found)

    return answer


def _gradient(cls: type[PatternNet] | type[PatternAttribution]) -> Callable[[Question], Answer]:
    def answer(question: Question) -> Answer:  # explains the logit, as in the paper
        return Answer(cls(question.patterned, question.given_patterns()).attribute(question.image, question.target))

    return answer


def _pgig(question: Question) -> Answer:
    method = PGIG(_probability(question.patterned), question.given_patterns(), question.patterned)
    attributions = method.attribute(
        question.image,
        question.baseline,
        question.target,
        n_steps=question.steps,
        show_progress=question.show_progress,
    )
    return Answer(attributions)


def _probability(model: nn.Module) -> Callable[[Tensor], Tensor]:
    def probability(x: Tensor) -> Tensor:
        scores: Tensor = model(x).softmax(1)
        return scores

    return probability


METHODS = {
    "ig": Method("IG", _path(IntegratedGradients)),
    "idgi": Method("IDGI", _path(IDGI)),
    "blur-ig": Method("Blur IG", _path(BlurIG, takes_baseline=False)),
    "blur-ig+idgi": Method("Blur IG + IDGI", _path(lambda f: IDGI(f, BlurPath()), takes_baseline=False)),
    "guided-ig": Method("Guided IG", _path(GuidedIG)),
    "guided-ig+idgi": Method("Guided IG + IDGI", _path(lambda f: IDGI(f, GuidedPath()))),
    "patternnet": Method("PatternNet", _gradient(PatternNet), needs_patterns=True),
    "patternattribution": Method("PatternAttribution", _gradient(PatternAttribution), needs_patterns=True),
    "pgig": Method("PGIG", _pgig, needs_patterns=True),
}


def parse(names: str | None, patterns: str | None) -> list[Method]:
    """The methods in a comma-separated list, or all available methods for ``None``.

    Raises:
        CommandError: If a method is unknown, or needs patterns and there are none.
    """
    if names is None:
        return [method for method in METHODS.values() if patterns is not None or not method.needs_patterns]
    chosen = [name.strip().lower() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in METHODS]
    if unknown or not chosen:
        raise CommandError(f"--methods {names}: expected some of {','.join(METHODS)}")
    without = [name for name in chosen if METHODS[name].needs_patterns and patterns is None]
    if without:
        raise CommandError(f"--methods {without[0]}: needs --patterns FILE, which captum-ext fit-patterns writes")
    return [METHODS[name] for name in chosen]
