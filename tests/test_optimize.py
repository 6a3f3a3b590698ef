"""A copy with cheaper gradients computes the same, and leaves the model as it was."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from captum_ext.attr import IntegratedGradients
from captum_ext.optimize import for_attribution


def trained(seed=0):
    """A network whose BatchNorm does something."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        *(nn.Conv2d(8, 6, 3, groups=2), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(6 * 16, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 4)),
    )
    with torch.no_grad():
        for _ in range(5):
            model(torch.rand(16, 3, 8, 8) * 3 - 1)
        for module in model:
            if hasattr(module, "running_mean"):
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
    return model.eval()


def test_same_maps_and_an_untouched_model():
    model = trained()
    before = copy.deepcopy(model.state_dict())
    x = torch.rand(3, 3, 8, 8)
    fast, report = for_attribution(model, x)
    assert (report.n_folded, report.n_batch_norms) == (3, 3)
    assert report.output_distance < 1e-5 > report.map_distance
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    maps = [IntegratedGradients(network).attribute(x, target=1, n_steps=12) for network in (model, fast)]
    torch.testing.assert_close(maps[1], maps[0], rtol=1e-4, atol=1e-6)


def test_resnet50_with_random_weights():
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None).eval()
    fast, report = for_attribution(model, torch.rand(1, 3, 64, 64))
    assert report.n_folded == report.n_batch_norms == 20
    assert report.map_distance < 1e-3
    assert fast(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_the_report_measures():
    """A model that amplifies rounding moves, and says so."""
    model = trained()

    class Chaotic(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            inner = self.inner(x)
            return inner + 1e-3 * torch.sin(1e6 * inner)

    with pytest.warns(UserWarning, match="amplifies rounding"):
        _, report = for_attribution(Chaotic().eval(), torch.rand(2, 3, 8, 8))
    assert report.map_distance > 0.01


def test_what_cannot_be_folded_stays():
    shared = nn.BatchNorm1d(4)
    model = nn.Sequential(nn.Linear(4, 4), shared, nn.Linear(4, 4), shared).eval()
    fast, report = for_attribution(model, torch.rand(5, 4))
    assert report.n_folded == 0
    assert report.n_batch_norms == 1
    torch.testing.assert_close(fast(torch.ones(2, 4)), model(torch.ones(2, 4)))


def test_mistakes():
    with pytest.raises(ValueError, match=r"model\.eval"):
        for_attribution(nn.Sequential(nn.Linear(2, 2)), torch.rand(1, 2))
    with pytest.raises(TypeError, match="expected a module"):
        for_attribution(lambda x: x, torch.rand(1, 2))
    with pytest.raises(TypeError, match="expected a tensor"):
        for_attribution(nn.Linear(2, 2).eval(), [1.0])


def test_an_example_of_zeros_hides_no_other():
    """Its map is zero, which has no relative distance; the others' distances and the warning stay."""
    model = trained()

    class Chaotic(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            inner = self.inner(x)
            return inner + 1e-3 * torch.sin(1e6 * inner)

    with pytest.warns(UserWarning, match="amplifies rounding"):
        _, report = for_attribution(Chaotic().eval(), torch.cat([torch.rand(2, 3, 8, 8), torch.zeros(1, 3, 8, 8)]))
    assert report.map_distance > 0.01
