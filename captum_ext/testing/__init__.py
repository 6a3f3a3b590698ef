"""Checks for paths and quadratures of your own. They need no test framework."""

from captum_ext.testing.check import Check
from captum_ext.testing.run import check_path, check_quadrature, path_checks, quadrature_checks

__all__ = ["Check", "check_path", "check_quadrature", "path_checks", "quadrature_checks"]
