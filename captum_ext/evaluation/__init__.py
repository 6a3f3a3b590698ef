"""Methods x models x metrics over a folder of images, on one machine or many."""

from captum_ext.evaluation.reporting.write import report

__all__ = ["report"]
