"""Methods x models x metrics over a folder of images, on one machine or many."""

from captum_ext.evaluation.estimates import Estimate, ScoreSample, band, bootstrap, combine
from captum_ext.evaluation.images import LabelledImage, find_images
from captum_ext.evaluation.measures import MEASURES
from captum_ext.evaluation.methods import METHODS
from captum_ext.evaluation.reporting.write import report
from captum_ext.evaluation.run import Summary, evaluate
from captum_ext.evaluation.scores import ScoreTable
from captum_ext.evaluation.settings import Settings
from captum_ext.evaluation.store import Results, ResultsError, Row

__all__ = [
    "MEASURES",
    "METHODS",
    "Estimate",
    "LabelledImage",
    "Results",
    "ResultsError",
    "Row",
    "ScoreSample",
    "ScoreTable",
    "Settings",
    "Summary",
    "band",
    "bootstrap",
    "combine",
    "evaluate",
    "find_images",
    "report",
]
