"""Networks that compute the same function as a given one, in another way.

All take a model of linear and convolution layers, ReLU and pooling, and the position of a layer, and return a copy.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn


def rescaled(model: nn.Sequential, at: int, factors: Tensor) -> nn.Sequential:
    """Units of a layer that a ReLU follows, times positive factors (units,) that the next layer divides by."""
    layer: Any = model[at]
    position, following = _next(model, at)
    first = _like(layer, _down(factors, layer.weight) * layer.weight, factors * layer.bias)
    second = _like(following, following.weight / _across(factors, following.weight), following.bias)
    return _with(_with(model, at, first), position, second)


def split(model: nn.Sequential, at: int, units: Tensor) -> nn.Sequential:
    """Each of these units of a layer twice, each with half of the weights that lead on."""
    layer: Any = model[at]
    position, following = _next(model, at)
    order = torch.cat([torch.arange(len(layer.weight)), units])
    shares = torch.ones(len(layer.weight), dtype=layer.weight.dtype)
    shares[units] = 0.5
    leading = following.weight * _across(shares, following.weight)
    first = _like(layer, layer.weight[order], layer.bias[order])
    return _with(_with(model, at, first), position, _like(following, leading[:, order], following.bias))


def factorised(model: nn.Sequential, at: int, basis: Tensor) -> nn.Sequential:
    """A linear layer as two: its inputs' coordinates in a basis, and the weights in these.

    The basis' rows (rank, in) are orthonormal and span the layer's weights.
    """
    layer: Any = model[at]
    basis = basis.to(layer.weight)
    return _with(model, at, _linear(basis, torch.zeros(len(basis))), _linear(layer.weight @ basis.T, layer.bias))


def with_identity(model: nn.Sequential, at: int, width: int) -> nn.Sequential:
    """A linear layer that changes nothing, before the module at this position."""
    identity = torch.eye(width, dtype=next(model.parameters()).dtype)
    return _with(model, at, _linear(identity, torch.zeros(width)), model[at])


def normalised(model: nn.Sequential, at: int, mean: Tensor, variance: Tensor) -> nn.Sequential:
    """A BatchNorm (in,) before a linear layer, whose weights undo it: there it can't be folded."""
    layer: Any = model[at]
    mean, variance = mean.to(layer.weight), variance.to(layer.weight)
    norm: Any = nn.BatchNorm1d(len(mean), eps=0, affine=False).to(layer.weight).eval()
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    return _with(model, at, norm, _linear(layer.weight * variance.sqrt(), layer.bias + layer.weight @ mean))


def unfolded(model: nn.Sequential, at: int, scale: Tensor, shift: Tensor) -> nn.Sequential:
    """A BatchNorm of this weight and running mean (units,) behind a convolution, folding which gives the model back."""
    layer: Any = model[at]
    norm: Any = nn.BatchNorm2d(len(scale), eps=0).to(layer.weight).eval()
    with torch.no_grad():
        norm.weight.copy_(scale)
        norm.bias.copy_(layer.bias)
        norm.running_mean.copy_(shift)
    return _with(model, at, _like(layer, layer.weight / _down(scale, layer.weight), shift), norm)


def _with(model: nn.Sequential, at: int, *modules: nn.Module) -> nn.Sequential:
    """A copy with these modules in place of the one at this position."""
    return copy.deepcopy(nn.Sequential(*model[:at], *modules, *model[at + 1 :])).eval()


def _next(model: nn.Sequential, at: int) -> tuple[int, Any]:
    return next((k, model[k]) for k in range(at + 1, len(model)) if isinstance(model[k], (nn.Linear, nn.Conv2d)))


def _down(values: Tensor, weight: Tensor) -> Tensor:
    return values.to(weight).reshape(-1, *(1,) * (weight.dim() - 1))


def _across(values: Tensor, weight: Tensor) -> Tensor:
    return values.to(weight).reshape(1, -1, *(1,) * (weight.dim() - 2))


def _linear(weight: Tensor, bias: Tensor) -> Any:
    return _like(nn.Linear(1, 1), weight, bias)


def _like(layer: Any, weight: Tensor, bias: Tensor) -> Any:
    """A layer of the same kind with other weights."""
    made = copy.deepcopy(layer)
    made.weight, made.bias = (nn.Parameter(value.detach().to(weight.dtype, copy=True)) for value in (weight, bias))
    sides = ("out_features", "in_features") if isinstance(made, nn.Linear) else ("out_channels", "in_channels")
    for side, length in zip(sides, weight.shape, strict=False):
        setattr(made, side, length)
    return made
