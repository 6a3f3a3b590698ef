"""All metrics by name, and their scores for the images of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from captum_ext.evaluation.comparators import derive_seed
from captum_ext.evaluation.localization_metrics import LOCALIZATION_METRICS
from captum_ext.evaluation.metric import MapSet, Metric, MetricContext, Scores
from captum_ext.metrics import (
    PerturbationCurve,
    class_sensitivity,
    degradation,
    deletion,
    diffid,
    information_curve,
    insertion,
    rank_correlation,
    road,
    stability_error,
)


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


def _road(context: MetricContext, maps: MapSet, ranking: str, order: str = "morf") -> Iterator[Scores]:
    batch, areas, curves = context.batch, [], []
    for index, name in enumerate(batch.names):  # so that the noise on an image does not depend on its batch
        curve = road(
            context.probability,
            batch.inputs[index : index + 1],
            maps.maps[index : index + 1],
            batch.target[index : index + 1],
            order=order,  # type: ignore[arg-type]
            ranking=ranking,  # type: ignore[arg-type]
            generator=derive_seed(context.generator, "road", name),
            internal_batch_size=context.internal_batch_size,
        )
        areas.append(curve.area)
        curves.append(curve.scores)
    yield Scores("road" if order == "morf" else "road-lerf", ranking, torch.cat(areas), torch.cat(curves))


def _diffid(context: MetricContext, maps: MapSet, ranking: str) -> Iterator[Scores]:
    differences = diffid(
        context.probability,
        context.batch.inputs,
        maps.maps,
        context.batch.target,
        baselines=context.black,
        ranking=ranking,  # type: ignore[arg-type]
        internal_batch_size=context.internal_batch_size,
    )
    yield Scores("diffid", ranking, differences.mean(1))


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
    "road": Metric(_road, _RANKINGS),
    "road-lerf": Metric(partial(_road, order="lerf"), _RANKINGS),
    "diffid": Metric(_diffid, _RANKINGS),
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
    **LOCALIZATION_METRICS,
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
