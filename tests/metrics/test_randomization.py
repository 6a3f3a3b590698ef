"""The model randomization check: the cascade, the model and the generators."""

import pytest
import torch
from torch import nn

from captum_ext.attr import IntegratedGradients
from captum_ext.metrics import model_randomization


def test_randomization_cascades_from_the_output_and_leaves_the_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.Softplus(), nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(5, 12)
    seen = []

    def attribute(m):
        torch.rand(3)  # a method with noise of its own
        seen.append([bool((m[k].weight != before[f"{k}.weight"]).any()) for k in (0, 2, 4)])
        return IntegratedGradients(m).attribute(x, target=1)

    found = model_randomization(attribute, model)
    assert found.layers == ("4", "2", "0")
    assert found.similarity.shape == (3, 5)
    assert seen == [[False] * 3, [False, False, True], [False, True, True], [True, True, True]]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert found.similarity.mean() < 0.9
    again = model_randomization(attribute, model)
    assert torch.equal(found.similarity, again.similarity)
    other = model_randomization(attribute, model, generator=1)
    assert not torch.equal(found.similarity, other.similarity)
    sources = [torch.Generator().manual_seed(3) for _ in range(2)]
    drawn = [model_randomization(attribute, model, generator=source).similarity for source in sources]
    assert torch.equal(*drawn)
    assert not torch.equal(drawn[0], model_randomization(attribute, model, generator=sources[0]).similarity)


def test_randomization_leaves_the_global_generator():
    model = nn.Linear(4, 2)
    x = torch.rand(2, 4)
    state = torch.get_rng_state()
    model_randomization(lambda m: IntegratedGradients(m).attribute(x, target=0), model)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_map_that_ignores_the_model_does_not_change():
    a = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    found = model_randomization(lambda m: a, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    torch.testing.assert_close(found.similarity, torch.ones(2, 2, dtype=torch.float64))


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ValueError, match="no layer with reset_parameters"):
        model_randomization(lambda m: torch.rand(2, 9), nn.ReLU())
