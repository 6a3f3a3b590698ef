"""Paths from a baseline to an input, and the interface for writing a path."""

from captum_ext.paths.base import Path, Trajectory
from captum_ext.paths.blur import BlurPath
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.paths.guided import GuidedPath
from captum_ext.paths.searched import SearchedPath, Step
from captum_ext.paths.straight import StraightPath

__all__ = [
    "BlurPath",
    "GuidedPath",
    "Path",
    "PathEvaluator",
    "SearchedPath",
    "Step",
    "StraightPath",
    "Trajectory",
]
