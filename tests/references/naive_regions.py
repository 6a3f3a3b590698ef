"""XRAI one mask and one pixel set at a time, in NumPy."""

import numpy as np


def xrai(values, masks, algorithm="full", area_threshold=1.0, min_pixel_diff=50):
    """The map and the ranks of one map (H, W); masks (M, H, W)."""
    merged = np.full(values.shape, np.nan)
    taken = np.zeros(values.shape, dtype=bool)
    left = list(masks)
    if algorithm == "fast":
        left = sorted((mask for mask in left if mask.any()), key=lambda mask: -values[mask].mean())
    regions = []
    while left and taken.mean() <= area_threshold:
        left = [mask for mask in left if (mask & ~taken).sum() >= min_pixel_diff]
        if not left:
            break
        means = [values[mask & ~taken].mean() for mask in left]
        best = int(np.argmax(means)) if algorithm == "full" else 0
        region = left.pop(best) & ~taken
        merged[region] = means[best]
        regions.append((means[best], region))
        taken |= region
    ranks = np.zeros(values.shape, dtype=int)
    for rank, (_, region) in enumerate(sorted(regions, key=lambda pair: -pair[0]), 1):
        ranks[region] = rank
    if not taken.all():
        merged[~taken] = values[~taken].mean()
        ranks[~taken] = len(regions) + 1
    return merged, ranks
