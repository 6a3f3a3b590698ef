"""How good attributions are: what they promise, and what the papers measure. Each gives one result an example."""

from captum_ext.metrics._replace import PerturbationCurve
from captum_ext.metrics.agreement import Randomization, class_sensitivity, jpeg_compress, model_randomization, stability
from captum_ext.metrics.complete import Completeness, completeness
from captum_ext.metrics.information import AggregateCurves, InformationCurves, aggregate, information_curve
from captum_ext.metrics.perturbation import degradation, deletion, insertion

__all__ = [
    "AggregateCurves",
    "Completeness",
    "InformationCurves",
    "PerturbationCurve",
    "Randomization",
    "aggregate",
    "class_sensitivity",
    "completeness",
    "degradation",
    "deletion",
    "information_curve",
    "insertion",
    "jpeg_compress",
    "model_randomization",
    "stability",
]
