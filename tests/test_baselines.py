"""Baselines as pictures and as tensors."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from captum_ext import baselines
from tests.references import naive


def transform(image):
    return functional.normalize(functional.to_tensor(image), [0.4, 0.5, 0.6], [0.1, 0.2, 0.5])


def test_pictures_go_through_the_models_transform():
    image = Image.new("RGB", (7, 5), (200, 10, 10))
    for make, level in ((baselines.black, 0.0), (baselines.white, 1.0), (baselines.grey, 128 / 255)):
        expected = (torch.tensor([level] * 3) - torch.tensor([0.4, 0.5, 0.6])) / torch.tensor([0.1, 0.2, 0.5])
        got = make(image, transform)
        assert got.shape == (1, 3, 5, 7)
        torch.testing.assert_close(got, expected.reshape(1, 3, 1, 1).expand(1, 3, 5, 7))


@pytest.mark.parametrize("padding_mode", ["constant", "reflect", "replicate"])
def test_blurred_is_scipys(padding_mode):
    x = np.random.default_rng(0).normal(size=(1, 2, 9, 12))
    got = baselines.blurred(torch.tensor(x), 2.5, padding_mode)
    assert np.abs(got.numpy() - naive.blur(x, 2.5, padding_mode, [2, 3])).max() < 1e-12


def test_uniform_stays_between_its_bounds_and_can_be_repeated():
    x = torch.zeros(4, 3, 20, 20)
    low, high = torch.tensor([-1.0, 0, 2]).reshape(3, 1, 1), torch.tensor([1.0, 1, 2.5]).reshape(3, 1, 1)
    noise = baselines.uniform(x, low, high, torch.Generator().manual_seed(1))
    assert ((noise >= low) & (noise <= high)).all()
    torch.testing.assert_close(noise.mean((0, 2, 3)), (low + high).flatten() / 2, atol=0.05, rtol=0)
    assert torch.equal(noise, baselines.uniform(x, low, high, torch.Generator().manual_seed(1)))


def test_maximum_distance_is_the_further_bound():
    x = torch.rand(2, 3, 8, 8)
    far = baselines.maximum_distance(x, 0.0, 1.0)
    assert set(far.unique().tolist()) <= {0.0, 1.0}
    assert ((far - x).abs() >= 0.5).all()
