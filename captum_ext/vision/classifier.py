"""Image classifiers with their transforms and class names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from PIL.Image import Image

Transform = Callable[["Image"], Tensor]


@dataclass
class Classifier:
    """A model that returns logits (B, classes), the transform of its images, and the names of its classes."""

    model: nn.Module
    transform: Transform
    categories: list[str] = field(default_factory=list)

    def category(self, index: int) -> str:
        """The name of the class, or its index if it has no name."""
        return self.categories[index] if index < len(self.categories) else f"class {index}"
