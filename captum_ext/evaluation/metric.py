"""The interface of the evaluation's metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from captum_ext.evaluation.inputs import ImageBatch
from captum_ext.evaluation.mosaic_batch import MosaicBatch
from captum_ext.evaluation.object_masks import ObjectMasks

CHANCE = "chance"
"""The name under which results have the values of a constant map."""


class Patches(NamedTuple):
    """The patches of degradation: their side, their number, and how many are replaced between two forward passes."""

    size: int
    n_patches: int
    per_point: int


class Scores(NamedTuple):
    """One score of each image of a batch, their curves if they are areas, and notes on images without a value."""

    name: str
    variant: str
    values: Tensor  # (B,)
    curves: Tensor | None = None  # (B, P)
    notes: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True)
class MetricContext:
    """The data that metrics need besides the maps of a batch.

    Args:
        probability: From inputs to probabilities.
        batch: The images and their classes.
        black: Black as the model receives it, (B, C, H, W): the start of insertion and the end of deletion.
        pixels: The inputs as uint8 pixels (B, C, H, W), if a metric needs them.
        as_input: From such pixels to inputs.
        internal_batch_size: Maximum number of rows in a forward pass; ``None`` for each metric's default.
        generator: The seed of random masks.
        patches: The patches of degradation.
        masks: The masks of the images as the model receives them, if a metric needs them.
        mosaics: A mosaic for each image, if a metric needs them.
    """

    probability: Callable[[Tensor], Tensor]
    batch: ImageBatch
    black: Tensor
    pixels: Tensor | None
    as_input: Callable[[Tensor], Tensor]
    internal_batch_size: int | None
    generator: int
    patches: Patches
    masks: ObjectMasks | None = None
    mosaics: MosaicBatch | None = None


@dataclass(frozen=True)
class MapSet:
    """The maps of one method for a batch, and what metrics compare them with.

    Args:
        maps: (B, C, H, W).
        compressed_maps: The maps of the images after JPEG compression, if a metric needs them.
        rival_maps: The maps of the second most probable class, if a metric needs them.
        completeness_error: ``|delta| / |change of the output|``, (B,), of methods with a convergence delta.
        similarity: The rank correlation with the maps of randomized models, (layers, B), if a metric needs it.
        mosaic_maps: The maps of the images' mosaics, (B, C, grid * H, grid * W), if a metric needs them.
    """

    maps: Tensor
    compressed_maps: Tensor | None = None
    rival_maps: Tensor | None = None
    completeness_error: Tensor | None = None
    similarity: Tensor | None = None
    mosaic_maps: Tensor | None = None

    def zero_nonfinite(self) -> tuple[MapSet, list[bool]]:
        """Set all maps of images with a NaN or infinity in one of them to zero, and return which images have one."""
        fields = ("maps", "compressed_maps", "rival_maps", "mosaic_maps")
        present = {name: getattr(self, name) for name in fields if getattr(self, name) is not None}
        finite = torch.stack([torch.isfinite(maps).flatten(1).all(1) for maps in present.values()]).all(0)
        column = finite.reshape(-1, *(1,) * (self.maps.dim() - 1))
        zeroed = {name: torch.where(column, maps, 0) for name, maps in present.items()}
        return replace(self, **zeroed), (~finite).tolist()


@dataclass(frozen=True)
class Metric:
    """A metric.

    Args:
        compute: Computes its scores for a variant.
        default_variants: The variants that its bare name selects.
        other_variants: Further variants.
        needs: ``"pixels"``, ``"masks"``, or the field of :class:`MapSet` that it needs besides ``maps``.
        has_chance: Whether a constant map has the value that a random order has on average. It is stored too, as
            :data:`CHANCE`.
    """

    compute: Callable[[MetricContext, MapSet, str], Iterator[Scores]]
    default_variants: tuple[str, ...]
    other_variants: tuple[str, ...] = ()
    needs: str | None = None
    has_chance: bool = False
