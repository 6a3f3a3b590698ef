"""Which points lie between a baseline and an input."""

from captum_ext.paths.base import Path, Trace
from captum_ext.paths.blur import BlurPath
from captum_ext.paths.guided import GuidedPath
from captum_ext.paths.straight import StraightPath

__all__ = ["BlurPath", "GuidedPath", "Path", "StraightPath", "Trace"]
