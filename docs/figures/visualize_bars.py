"""The features of a table."""

import torch
from matplotlib.figure import Figure
from mlxtend.data import wine_data
from torch import nn

from captum_ext.attr import IntegratedGradients
from captum_ext.visualization import bars

NAMES = (
    *("alcohol", "malic acid", "ash", "alkalinity", "magnesium", "phenols", "flavanoids", "other phenols"),
    *("proanthocyanins", "color", "hue", "OD280/OD315", "proline"),
)


def draw() -> Figure:
    """The probability of a wine's cultivar, from the mean wine."""
    x, y = (torch.tensor(array) for array in wine_data())
    x = x.float()
    standardized = (x - x.mean(0)) / x.std(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(standardized), y.long()).backward()
        optimizer.step()
    attributions = IntegratedGradients(lambda z: model(z).softmax(1)).attribute(standardized[:1], target=int(y[0]))
    return bars(attributions, NAMES, values=x[0], top=8, title="probability of the first cultivar")
