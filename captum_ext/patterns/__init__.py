"""Patterns: the directions in which a layer's input varies with the output of its units, fitted to data."""

from captum_ext.patterns.bank import FitReport, LayerInfo, Patterns
from captum_ext.patterns.fit import PatternFitter, fit_patterns
from captum_ext.patterns.fold import fold_batch_norm
from captum_ext.patterns.quality import SignalQuality, signal_quality
from captum_ext.patterns.rules import PatternRule, pattern_backward

__all__ = [
    "FitReport",
    "LayerInfo",
    "PatternFitter",
    "PatternRule",
    "Patterns",
    "SignalQuality",
    "fit_patterns",
    "fold_batch_norm",
    "pattern_backward",
    "signal_quality",
]
