"""Baselines: what an input without information could look like to the model.

Zero is gray, not black, after the usual normalization: an image baseline is best made as a picture and put
through the model's own transform. No choice is neutral: a path method gives nothing to a feature that is as in
the baseline, so a black baseline can't find black objects. :class:`~captum_ext.attr.Expected` averages over several.

Reference:
    Sturmfels, Lundberg, Lee: Visualizing the Impact of Feature Attribution Baselines. Distill 2020.
    https://distill.pub/2020/attribution-baselines/
"""

from captum_ext.baselines._data import data_mean
from captum_ext.baselines._inputs import blurred, constant, gaussian_noise, maximum_distance, uniform
from captum_ext.baselines._pictures import black, gray, white

__all__ = [
    "black",
    "blurred",
    "constant",
    "data_mean",
    "gaussian_noise",
    "gray",
    "maximum_distance",
    "uniform",
    "white",
]
