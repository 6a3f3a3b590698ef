"""All methods by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from captum_ext.attr import PathAttribution
from captum_ext.evaluation import comparators
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.paths import BlurPath, GuidedPath, Path, StraightPath
from captum_ext.patterns import PatternRule
from captum_ext.quadratures import ImportantDirection, Quadrature, WeightedSum


@dataclass(frozen=True)
class PathMethodSpec:
    """A path method. Methods on the same path share its gradients, so each uses a rule on the closed grid."""

    path: Path
    quadrature: Quadrature
    needs_patterns: bool = False

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
class ComparatorSpec:
    """A method without a number of steps, (B, C, H, W) maps of a batch."""

    attribute: Callable[[ProbabilityModel, ImageBatch], Tensor]
    needs_patterns: bool = False


_TRAPEZOID, _LEFT, _IDGI = WeightedSum("riemann_trapezoid"), WeightedSum("riemann_left"), ImportantDirection()
PATH_METHODS = {
    "ig": PathMethodSpec(StraightPath(), _TRAPEZOID),
    "idgi": PathMethodSpec(StraightPath(), _IDGI),
    "guided-ig": PathMethodSpec(GuidedPath(), _LEFT),
    "guided-ig+idgi": PathMethodSpec(GuidedPath(), _IDGI),
    "blur-ig": PathMethodSpec(BlurPath(), _TRAPEZOID),
    "blur-ig+idgi": PathMethodSpec(BlurPath(), _IDGI),
    "pgig": PathMethodSpec(StraightPath(), _TRAPEZOID, needs_patterns=True),
}
COMPARATORS = {
    "random": ComparatorSpec(comparators.random),
    "gradient": ComparatorSpec(comparators.gradient),
    "gradient-x-input": ComparatorSpec(comparators.gradient_x_input),
    "vargrad": ComparatorSpec(comparators.vargrad),
    "smoothgrad-squared": ComparatorSpec(comparators.smoothgrad_squared),
    "smoothgrad-ig": ComparatorSpec(comparators.smoothgrad_ig),
    "expected-gradients": ComparatorSpec(comparators.expected_gradients),
    "guided-backprop": ComparatorSpec(comparators.guided_backprop),
    "patternnet": ComparatorSpec(comparators.patternnet, needs_patterns=True),
    "patternattribution": ComparatorSpec(comparators.patternattribution, needs_patterns=True),
}
METHODS: dict[str, PathMethodSpec | ComparatorSpec] = {**PATH_METHODS, **COMPARATORS}
