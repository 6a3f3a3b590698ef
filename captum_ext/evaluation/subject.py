"""What is explained, and the questions asked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor, nn

from captum_ext.patterns import Patterns


class Question(NamedTuple):
    """A batch to explain.

    Attributes:
        names: Of the images; what is random depends on them, and so not on which process has the batch.
        inputs: (B, C, H, W), as the model gets them.
        baseline: Where paths start, in the same shape.
        target: The class of each, (B,).
    """

    names: tuple[str, ...]
    inputs: Tensor
    baseline: Tensor
    target: Tensor


@dataclass(frozen=True)
class Subject:
    """A classifier.

    Args:
        model: Gives logits (B, classes).
        references: Images that Expected Gradients draws baselines from, (R, C, H, W).
        rows: The most rows in a forward pass; ``None`` for the methods' default.
        seed: For what is random.
        patterns: Patterns of the model, which has no BatchNorm left to fold, or of another one.
        folded: The model that the patterns are of, if it is another one: it computes the same.
        smoothgrad_ig_samples: Noisy paths of SmoothGrad-IG.
    """

    model: nn.Module
    references: Tensor
    rows: int | None
    seed: int
    patterns: Patterns | None = None
    folded: nn.Module | None = None
    smoothgrad_ig_samples: int = 25

    def probability(self, x: Tensor) -> Tensor:
        """The softmax, which all methods but PatternNet and PatternAttribution explain."""
        scores: Tensor = self.model(x).softmax(1)
        return scores

    @property
    def patterned(self) -> Subject:
        """The subject with the model that the patterns are of."""
        return self if self.folded is None else replace(self, model=self.folded, folded=None)

    def given_patterns(self) -> Patterns:
        """The patterns, by a method that is known to have them."""
        assert self.patterns is not None, "the settings ask for them"
        return self.patterns
