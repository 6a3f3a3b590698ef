"""What many tests use."""

import torch
from torch import nn


def close(got, expected, tolerance=1e-10, relative=0.0):
    """Assert that tensors, or tuples of them, differ by at most the tolerance everywhere."""
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=relative)


def normal(*shape, seed=0):
    """Random numbers in float64, the same at each call."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ones(*shape):
    """Ones in float64."""
    return torch.ones(*shape, dtype=torch.float64)


def small_images(count=4):
    """Images (count, 2, 6, 6) in float32, the same at each call."""
    return torch.rand(count, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def small_network(target=1):
    """A smooth network for small images, to three classes, or to one number per example for no target."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 6, 3), nn.Softplus(), nn.Flatten(), nn.Linear(96, 3), nn.Tanh()]
    return nn.Sequential(*layers, *([] if target is not None else [nn.Linear(3, 1), nn.Flatten(0)])).eval()
