"""captum_ext: any path x any quadrature x any backward rule, next to Captum's Integrated Gradients.

Public names live in :mod:`captum_ext.attr` (methods), :mod:`captum_ext.paths`, :mod:`captum_ext.quadratures`
and :mod:`captum_ext.baselines`.
"""

__version__ = "0.1.0"
