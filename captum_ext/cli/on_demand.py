"""Models and patterns that are loaded when they are needed, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import nn

Value = TypeVar("Value")


class OnDemand(Mapping[str, Value]):
    """Values that are loaded whenever they are read, and not kept.

    Args:
        names: The keys.
        load: Loads the value of a key.
    """

    def __init__(self, names: Sequence[str], load: Callable[[str], Value]) -> None:
        """See the class."""
        self._names = names
        self._load = load

    def __getitem__(self, name: str) -> Value:
        """Load a value."""
        if name not in self._names:
            raise KeyError(name)
        return self._load(name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a key, without loading its value."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(self._names)

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._names)


def use_channels_last(model: nn.Module) -> None:
    """Store the weights of 2-D convolutions with channels last, as the evaluation stores images.

    cuDNN would otherwise convert them in each pass.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)
