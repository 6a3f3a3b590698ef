"""Each method as its paper or its published code has it: NumPy, one example, one point at a time.

``value`` and ``gradient`` take one example (an array without a batch dimension).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

SCIPY_MODE = {"constant": "constant", "reflect": "reflect", "replicate": "nearest"}


def nodes_and_weights(rule, n):
    if rule == "gausslegendre":
        nodes, weights = np.polynomial.legendre.leggauss(n)
        return (nodes + 1) / 2, weights / 2
    if rule == "riemann_middle":
        return (np.arange(n) + 0.5) / n, np.full(n, 1 / n)
    nodes, weights = np.arange(n + 1) / n, np.full(n + 1, 1 / n)
    if rule == "riemann_left":
        weights[-1] = 0
    if rule == "riemann_right":
        weights[0] = 0
    if rule == "riemann_trapezoid":
        weights[[0, -1]] /= 2
    return nodes, weights


def integrated_gradients(gradient, x, baseline, n, rule):
    total = np.zeros_like(x)
    for alpha, weight in zip(*nodes_and_weights(rule, n), strict=True):
        total += weight * gradient(baseline + alpha * (x - baseline))
    return total * (x - baseline)


def blur(x, sigma, padding_mode, axes):
    for axis in axes:
        if sigma > 0:
            x = gaussian_filter1d(x, sigma, axis=axis, mode=SCIPY_MODE[padding_mode])
    return x


def blur_point(x, alpha, max_sigma, schedule, padding_mode):
    left = max(1 - alpha, 0)
    sigma = max_sigma * {"linear": left, "square": left * left, "sqrt": np.sqrt(left)}[schedule]
    return blur(x, sigma, padding_mode, range(1, x.ndim))


def path_sum(gradient, point, n, rule):
    """Gradient times the path's move on each cell, for the points of any path known in advance."""
    nodes, weights = nodes_and_weights(rule, n)
    total = 0
    if rule in ("gausslegendre", "riemann_middle"):
        edges = np.concatenate([[0], np.cumsum(weights)])
        edges[-1] = 1
        for k, alpha in enumerate(nodes):
            total = total + gradient(point(alpha)) * (point(edges[k + 1]) - point(edges[k]))
        return total
    for k in range(n):
        start, end = point(nodes[k]), point(nodes[k + 1])
        if rule == "riemann_left":
            slope = gradient(start)
        elif rule == "riemann_right":
            slope = gradient(end)
        else:
            slope = (gradient(start) + gradient(end)) / 2
        total = total + slope * (end - start)
    return total


def idgi(gradients, values):
    """The published function, step by step; a zero gradient adds nothing."""
    total = np.zeros_like(gradients[0])
    for j in range(len(gradients) - 1):
        square = gradients[j] ** 2
        if square.sum() > 0:
            total += square * (values[j + 1] - values[j]) / square.sum()
    return total


def guided_points(gradient, x, baseline, n, fraction, max_dist):
    """The points of the guided path and the gradients there, feature by feature."""
    x, baseline = x.astype(float).ravel(), baseline.astype(float).ravel()
    shape = x.shape
    here = baseline.copy()
    whole = np.abs(x - baseline).sum()
    points, slopes = [here.copy()], []
    for step in range(n):
        slope = gradient(here)
        slopes.append(slope)
        rank = [abs(s) for s in slope]
        alpha = (step + 1) / n
        low = baseline + max(alpha - max_dist, 0) * (x - baseline)
        high = baseline + min(alpha + max_dist, 1) * (x - baseline)
        target = whole * (1 - alpha)
        for i in range(len(x)):
            if x[i] == baseline[i]:
                continue
            if (here[i] - baseline[i]) / (x[i] - baseline[i]) < max(alpha - max_dist, 0):
                here[i] = low[i]
        for _ in range(10 * len(x)):
            left = np.abs(here - x).sum()
            if abs(left - target) <= max(1e-9 * max(left, target), 1e-9):
                break
            for i in range(len(x)):
                if here[i] == high[i]:
                    rank[i] = np.inf
            threshold = sorted(rank)[int(np.floor(fraction * (len(x) - 1)))]
            chosen = [i for i in range(len(x)) if rank[i] <= threshold and rank[i] < np.inf]
            room = sum(abs(here[i] - high[i]) for i in chosen)
            if room == 0:
                break
            gamma = (left - target) / room
            for i in chosen:
                here[i] = high[i] if gamma > 1 else here[i] + gamma * (high[i] - here[i])
            if gamma <= 1:
                break
        points.append(here.copy())
    slopes.append(gradient(here))
    return [p.reshape(shape) for p in points], slopes


def numpy_functions(forward, target, shape):
    """F and its gradient at one flat or shaped example, through torch."""
    import torch

    def tensor(x):
        return torch.tensor(np.asarray(x).reshape(shape)).unsqueeze(0).requires_grad_()

    def value(x):
        return forward(tensor(x))[0, target].item()

    def gradient(x):
        point = tensor(x)
        (slope,) = torch.autograd.grad(forward(point)[0, target], point)
        return slope[0].numpy().reshape(np.shape(x))

    return value, gradient
