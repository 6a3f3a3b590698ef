"""The metrics of localization, with masks and on mosaics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from torch import Tensor

from captum_ext.evaluation.metric import MapSet, Metric, MetricContext, Scores
from captum_ext.evaluation.mosaic_batch import GRID
from captum_ext.metrics import (
    best_f1,
    grid_pointing_game,
    localization_auc,
    localization_iou,
    map_mae,
    pointing_game,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)


def _masked(
    context: MetricContext, maps: MapSet, ranking: str, name: str, measure: Callable[..., Tensor]
) -> Iterator[Scores]:
    assert context.masks is not None, "read if a metric needs them"
    values = measure(maps.maps, context.masks.masks, ranking=ranking)
    yield Scores(name, ranking, values, notes=context.masks.notes)


def _grid_pointing_game(context: MetricContext, maps: MapSet, ranking: str) -> Iterator[Scores]:
    assert maps.mosaic_maps is not None, "computed if a metric needs them"
    assert context.mosaics is not None, "made with these maps"
    values = grid_pointing_game(maps.mosaic_maps, context.mosaics.cells, GRID, ranking)  # type: ignore[arg-type]
    yield Scores("grid-pointing-game", ranking, values, notes=context.mosaics.notes)


_BY_ORDER: dict[str, Callable[..., Tensor]] = {
    "localization-auc": localization_auc,
    "best-f1": best_f1,
    "pointing-game": pointing_game,
    "relevance-rank-accuracy": relevance_rank_accuracy,
}
LOCALIZATION_METRICS = {
    **{
        name: Metric(
            partial(_masked, name=name, measure=measure),
            ("signed", "absolute"),
            ("positive",),
            needs="masks",
            has_chance=True,
        )
        for name, measure in _BY_ORDER.items()
    },
    "relevance-mass-accuracy": Metric(
        partial(_masked, name="relevance-mass-accuracy", measure=relevance_mass_accuracy),
        ("positive",),
        ("absolute",),
        needs="masks",
        has_chance=True,
    ),
    # A constant map is not a random order in these two: its MAE is p, and its IoU is 0.
    "map-mae": Metric(
        partial(_masked, name="map-mae", measure=map_mae),
        ("positive",),
        ("signed", "absolute"),
        needs="masks",
    ),
    "localization-iou": Metric(
        partial(_masked, name="localization-iou", measure=localization_iou),
        ("positive",),
        ("signed", "absolute"),
        needs="masks",
    ),
    "grid-pointing-game": Metric(
        _grid_pointing_game, ("positive",), ("absolute",), needs="mosaic_maps", has_chance=True
    ),
}
