"""Paths from a baseline to an input, and the interface for writing a path."""

from captum_ext.paths.adversarial import AdversarialPath
from captum_ext.paths.base import Path, Trajectory
from captum_ext.paths.blur import BlurPath
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.paths.greedy import GreedyPath
from captum_ext.paths.guided import GuidedPath
from captum_ext.paths.latent import LatentPath
from captum_ext.paths.pca import PCA, fit_pca
from captum_ext.paths.representation import RepresentationPath
from captum_ext.paths.searched import SearchedPath, Step
from captum_ext.paths.straight import StraightPath
from captum_ext.paths.unsaturated import UnsaturatedPath
from captum_ext.paths.vocabulary import VocabularyPath

__all__ = [
    "PCA",
    "AdversarialPath",
    "BlurPath",
    "GreedyPath",
    "GuidedPath",
    "LatentPath",
    "Path",
    "PathEvaluator",
    "RepresentationPath",
    "SearchedPath",
    "Step",
    "StraightPath",
    "Trajectory",
    "UnsaturatedPath",
    "VocabularyPath",
    "fit_pca",
]
