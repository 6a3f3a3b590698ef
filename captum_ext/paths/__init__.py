"""Which points lie between a baseline and an input, and what is needed to write a path."""

from captum_ext.paths.base import Path, Trajectory
from captum_ext.paths.blur import BlurPath
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.paths.guided import GuidedPath
from captum_ext.paths.searched import SearchedPath, Step
from captum_ext.paths.straight import StraightPath
from captum_ext.paths.vocabulary import VocabularyPath

__all__ = [
    "BlurPath",
    "GuidedPath",
    "Path",
    "PathEvaluator",
    "SearchedPath",
    "Step",
    "StraightPath",
    "Trajectory",
    "VocabularyPath",
]
