"""Methods x models x metrics over a folder of images, on one machine or many."""

from captum_ext.evaluation.comparison import Comparison, compare
from captum_ext.evaluation.comparisons import holm_coverages, sign_flip_test, t_interval, t_test
from captum_ext.evaluation.config import EvaluationConfig
from captum_ext.evaluation.estimates import Estimate, ScoreSample, band, bootstrap, combine
from captum_ext.evaluation.images import LabeledImage, find_images
from captum_ext.evaluation.method_registry import METHODS
from captum_ext.evaluation.metric_registry import METRICS
from captum_ext.evaluation.reporting.page import html_report
from captum_ext.evaluation.reporting.write import report
from captum_ext.evaluation.run import EvaluationSummary, evaluate
from captum_ext.evaluation.scores import ScoreTable
from captum_ext.evaluation.store import ResultRow, Results, ResultsError

__all__ = [
    "METHODS",
    "METRICS",
    "Comparison",
    "Estimate",
    "EvaluationConfig",
    "EvaluationSummary",
    "LabeledImage",
    "ResultRow",
    "Results",
    "ResultsError",
    "ScoreSample",
    "ScoreTable",
    "band",
    "bootstrap",
    "combine",
    "compare",
    "evaluate",
    "find_images",
    "holm_coverages",
    "html_report",
    "report",
    "sign_flip_test",
    "t_interval",
    "t_test",
]
