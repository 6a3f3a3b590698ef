"""The model and the batch of images that methods explain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from captum_ext._utils.errors import UserError
from captum_ext.paths import PCA, fit_pca
from captum_ext.patterns import Patterns

_components: WeakIdKeyDictionary = WeakIdKeyDictionary()  # by the references


class ImageBatch(NamedTuple):
    """A batch of images to explain.

    Attributes:
        names: The images' names. Random methods derive their seed from them, so that an image's map does not depend on
            its batch or process.
        inputs: (B, C, H, W), as the model receives them.
        baselines: The start of straight and guided paths, in the same shape.
        target: The class of each image, (B,).
    """

    names: tuple[str, ...]
    inputs: Tensor
    baselines: Tensor
    target: Tensor


@dataclass(frozen=True)
class ProbabilityModel:
    """A classifier whose probabilities are explained, and what some methods need besides.

    Args:
        model: Returns logits (B, classes).
        references: Images from which Expected Gradients draws its baselines, and whose principal components are the
            coder of latent paths, (R, C, H, W).
        internal_batch_size: Maximum number of rows in a forward pass; ``None`` for each method's default.
        generator: The seed of random methods.
        patterns: Patterns of ``folded_model``, or of ``model`` if that is ``None``.
        folded_model: The model with BatchNorm folded, if the patterns belong to it. It returns the same logits.
        smoothgrad_ig_samples: Number of noisy paths of SmoothGrad-IG.
        show_progress: Whether methods with a number of steps show a progress bar.
    """

    model: nn.Module
    references: Tensor
    internal_batch_size: int | None
    generator: int
    patterns: Patterns | None = None
    folded_model: nn.Module | None = None
    smoothgrad_ig_samples: int = 25
    show_progress: bool = False

    def probability(self, x: Tensor) -> Tensor:
        """The softmax, which all methods except PatternNet and PatternAttribution explain."""
        scores: Tensor = self.model(x).softmax(1)
        return scores

    @property
    def with_folded_model(self) -> ProbabilityModel:
        """The same with the model that the patterns belong to."""
        return self if self.folded_model is None else replace(self, model=self.folded_model, folded_model=None)

    def require_patterns(self) -> Patterns:
        """The patterns, for methods that were checked to have them."""
        assert self.patterns is not None, "checked before the run"
        return self.patterns

    @property
    def pca(self) -> PCA:
        """The principal components of the references, all of them, computed once for all models with these."""
        if len(self.references) < 2:
            raise UserError("eig and ma-gig need at least two images as references, got 1")
        if self.references not in _components:
            _components[self.references] = fit_pca(self.references, len(self.references) - 1)
        components: PCA = _components[self.references]
        return components


@dataclass(frozen=True)
class LogitModel(ProbabilityModel):
    """A classifier whose logits are explained in place of its probabilities."""

    def probability(self, x: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.model(x)
        return logits
