"""Baselines as pictures and as tensors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import functional

from captum_ext import baselines
from tests.references import naive


def transform(image):
    return functional.normalize(functional.to_tensor(image), [0.4, 0.5, 0.6], [0.1, 0.2, 0.5])


def test_pictures_go_through_the_models_transform():
    image = Image.new("RGB", (7, 5), (200, 10, 10))
    for make, level in ((baselines.black, 0.0), (baselines.white, 1.0), (baselines.gray, 128 / 255)):
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


def test_constant_is_a_number_or_a_colour():
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    assert torch.equal(baselines.constant(x, 0.1), torch.full_like(x, 0.1))
    color = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64).reshape(3, 1, 1)
    flat = baselines.constant(x, color)
    assert torch.equal(flat, color.expand_as(x))
    flat[0, 0, 0, 0] = 7  # a tensor of its own, not a view of the color
    assert flat.eq(7).sum() == 1
    assert baselines.constant(torch.ones(2, 3, dtype=torch.int64), 0.5).dtype == torch.float32


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6).filter(any),
    shape=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    labeled=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.float16, torch.uint8]),
)
def test_the_mean_of_batches_is_the_mean_of_the_data(sizes, shape, labeled, dtype):
    data = torch.randint(0, 200, (sum(sizes), *shape)).to(dtype)
    batches = [(part, torch.zeros(len(part))) if labeled else part for part in data.split(sizes)]
    expected = data.double().mean(0, keepdim=True)
    for got in (baselines.data_mean(batches), baselines.data_mean(iter(batches)), baselines.data_mean(data)):
        assert got.dtype == (dtype if dtype.is_floating_point else torch.float32)
        torch.testing.assert_close(got, expected.to(got.dtype), rtol=1e-6, atol=0)


def test_the_mean_does_not_lose_small_values_nor_overflow():
    """A running sum in float32 would stay at 1e8, and one in half precision be infinite."""
    batches = [torch.full((1, 1), value) for value in [1e8] + [1.0] * 1000]
    assert baselines.data_mean(batches).item() == pytest.approx((1e8 + 1000) / 1001, rel=1e-7)
    assert baselines.data_mean(torch.full((1000, 1), 60_000.0, dtype=torch.float16)).item() == 60_000


def test_the_mean_is_one_pass_over_a_loader():
    seen = []

    def batches():
        for k in range(5):
            seen.append(k)
            yield torch.full((2, 3), float(k)), torch.zeros(2)

    assert torch.equal(baselines.data_mean(batches()), torch.full((1, 3), 2.0))
    assert seen == [0, 1, 2, 3, 4]
    loader = DataLoader(TensorDataset(torch.arange(12.0).reshape(6, 2), torch.zeros(6)), batch_size=4)
    assert torch.equal(baselines.data_mean(loader), torch.tensor([[5.0, 6.0]]))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([], ValueError, "at least one example"),
        (torch.zeros(0, 3), ValueError, "at least one example"),
        ([torch.zeros(1, 3), torch.zeros(1, 4)], ValueError, r"one shape, got \(3,\) and \(4,\)"),
        ([torch.tensor([float("nan")])], ValueError, "NaN or infinity"),
        ([{"pixels": 3}], TypeError, "got dict"),
        ([3.0], TypeError, "got float"),
        ([torch.zeros(1, 2, dtype=torch.complex64)], TypeError, "got torch.complex64"),
        (TensorDataset(torch.zeros(2, 3)), TypeError, r"Write torch.utils.data.DataLoader"),
    ],
)
def test_data_without_a_mean(data, error, message):
    with pytest.raises(error, match=message):
        baselines.data_mean(data)


def test_gaussian_noise_has_the_sigma_asked_for_and_can_be_repeated():
    x = torch.rand(4, 3, 60, 60, dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64).reshape(3, 1, 1)
    noise = baselines.gaussian_noise(x, sigma, generator=torch.Generator().manual_seed(1)) - x
    torch.testing.assert_close(noise.std((0, 2, 3)), sigma.flatten(), rtol=0.03, atol=0)
    assert (noise.mean((0, 2, 3)) / sigma.flatten()).abs().max() < 0.05  # standard error .008
    again = baselines.gaussian_noise(x, sigma, generator=torch.Generator().manual_seed(1)) - x
    assert torch.equal(noise, again)
    assert not torch.equal(noise, baselines.gaussian_noise(x, sigma, generator=torch.Generator().manual_seed(2)) - x)


def test_an_integer_is_the_seed_of_a_generator():
    x = torch.zeros(2, 3)
    for make in (lambda g: baselines.uniform(x, 0, 1, g), lambda g: baselines.gaussian_noise(x, generator=g)):
        state = torch.get_rng_state()
        assert torch.equal(make(7), make(torch.Generator().manual_seed(7)))
        assert not torch.equal(make(7), make(8))
        assert torch.equal(torch.get_rng_state(), state)
        with pytest.raises(TypeError, match=r"generator: expected an integer or a torch\.Generator, got str"):
            make("7")


def test_gaussian_noise_is_clipped_to_its_bounds():
    x = torch.rand(2, 3, 20, 20)
    free = baselines.gaussian_noise(x, generator=torch.Generator().manual_seed(1))
    low, high = torch.tensor([0.0, 0.2, 0.4]).reshape(3, 1, 1), 1.0
    clipped = baselines.gaussian_noise(x, 0.5, low, high, torch.Generator().manual_seed(1))
    assert torch.equal(clipped, free.clamp(low, torch.tensor(1.0)))
    assert (clipped != free).any()
    above = baselines.gaussian_noise(x, low=0.0, generator=torch.Generator().manual_seed(1))
    assert torch.equal(above, free.clamp(min=0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.uint8])
def test_every_baseline_has_the_inputs_shape_and_a_floating_dtype(dtype):
    x = torch.ones(2, 3, 6, 5).to(dtype).requires_grad_(dtype.is_floating_point)
    low, high = torch.zeros(1, 3, 1, 1), torch.full((6, 5), 2.0, dtype=torch.float64)
    for made in (
        baselines.constant(x, low),
        baselines.blurred(x, 2.0),
        baselines.uniform(x, low, high),
        baselines.gaussian_noise(x, 0.1, low, high),
        baselines.maximum_distance(x, low, high),
    ):
        assert made.shape == x.shape
        assert made.dtype == (dtype if dtype.is_floating_point else torch.float32)
        assert not made.requires_grad


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: baselines.constant(x, torch.zeros(4)), ValueError, r"value: .*\(2, 3\), got shape \(4,\)"),
        (lambda x: baselines.constant(x, "black"), TypeError, "value: expected a number or a tensor, got str"),
        (
            lambda x: baselines.uniform(x, torch.zeros(5, 2, 3), 1),
            ValueError,
            "low: expected a number or a tensor that",
        ),
        (lambda x: baselines.maximum_distance(x, 0, torch.ones(2)), ValueError, "high: expected"),
        (lambda x: baselines.gaussian_noise(x, -1.0), ValueError, "sigma: .*at least 0, got -1"),
        (lambda x: baselines.gaussian_noise(x.tolist()), TypeError, r"Write torch.as_tensor\(x\)"),
        (lambda x: baselines.constant(x.to(torch.complex64), 0), TypeError, "expected real numbers"),
    ],
)
def test_what_is_no_baseline(make, error, message):
    with pytest.raises(error, match=message):
        make(torch.zeros(2, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_generator_on_the_cpu_serves_inputs_on_a_gpu():
    x = torch.rand(2, 3)
    for make in (lambda x, g: baselines.uniform(x, 0, 1, g), lambda x, g: baselines.gaussian_noise(x, generator=g)):
        here, there = (make(x.to(d), torch.Generator().manual_seed(3)) for d in ("cpu", "cuda"))
        torch.testing.assert_close(there.cpu(), here)
