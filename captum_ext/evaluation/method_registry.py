"""All methods by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from torch import Tensor

from captum_ext.attr import PathAttribution
from captum_ext.evaluation import comparators, step_methods
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.paths import AdversarialPath, BlurPath, GreedyPath, GuidedPath, Path, StraightPath, UnsaturatedPath
from captum_ext.patterns import PatternRule
from captum_ext.quadratures import DecisionGradients, ImportantDirection, PositionWeighted, Quadrature, WeightedSum

XRAI_SUFFIX = "+xrai"
"""After a method's name: XRAI's regions of its map."""


@dataclass(frozen=True)
class PathMethodSpec:
    """A path method. Methods on the same path share its gradients, so each uses a rule on the closed grid."""

    path: Path
    quadrature: Quadrature
    needs_patterns: bool = False
    needs_references: ClassVar[bool] = False
    has_steps: ClassVar[bool] = True

    def bind(self, model: ProbabilityModel) -> PathAttribution:
        """The method for the probabilities of a model."""
        if not self.needs_patterns:
            return PathAttribution(model.probability, self.path, self.quadrature)
        model = model.with_folded_model
        rule = PatternRule(model.require_patterns(), "attribution", model.model)
        return PathAttribution(model.probability, self.path, self.quadrature, rule)

    def baselines(self, batch: ImageBatch) -> Tensor | None:
        """The baselines of a batch; ``None`` if the path makes its own start."""
        return batch.baselines if self.path.takes_baselines else None


@dataclass(frozen=True)
class StepMethodSpec:
    """A method with a number of steps or samples that shares no gradients with others.

    ``attribute(model, batch, steps)`` returns maps (B, C, H, W), and deltas (B,) if the method has any.
    """

    attribute: Callable[[ProbabilityModel, ImageBatch, int], tuple[Tensor, Tensor | None]]
    needs_references: bool = False
    needs_patterns: ClassVar[bool] = False
    has_steps: ClassVar[bool] = True


@dataclass(frozen=True)
class ComparatorSpec:
    """A method without a number of steps, (B, C, H, W) maps of a batch."""

    attribute: Callable[[ProbabilityModel, ImageBatch], Tensor]
    needs_patterns: bool = False
    needs_references: bool = False
    has_steps: ClassVar[bool] = False


MethodSpec: TypeAlias = PathMethodSpec | StepMethodSpec | ComparatorSpec

_TRAPEZOID, _LEFT, _IDGI = WeightedSum("riemann_trapezoid"), WeightedSum("riemann_left"), ImportantDirection()
PATH_METHODS = {
    "ig": PathMethodSpec(StraightPath(), _TRAPEZOID),
    "idgi": PathMethodSpec(StraightPath(), _IDGI),
    "idg": PathMethodSpec(StraightPath(), DecisionGradients("riemann_trapezoid")),
    "pwig": PathMethodSpec(StraightPath(), PositionWeighted("beta(2, 2)", method="riemann_trapezoid")),
    "left-ig": PathMethodSpec(UnsaturatedPath(), _TRAPEZOID),
    "guided-ig": PathMethodSpec(GuidedPath(), _LEFT),
    "guided-ig+idgi": PathMethodSpec(GuidedPath(), _IDGI),
    "samp": PathMethodSpec(GreedyPath(), _LEFT),
    "mfaba": PathMethodSpec(AdversarialPath(None, 0.1, "l2"), _LEFT),
    "blur-ig": PathMethodSpec(BlurPath(), _TRAPEZOID),
    "blur-ig+idgi": PathMethodSpec(BlurPath(), _IDGI),
    "pgig": PathMethodSpec(StraightPath(), _TRAPEZOID, needs_patterns=True),
}
STEP_METHODS = {
    "agi": StepMethodSpec(step_methods.agi),
    "ig2": StepMethodSpec(step_methods.ig2),
    "eig": StepMethodSpec(step_methods.eig, needs_references=True),
    "ma-gig": StepMethodSpec(step_methods.ma_gig, needs_references=True),
    "smooth-taylor": StepMethodSpec(step_methods.smooth_taylor),
    "igos": StepMethodSpec(step_methods.igos),
}
COMPARATORS = {
    "random": ComparatorSpec(comparators.random),
    "gradient": ComparatorSpec(comparators.gradient),
    "gradient-x-input": ComparatorSpec(comparators.gradient_x_input),
    "vargrad": ComparatorSpec(comparators.vargrad),
    "smoothgrad-squared": ComparatorSpec(comparators.smoothgrad_squared),
    "smoothgrad-ig": ComparatorSpec(comparators.smoothgrad_ig),
    "expected-gradients": ComparatorSpec(comparators.expected_gradients, needs_references=True),
    "guided-backprop": ComparatorSpec(comparators.guided_backprop),
    "patternnet": ComparatorSpec(comparators.patternnet, needs_patterns=True),
    "patternattribution": ComparatorSpec(comparators.patternattribution, needs_patterns=True),
}
METHODS: dict[str, MethodSpec] = {**PATH_METHODS, **STEP_METHODS, **COMPARATORS}


def base_name(name: str) -> str:
    """The method whose maps XRAI merges into regions, or the method itself."""
    return name.removesuffix(XRAI_SUFFIX)


def method_spec(name: str) -> MethodSpec:
    """The method of a name with or without ``+xrai``."""
    return METHODS[base_name(name)]
