"""Completeness against the convergence delta."""

import pytest
import torch

from captum_ext.attr import BlurIG, IntegratedGradients
from captum_ext.metrics import completeness
from captum_ext.paths import BlurPath


def test_is_the_convergence_delta(net, images):
    attributions, delta = IntegratedGradients(net).attribute(
        images, 0.3, target=[0, 1, 2], n_steps=5, return_convergence_delta=True
    )
    for cap in (None, 1, 2):
        found = completeness(net, images, attributions, [0, 1, 2], 0.3, internal_batch_size=cap)
        torch.testing.assert_close(found.delta, delta)
        torch.testing.assert_close(found.delta, attributions.sum((1, 2, 3)) - found.change)
        torch.testing.assert_close(found.relative, (delta / found.change).abs())


def test_from_a_blurred_start(net, images):
    attributions, delta = BlurIG(net, max_sigma=3.0).attribute(images, target=1, return_convergence_delta=True)
    start = BlurPath(max_sigma=3.0).start((images,), None)
    found = completeness(net, images, attributions, 1, start)
    torch.testing.assert_close(found.delta, delta)


def test_tuples_and_arguments(pair_net, pairs):
    arguments = {"target": 1, "additional_forward_args": torch.tensor([1.0, 2.0, 3.0]).double()}
    attributions, delta = IntegratedGradients(pair_net).attribute(
        pairs, **arguments, n_steps=3, return_convergence_delta=True
    )
    torch.testing.assert_close(completeness(pair_net, pairs, attributions, **arguments).delta, delta)


def test_no_change(images):
    found = completeness(lambda x: x.sum((1, 2, 3)) * 0, images, torch.zeros_like(images))
    assert (found.relative == 0).all()
    found = completeness(lambda x: x.sum((1, 2, 3)) * 0, images, torch.ones_like(images))
    assert found.relative.isinf().all()


def test_mistakes(net, images):
    with pytest.raises(
        ValueError, match=r"attributions: expected the inputs' shapes \[\(3, 3, 6, 5\)\], got \[\(3, 6, 5\)\]"
    ):
        completeness(net, images, images.sum(1), 0)
    with pytest.raises(ValueError, match="a NaN or infinity"):
        completeness(net, images, images / 0, 0)
