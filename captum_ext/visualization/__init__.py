"""Pictures of attributions: heat maps, overlays, regions, bars and curves, and the frame of all figures."""

from captum_ext.visualization.charts import bars, curves
from captum_ext.visualization.comparison import compare
from captum_ext.visualization.frame import (
    COLORS,
    NORMAL,
    SMALL,
    draw_band,
    draw_interval,
    legend,
    name_rows,
    panels,
    png,
    set_title,
)
from captum_ext.visualization.maps import heatmap, overlay, regions
from captum_ext.visualization.style import MethodStyle, base_method, method_styles, sorted_methods

__all__ = [
    "COLORS",
    "NORMAL",
    "SMALL",
    "MethodStyle",
    "bars",
    "base_method",
    "compare",
    "curves",
    "draw_band",
    "draw_interval",
    "heatmap",
    "legend",
    "method_styles",
    "name_rows",
    "overlay",
    "panels",
    "png",
    "regions",
    "set_title",
    "sorted_methods",
]
