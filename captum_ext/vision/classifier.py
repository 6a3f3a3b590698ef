"""A classifier of images and what it takes to feed and read it."""

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
    """A model that gives logits (B, classes), and what it takes to feed and read it."""

    model: nn.Module
    transform: Transform
    categories: list[str] = field(default_factory=list)

    def category(self, index: int) -> str:
        """The class's name, if it has one."""
        return self.categories[index] if index < len(self.categories) else f"class {index}"
