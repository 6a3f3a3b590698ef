"""Which points lie between a baseline and an input, and what is needed to write a path."""

from captum_ext.paths.base import Path, Trajectory
from captum_ext.paths.blur import BlurPath
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.paths.guided import GuidedPath
from captum_ext.paths.latent import LatentPath
from captum_ext.paths.pca import PCA, fit_pca
from captum_ext.paths.searched import SearchedPath, Step
from captum_ext.paths.straight import StraightPath

__all__ = [
    "PCA",
    "BlurPath",
    "GuidedPath",
    "LatentPath",
    "Path",
    "PathEvaluator",
    "SearchedPath",
    "Step",
    "StraightPath",
    "Trajectory",
    "fit_pca",
]
