"""One look for all figures: panels, methods' colors and markers, intervals, legends and maps."""

from captum_ext.visualization.frame import (
    COLORS,
    NORMAL,
    SMALL,
    draw_band,
    draw_interval,
    draw_map,
    legend,
    name_rows,
    panels,
    png,
    set_title,
)
from captum_ext.visualization.style import MethodStyle, base_method, method_styles, sorted_methods

__all__ = [
    "COLORS",
    "NORMAL",
    "SMALL",
    "MethodStyle",
    "base_method",
    "draw_band",
    "draw_interval",
    "draw_map",
    "legend",
    "method_styles",
    "name_rows",
    "panels",
    "png",
    "set_title",
    "sorted_methods",
]
