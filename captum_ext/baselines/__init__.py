"""Baselines: inputs without information.

After the usual normalization, zero is gray and not black, so create image baselines as pictures and apply the model's
transform to them. No baseline is neutral: most path methods attribute nothing to a feature that equals the baseline, so
a black baseline hides black objects. :class:`~captum_ext.attr.Expected` averages over several baselines.

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
