"""All metrics by name, and their scores for the images of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from captum_ext.evaluation.inputs import ImageBatch
from captum_ext.metrics import (
    PerturbationCurve,
    class_sensitivity,
    degradation,
    deletion,
    information_curve,
    insertion,
    rank_correlation,
    stability_error,
)


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
    """

    probability: Callable[[Tensor], Tensor]
    batch: ImageBatch
    black: Tensor
    pixels: Tensor | None
    as_input: Callable[[Tensor], Tensor]
    internal_batch_size: int | None
    generator: int
    patches: Patches


@dataclass(frozen=True)
class MapSet:
    """The maps of one method for a batch, and what metrics compare them with.

    Args:
        maps: (B, C, H, W).
        compressed_maps: The maps of the images after JPEG compression, if a metric needs them.
        rival_maps: The maps of the second most probable class, if a metric needs them.
        completeness_error: ``|delta| / |change of the output|``, (B,), of methods with a convergence delta.
        similarity: The rank correlation with the maps of randomized models, (layers, B), if a metric needs it.
    """

    maps: Tensor
    compressed_maps: Tensor | None = None
    rival_maps: Tensor | None = None
    completeness_error: Tensor | None = None
    similarity: Tensor | None = None

    def zero_nonfinite(self) -> tuple[MapSet, list[bool]]:
        """Set all maps of images with a NaN or infinity in one of them to zero, and return which images have one."""
        fields = ("maps", "compressed_maps", "rival_maps")
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
        needs: ``"pixels"``, or the field of :class:`MapSet` that it needs besides ``maps``.
    """

    compute: Callable[[MetricContext, MapSet, str], Iterator[Scores]]
    default_variants: tuple[str, ...]
    other_variants: tuple[str, ...] = ()
    needs: str | None = None


def _insertion(context: MetricContext, maps: MapSet, ranking: str) -> Iterator[Scores]:
    curve = _position_curve(insertion, context, maps, ranking)
    yield Scores("insertion", ranking, curve.area, curve.scores)
    ratio = curve.scores / curve.scores[:, -1:]
    yield Scores("insertion-ratio", ranking, torch.trapezoid(ratio, curve.fractions), ratio)


def _deletion(context: MetricContext, maps: MapSet, ranking: str) -> Iterator[Scores]:
    curve = _position_curve(deletion, context, maps, ranking)
    yield Scores("deletion", ranking, curve.area, curve.scores)


def _position_curve(
    metric: Callable[..., PerturbationCurve], context: MetricContext, maps: MapSet, ranking: str
) -> PerturbationCurve:
    return metric(
        context.probability,
        context.batch.inputs,
        maps.maps,
        context.batch.target,
        baselines=context.black,
        ranking=ranking,
        internal_batch_size=context.internal_batch_size,
    )


def _degradation(context: MetricContext, maps: MapSet, protocol: str) -> Iterator[Scores]:
    curve = degradation(
        context.probability,
        context.batch.inputs,
        maps.maps,
        context.batch.target,
        context.patches.size,
        context.patches.n_patches,
        protocol=protocol,  # type: ignore[arg-type]
        internal_batch_size=context.internal_batch_size,
        patches_per_point=context.patches.per_point,
    )
    yield Scores("degradation", protocol, curve.area, curve.scores)


def _information(context: MetricContext, maps: MapSet, variant: str) -> Iterator[Scores]:
    protocol, information, ranking = (*variant.split(":"), None, None)[:3]
    assert context.pixels is not None, "computed if a metric needs them"
    curves = information_curve(
        context.probability,
        context.pixels,
        maps.maps,
        context.batch.target,
        context.as_input,
        protocol=protocol,  # type: ignore[arg-type]
        information=information,  # type: ignore[arg-type]
        ranking=ranking,  # type: ignore[arg-type]
        generator=context.generator,
        internal_batch_size=context.internal_batch_size,
    )
    yield Scores("sic", variant, curves.sic_area, curves.sic, curves.sic_exclusions)
    yield Scores("aic", variant, curves.aic_area, curves.aic, curves.aic_exclusions)


def _stability(context: MetricContext, maps: MapSet, variant: str) -> Iterator[Scores]:
    assert maps.compressed_maps is not None, "computed if a metric needs them"
    if variant == "rank":
        values = rank_correlation(maps.maps, maps.compressed_maps)
    else:
        values = stability_error(maps.maps, maps.compressed_maps, variant)  # type: ignore[arg-type]
    yield Scores("stability", variant, values)


def _class_sensitivity(context: MetricContext, maps: MapSet, ranking: str) -> Iterator[Scores]:
    assert maps.rival_maps is not None, "computed if a metric needs them"
    yield Scores("class-sensitivity", ranking, class_sensitivity(maps.maps, maps.rival_maps, ranking))  # type: ignore[arg-type]


def _completeness(context: MetricContext, maps: MapSet, variant: str) -> Iterator[Scores]:
    if maps.completeness_error is not None:
        yield Scores("completeness", variant, maps.completeness_error)


def _randomization(context: MetricContext, maps: MapSet, variant: str) -> Iterator[Scores]:
    if maps.similarity is not None:
        yield Scores("randomization", variant, maps.similarity.mean(0), maps.similarity.T)


_RANKINGS = ("signed", "absolute")
_PROTOCOLS = ("corrected", "pair", "study")
_INFORMATION_VARIANTS = [f"{protocol}:{kind}" for protocol in _PROTOCOLS for kind in ("webp", "png", "ms-ssim")]
METRICS = {
    "insertion": Metric(_insertion, _RANKINGS),
    "deletion": Metric(_deletion, _RANKINGS),
    "degradation": Metric(_degradation, ("paper",), ("code",)),
    "information": Metric(
        _information,
        ("corrected",),
        (
            *_PROTOCOLS[1:],
            *_INFORMATION_VARIANTS,
            *(f"{variant}:{ranking}" for variant in _INFORMATION_VARIANTS for ranking in _RANKINGS),
        ),
        needs="pixels",
    ),
    "completeness": Metric(_completeness, ("relative",)),
    "stability": Metric(_stability, (*_RANKINGS, "rank"), needs="compressed_maps"),
    "class-sensitivity": Metric(_class_sensitivity, _RANKINGS, needs="rival_maps"),
    "randomization": Metric(_randomization, ("absolute",), needs="similarity"),
}


def parse_metric(text: str) -> list[tuple[str, str]]:
    """The name and the variants of the metric for a name such as ``"insertion"`` or ``"information:study:ms-ssim"``.

    Raises:
        ValueError: If the metric or the variant is unknown.
    """
    name, _, variant = text.partition(":")
    metric = METRICS.get(name)
    if metric is None:
        raise ValueError(f"metrics: expected some of {', '.join(METRICS)}; got {text!r}.")
    variants = (*metric.default_variants, *metric.other_variants)
    if variant and variant not in variants:
        raise ValueError(f"metrics: {name} takes {', '.join(variants)}; got {variant!r}.")
    return [(name, item) for item in ((variant,) if variant else metric.default_variants)]
