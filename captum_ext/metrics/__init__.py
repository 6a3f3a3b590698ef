"""Metrics for attributions of any method. Each returns one result per example."""

from captum_ext.metrics._information_curves import AggregateCurves, InformationCurves, aggregate
from captum_ext.metrics._perturbation_curve import PerturbationCurve
from captum_ext.metrics.completeness_error import Completeness, completeness
from captum_ext.metrics.erasure import comprehensiveness, sufficiency
from captum_ext.metrics.information import information_curve
from captum_ext.metrics.perturbation import degradation, deletion, insertion
from captum_ext.metrics.randomization import Randomization, model_randomization
from captum_ext.metrics.similarity import class_sensitivity, jpeg_compress, rank_correlation, stability_error

__all__ = [
    "AggregateCurves",
    "Completeness",
    "InformationCurves",
    "PerturbationCurve",
    "Randomization",
    "aggregate",
    "class_sensitivity",
    "completeness",
    "comprehensiveness",
    "degradation",
    "deletion",
    "information_curve",
    "insertion",
    "jpeg_compress",
    "model_randomization",
    "rank_correlation",
    "stability_error",
    "sufficiency",
]
