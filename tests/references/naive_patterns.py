"""Patterns by explicit patches, one unit at a time, in NumPy float64."""

from __future__ import annotations

from itertools import product

import numpy as np


def linear_samples(x):
    """Rows."""
    return [x.reshape(-1, x.shape[-1])]


def conv_patches(x, kernel, stride, padding, dilation, groups, mode="zeros"):
    """For each group the patches (samples, in / groups * kernel), in the order of the output's positions."""
    dims = len(kernel)
    pads = [(0, 0), (0, 0), *[(before, after) for before, after in padding]]
    x = np.pad(x, pads, mode={"zeros": "constant", "circular": "wrap", "reflect": "reflect", "replicate": "edge"}[mode])
    sizes = [(x.shape[2 + d] - dilation[d] * (kernel[d] - 1) - 1) // stride[d] + 1 for d in range(dims)]
    channels = x.shape[1] // groups
    result = []
    for group in range(groups):
        part = x[:, group * channels : (group + 1) * channels]
        patches = []
        for b in range(len(x)):
            for at in product(*map(range, sizes)):
                window = tuple(
                    slice(at[d] * stride[d], at[d] * stride[d] + dilation[d] * (kernel[d] - 1) + 1, dilation[d])
                    for d in range(dims)
                )
                patches.append(part[(b, slice(None), *window)].ravel())
        result.append(np.array(patches))
    return result


def fit(samples, weight, bias, estimator, mean):
    """The pattern of each unit: weight (out, ...), samples one array a group."""
    out = len(weight)
    flat = weight.reshape(out, -1)
    patterns = np.zeros_like(flat)
    for unit in range(out):
        x = samples[unit * len(samples) // out]
        y = x @ flat[unit] + (0 if bias is None else bias[unit])
        if estimator == "linear":
            numerator = (x * y[:, None]).mean(0) - x.mean(0) * y.mean()
        else:
            fires = y > 0
            if not fires.any():
                continue
            mean_y = y.mean() if mean == "preactivation" else np.maximum(y, 0).mean()
            numerator = (x[fires] * y[fires, None]).mean(0) - x[fires].mean(0) * mean_y
        denominator = flat[unit] @ numerator
        patterns[unit] = numerator / denominator
    return patterns.reshape(weight.shape)
