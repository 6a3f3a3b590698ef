"""What many tests use."""

import torch


def close(got, expected, tolerance=1e-10, relative=0.0):
    """Assert that tensors, or tuples of them, differ by at most the tolerance everywhere."""
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=relative)
