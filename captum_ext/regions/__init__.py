"""Regions: maps of segments from maps of pixels."""

from captum_ext.regions.region_maps import top_regions, xrai
from captum_ext.regions.segmentation import Segmentation, segment

__all__ = ["Segmentation", "segment", "top_regions", "xrai"]
