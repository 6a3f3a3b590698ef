"""Measures of localization by their definitions: pairs, thresholds and pixels one at a time, in NumPy."""

import itertools

import numpy as np


def scores(attributions, ranking):
    """(C, H, W) to (H, W)."""
    if ranking == "absolute":
        return np.abs(attributions).sum(0)
    signed = attributions.sum(0)
    return np.maximum(signed, 0) if ranking == "positive" else signed


def auc(s, mask):
    pairs = [(a > b) + (a == b) / 2 for a in s[mask] for b in s[~mask]]
    return np.mean(pairs)


def best_f1(s, mask):
    def f1(selected):
        hits = (selected & mask).sum()
        precision, recall = hits / selected.sum(), hits / mask.sum()
        return 2 * precision * recall / (precision + recall) if hits else 0.0

    return max(f1(s >= threshold) for threshold in np.unique(s))


def scaled(s):
    return (s - s.min()) / (s.max() - s.min()) if s.max() > s.min() else np.zeros_like(s)


def mae(s, mask):
    return np.abs(scaled(s) - mask).mean()


def iou(s, mask, threshold):
    selected = scaled(s) >= threshold
    return (selected & mask).sum() / (selected | mask).sum()


def mass_accuracy(s, mask):
    return s[mask].sum() / s.sum() if s.sum() > 0 else mask.mean()


def rank_accuracy(s, mask):
    """The mean over all ways to break the ties at the border."""
    count = mask.sum()
    border = np.sort(s.ravel())[-count]
    above, tied = s > border, np.flatnonzero(s == border)
    hits = [mask.ravel()[list(chosen)].sum() for chosen in itertools.combinations(tied, count - above.sum())]
    return (mask[above].sum() + np.mean(hits)) / count


def pointing_game(s, mask, tolerance):
    inside = np.argwhere(mask)
    highest = np.argwhere(s == s.max())
    return np.mean([np.sqrt(((inside - at) ** 2).sum(1)).min() <= tolerance for at in highest])


def imputed(image, removed):
    """ROAD's linear system, one equation per removed pixel of an image (H, W)."""
    height, width = image.shape
    index = {tuple(at): k for k, at in enumerate(np.argwhere(removed))}
    matrix, right = np.zeros((len(index), len(index))), np.zeros(len(index))
    for (i, j), k in index.items():
        for di, dj in itertools.product((-1, 0, 1), repeat=2):
            weight = {0: 0, 1: 1 / 6, 2: 1 / 12}[abs(di) + abs(dj)]
            at = (i + di, j + dj)
            if weight and 0 <= at[0] < height and 0 <= at[1] < width:
                matrix[k, k] += weight
                if at in index:
                    matrix[k, index[at]] -= weight
                else:
                    right[k] += weight * image[at]
    out = image.copy()
    out[removed] = np.linalg.solve(matrix, right)
    return out
