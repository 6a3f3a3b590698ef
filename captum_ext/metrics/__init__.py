"""Metrics for attributions of any method. Each returns one result per example."""

from captum_ext.metrics._information_curves import AggregateCurves, InformationCurves, aggregate
from captum_ext.metrics._perturbation_curve import PerturbationCurve
from captum_ext.metrics.completeness_error import Completeness, completeness
from captum_ext.metrics.erasure import comprehensiveness, sufficiency
from captum_ext.metrics.imputation import road
from captum_ext.metrics.information import information_curve
from captum_ext.metrics.localization import (
    best_f1,
    box_masks,
    localization_auc,
    localization_iou,
    map_mae,
    pointing_game,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)
from captum_ext.metrics.mosaics import GridMosaics, grid_mosaics, grid_pointing_game
from captum_ext.metrics.perturbation import degradation, deletion, diffid, insertion
from captum_ext.metrics.randomization import Randomization, model_randomization
from captum_ext.metrics.similarity import class_sensitivity, jpeg_compress, rank_correlation, stability_error

__all__ = [
    "AggregateCurves",
    "Completeness",
    "GridMosaics",
    "InformationCurves",
    "PerturbationCurve",
    "Randomization",
    "aggregate",
    "best_f1",
    "box_masks",
    "class_sensitivity",
    "completeness",
    "comprehensiveness",
    "degradation",
    "deletion",
    "diffid",
    "grid_mosaics",
    "grid_pointing_game",
    "information_curve",
    "insertion",
    "jpeg_compress",
    "localization_auc",
    "localization_iou",
    "map_mae",
    "model_randomization",
    "pointing_game",
    "rank_correlation",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "road",
    "stability_error",
    "sufficiency",
]
