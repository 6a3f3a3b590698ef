"""How the gradients along a path become one attribution."""

from captum_ext.quadratures.base import IntegrationErrors, Quadrature, RunningSum
from captum_ext.quadratures.important_direction import ImportantDirection, idgi
from captum_ext.quadratures.subsampled import Subsampled
from captum_ext.quadratures.weighted_sum import WeightedSum

__all__ = ["ImportantDirection", "IntegrationErrors", "Quadrature", "RunningSum", "Subsampled", "WeightedSum", "idgi"]
