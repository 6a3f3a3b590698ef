"""Kindermans' rho against a naive evaluation, limits, and a trained network."""

import matplotlib.image
import numpy as np
import pytest
import torch
from torch import nn

from captum_ext.patterns import Patterns, fit_patterns, quality, signal_quality
from captum_ext.patterns._calls import parse_call
from captum_ext.patterns._sample import _gather
from tests.patterns.test_fit import LAYERS, samples_of


@pytest.mark.parametrize("name", LAYERS)
def test_samples_are_the_explicit_patches(name):
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer = make().double()
    x = torch.randn(3, *shape, dtype=torch.float64)
    seen = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            call = parse_call(func, args, kwargs or {})
            if call is not None:
                seen.append((call, result))
            return result

    with torch.no_grad(), Watch():
        layer(x)
    call, output = seen[-1]
    expected = samples_of(layer, x.numpy())
    chosen = torch.randperm(len(expected[0]))[:10]
    groups = list(range(len(expected)))[::-1][:2]
    got = _gather(call, output, chosen, groups)
    for k, group in enumerate(groups):
        assert np.abs(got[:, k].numpy() - expected[group][chosen]).max() < 1e-12


def data(count, seed):
    """x = s a + d with a distractor that the weights cancel."""
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(count, 1, generator=generator)
    distractor = torch.randn(count, 3, generator=generator) * torch.tensor([3.0, 1.0, 0.5])
    basis = torch.tensor([[1.0, 1.0, 0, 0], [0, 1.0, 1.0, 0], [0, 0, 1.0, 2.0]])
    return signal * torch.tensor([[1.0, 0.5, 0, 0.2]]) + distractor @ basis


def test_linear_patterns_of_the_same_distribution_leave_nothing_behind():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6))
    quality = signal_quality(model, fit_patterns(model, [data(20_000, 0)]), data(20_000, 1).split(1000))
    assert quality.mean("0", "pattern") > 0.97
    assert quality.mean("0", "weight") < 0.7
    assert quality.rho["0"]["pattern"].shape == (6,)


def test_equals_a_naive_evaluation():
    """Unit by unit by least squares, on the sample that the function draws."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    x = data(6000, 2)
    patterns = fit_patterns(model, [x])
    quality = signal_quality(model, patterns, [x], samples=100_000)
    order = torch.rand(6000, generator=_after_choices()).argsort()  # the keys that the sample is ordered by
    rows = x[order].double().numpy()
    weight, bias = (p.detach().double().numpy() for p in (model[0].weight, model[0].bias))
    units = torch.randperm(3, generator=torch.Generator().manual_seed(0))
    for k, unit in enumerate(units.tolist()):
        y = rows @ weight[unit] + bias[unit]
        first, silent = slice(0, 3000), np.arange(6000) < 3000
        silent &= y <= 0
        negative = (rows[silent] * y[silent, None]).mean(0) - rows[silent].mean(0) * y[first].mean()
        negative /= weight[unit] @ negative
        positive = patterns["0"][unit].double().numpy()
        positive /= weight[unit] @ positive  # else least squares reads y off the float32 pattern's rounding
        rest = rows - np.where(y[:, None] > 0, positive, negative) * y[:, None]
        search = np.column_stack([rest[first], np.ones(3000)])
        v = np.linalg.lstsq(search, y[first], rcond=None)[0][:-1]
        correlation = np.corrcoef(rest[3000:] @ v, y[3000:])[0, 1]
        assert quality.rho["0"]["pattern"][k].item() == pytest.approx(1 - max(correlation, 0), abs=5e-3)


def _after_choices():
    generator = torch.Generator().manual_seed(0)
    torch.randperm(3, generator=generator)
    torch.randperm(1, generator=generator)
    return generator


def test_samples_are_drawn_evenly_whatever_the_batches():
    model = nn.Sequential(nn.Linear(1, 1))
    patterns = Patterns({"0": torch.ones(1, 1) / model[0].weight.detach()})
    from captum_ext.patterns._sample import InputSampler

    sample = InputSampler({"0": torch.tensor([0])}, {"0": model[0].weight}, model)
    sample.max_samples = 500
    x = torch.arange(10_000.0).unsqueeze(1)
    generator = torch.Generator().manual_seed(0)
    for batch in x.split([10, 4000, 5000, 990]):
        with torch.no_grad(), sample.sampling(generator):
            model(batch)
    rows = sample.layers["0"].by_group()[0].flatten()
    assert len(rows) == len(rows.unique()) == 500
    assert abs(rows.mean() - 5000) < 400
    assert rows.quantile(0.1) < 1500
    assert rows.quantile(0.9) > 8500
    assert patterns.info is None


def test_randomness_comes_from_the_generator():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6))
    patterns, x = fit_patterns(model, [data(2000, 0)]), data(500, 1)

    def random_rho(generator):
        return signal_quality(model, patterns, [x], generator=generator).rho["0"]["random"]

    assert torch.equal(random_rho(3), random_rho(3))
    assert not torch.equal(random_rho(3), random_rho(4))
    source = torch.Generator().manual_seed(3)
    assert not torch.equal(random_rho(source), random_rho(source)), "a generator moves on"
    assert torch.equal(random_rho(torch.Generator().manual_seed(3)), random_rho(torch.Generator().manual_seed(3)))


def test_dead_units_and_transposed_layers_are_left_out():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 2, 3))
    with torch.no_grad():
        model[0].bias[2] = -100
    x = torch.randn(50, 1, 6, 6)
    quality = signal_quality(model, fit_patterns(model, [x]), [x])
    assert list(quality.rho) == ["0"]
    assert quality.rho["0"]["pattern"].shape == (3,)


def test_printed_and_plotted(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    x = data(500, 0)
    quality = signal_quality(model, fit_patterns(model, [x]), [x])
    lines = str(quality).splitlines()
    assert lines[0].split() == ["layer", "units", "pattern", "weight", "random"]
    assert lines[1].split()[:2] == ["0", "6"]
    quality.plot(tmp_path / "rho.png")
    assert matplotlib.image.imread(tmp_path / "rho.png").std() > 0.05


def test_a_network_trained_on_digits_has_patterns_above_its_weights_and_a_random_direction(capsys):
    """A VGG-style network without BatchNorm, patterns fitted on its training half, rho on the other."""
    from tests.patterns.digits import digits, trained

    (train, _), (test, labels) = digits()
    model = trained()
    with torch.no_grad():
        assert (model(test).argmax(1) == labels).float().mean() > 0.92
    patterns = fit_patterns(model, train.split(100))
    quality = signal_quality(model, patterns, test.split(100), units=16)
    with capsys.disabled():
        print(f"\n{quality}")
    hidden = list(patterns)[:-1]
    assert len(hidden) == 5
    for name in hidden:
        assert quality.mean(name, "pattern") > quality.mean(name, "weight") + 0.2
        assert quality.mean(name, "pattern") > quality.mean(name, "random") + 0.2


def test_without_data():
    model = nn.Sequential(nn.Linear(4, 3))
    patterns = fit_patterns(model, [torch.randn(30, 4)])
    for loader in ([], [torch.randn(1, 4)]):
        with pytest.raises(ValueError, match="too little data"):
            signal_quality(model, patterns, loader)
    with pytest.raises(TypeError, match="batch: expected a tensor"):
        signal_quality(model, patterns, [{"x": torch.randn(3, 4)}])


def test_a_model_that_works_in_place_does_not_reach_the_batches():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 2)

        def forward(self, x):
            return self.layer(x.mul_(2))

    model, batch = InPlace(), torch.randn(100, 8)
    kept = batch.clone()
    signal_quality(model, fit_patterns(model, [batch]), [batch])
    assert torch.equal(batch, kept)


def test_the_samples_that_fit_into_memory_count_every_group(monkeypatch):
    """A grouped convolution keeps the samples of each chosen group."""
    model = nn.Sequential(nn.Conv2d(2, 16, 1), nn.Conv2d(16, 16, 3, groups=16)).eval()
    data = torch.randn(40, 2, 5, 5)
    patterns = fit_patterns(model, [data])
    n_values = 2 + 16 * 9
    monkeypatch.setattr(quality, "_MEMORY", quality._BYTES * n_values * 100)
    monkeypatch.setattr(quality, "_FEWEST_SAMPLES", 10)
    with pytest.warns(UserWarning, match="so 100 are kept"):
        signal_quality(model, patterns, [data])
