"""Diagnostics of searches in which examples finish one by one."""

import math

import torch

from captum_ext.attr import PathAttribution
from captum_ext.paths import AdversarialPath, SearchedPath, Step


class Countdown(SearchedPath):
    """Moves an example by 1/n of its input at a time, for as many steps as its first feature says."""

    def search(self, inputs, start, n_steps, evaluator):
        points = tuple(torch.zeros_like(tensor) for tensor in inputs)
        for step in range(n_steps):
            active = inputs[0][:, 0] > step
            points = tuple(
                torch.where(active[:, None], p + x / n_steps, p) for p, x in zip(points, inputs, strict=True)
            )
            yield Step(points, active)


def test_gradients_are_counted_per_example():
    x = torch.tensor([[1.0, 2.0], [3.0, 1.0]])
    rows = []

    def f(x):
        rows.append(len(x))
        return (x**2).sum(1)

    _, diagnostics = PathAttribution(f, Countdown()).attribute(x, n_steps=8, return_diagnostics=True)
    assert diagnostics.n_gradients.tolist() == [1, 3]
    assert sum(rows) == 4 + 4  # the gradients, and F at the two ends of each path
    assert [len(positions) for positions in diagnostics.positions] == [1, 3]
    # Half of the points would end elsewhere for each example, so there is no estimate from them.
    assert all(math.isnan(error) for error in diagnostics.estimated_error)


def test_published_agi_steps_have_no_delta():
    method = PathAttribution(lambda x: x, AdversarialPath(protocol="code"))
    assert not method.has_convergence_delta()
