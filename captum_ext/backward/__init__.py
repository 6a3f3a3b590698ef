"""Backward rules, which replace the gradient by another vector-Jacobian product."""

from captum_ext.backward.base import BackwardRule, Bound

__all__ = ["BackwardRule", "Bound"]
