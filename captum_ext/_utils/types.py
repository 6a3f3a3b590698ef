"""The types of Captum's arguments. Captum has no py.typed, so type checkers do not see its own."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from torch import Tensor

TensorOrTuple = TypeVar("TensorOrTuple", Tensor, tuple[Tensor, ...])
TargetType: TypeAlias = int | tuple[int, ...] | Tensor | list[tuple[int, ...]] | list[int] | None
BaselineType: TypeAlias = Tensor | int | float | tuple[Tensor | int | float, ...] | None
