"""Quadratures, which combine the gradients along a path into one attribution, and the interface for writing one."""

from captum_ext.quadratures.base import Accumulator, IntegrationErrors, Quadrature
from captum_ext.quadratures.decision_gradients import DecisionGradients
from captum_ext.quadratures.grid import Grid, closed_grid, open_grid
from captum_ext.quadratures.important_direction import ImportantDirection, idgi
from captum_ext.quadratures.position_weighted import PositionWeighted
from captum_ext.quadratures.segment import Segment
from captum_ext.quadratures.subsampled import Subsampled
from captum_ext.quadratures.weighted_sum import WeightedSum

__all__ = [
    "Accumulator",
    "DecisionGradients",
    "Grid",
    "ImportantDirection",
    "IntegrationErrors",
    "PositionWeighted",
    "Quadrature",
    "Segment",
    "Subsampled",
    "WeightedSum",
    "closed_grid",
    "idgi",
    "open_grid",
]
