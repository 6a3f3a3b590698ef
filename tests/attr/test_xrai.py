"""XRAI as a method: its base maps, Captum's wrappers, mistakes."""

import captum.attr
import pytest
import torch

from captum_ext.attr import IDGI, XRAI, IntegratedGradients
from captum_ext.regions import xrai

HALVES = (torch.arange(5) < 2).long().expand(6, 5)
OPTIONS = {"min_pixel_diff": 1}


@pytest.mark.parametrize("method", [IDGI, captum.attr.Saliency, captum.attr.IntegratedGradients])
@pytest.mark.parametrize("channels", ["max", "sum"])
def test_merges_the_maps_of_any_method(net, images, method, channels):
    base = method(net).attribute(images, target=2)
    expected = xrai(base, segments=HALVES, channels=channels, **OPTIONS).unsqueeze(1)
    found = XRAI(method(net), channels=channels, **OPTIONS).attribute(images, target=2, segments=HALVES)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_models_base_map_is_the_mean_over_the_pictures_minimum_and_maximum(net, images):
    maps = [
        IntegratedGradients(net).attribute(
            images, getattr(images, extreme)((1, 2, 3), True).expand_as(images), 1, n_steps=100
        )
        for extreme in ("amin", "amax")
    ]
    expected = xrai(sum(maps) / 2, segments=HALVES, **OPTIONS).unsqueeze(1)
    found = XRAI(net, **OPTIONS).attribute(images, target=1, segments=HALVES)
    torch.testing.assert_close(found, expected)
    fewer = XRAI(net, **OPTIONS).attribute(images, target=1, segments=HALVES, n_steps=3)
    assert not torch.equal(fewer, found)


def test_segments_the_inputs_or_other_images(net, images):
    method = XRAI(IDGI(net), min_pixel_diff=1)
    base = IDGI(net).attribute(images[:1], target=0)
    for kwargs in ({}, {"images": images[1:2]}):
        expected = xrai(base, kwargs.get("images", images[:1]), **OPTIONS).unsqueeze(1)
        torch.testing.assert_close(method.attribute(images[:1], target=0, **kwargs), expected)


def test_positional_arguments_tuples_and_noise_tunnel(net, images):
    method = XRAI(IDGI(net), **OPTIONS)
    expected = method.attribute(images, baselines=0.5, target=1, segments=HALVES)
    torch.testing.assert_close(method.attribute(images, 0.5, 1, segments=HALVES), expected)
    (found,) = method.attribute((images,), 0.5, 1, segments=HALVES)
    torch.testing.assert_close(found, expected)
    noisy = captum.attr.NoiseTunnel(IDGI(net))
    kwargs = {"nt_samples": 3, "stdevs": 0.0, "target": 1, "baselines": 0.5}
    found = XRAI(noisy, **OPTIONS).attribute(images, segments=HALVES, **kwargs)
    torch.testing.assert_close(found, expected)
    outside = captum.attr.NoiseTunnel(method).attribute(images, segments=HALVES, **kwargs)
    torch.testing.assert_close(outside, expected)


def test_mistakes_are_named(net, images):
    with pytest.raises(TypeError, match="such as IDGI"):
        XRAI(IDGI)
    with pytest.raises(TypeError, match="such as IDGI"):
        XRAI(3)
    with pytest.raises(ValueError, match="got 2 inputs"):
        XRAI(net).attribute((images, images), target=1)
    with pytest.raises(ValueError, match="expected pictures"):
        XRAI(net).attribute(images.flatten(1), target=1)
    with pytest.raises(ValueError, match="returns maps only"):
        XRAI(net).attribute(images, target=1, return_convergence_delta=True)
