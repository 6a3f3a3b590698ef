"""Which vector-Jacobian product counts as the gradient."""

from captum_ext.backward.base import BackwardRule, Bound

__all__ = ["BackwardRule", "Bound"]
