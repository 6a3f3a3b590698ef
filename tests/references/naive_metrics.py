"""Metrics one example, one point, one pixel at a time, in NumPy."""

import numpy as np


def perturb(x, other, scores, count):
    """x (C, *spatial) with the ``count`` positions of the highest scores (*spatial) taken from other."""
    out = x.copy()
    order = sorted(np.ndindex(scores.shape), key=lambda at: -scores[at])  # sorted() is stable: first come, first served
    for at in order[:count]:
        out[(slice(None), *at)] = other[(slice(None), *at)]
    return out


def perturbation_curve(f, x, other, scores, points):
    total = scores.size
    counts = [round(k * total / (points - 1)) for k in range(points)]
    values = np.array([f(perturb(x, other, scores, count)) for count in counts])
    fractions = np.array(counts) / total
    area = sum((values[k] + values[k + 1]) / 2 * (fractions[k + 1] - fractions[k]) for k in range(points - 1))
    return fractions, values, area


def degradation(f, x, attributions, side, patches, code=False):
    """x, attributions (C, H, W)."""
    channels, height, width = x.shape
    corners = [(i, j) for i in range(0, height, side) for j in range(0, width, side)]

    def relevance(corner):
        i, j = corner
        return attributions[:, i : i + side, j : j + side].sum()

    order = sorted(corners, key=lambda corner: -relevance(corner))
    if code:
        order = order[1:]
    out = x.copy()
    values = [f(out)]
    for i, j in order[:patches]:
        for c in range(channels):
            mean = x[c, i : i + side, j : j + side].mean()
            if not code or mean > 0:
                out[c, i : i + side, j : j + side] = mean
        values.append(f(out))
    return np.array(values)


def spearman(a, b):
    def ranks(v):
        return np.array([(v < value).sum() + ((v == value).sum() + 1) / 2 for value in v])

    return np.corrcoef(ranks(a), ranks(b))[0, 1]
