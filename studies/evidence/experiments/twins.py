"""Networks that compute the same function as a given one, in another way."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

Layer = nn.Linear | nn.Conv2d


def rescaled(model: nn.Sequential, at: int, factors: Tensor) -> nn.Sequential:
    """Units of the layer at this position, which a ReLU follows, times positive factors that the next layer divides by.

    Args:
        model: Linear and convolution layers, ReLU, pooling; its next layer has one input a unit.
        at: The layer.
        factors: Positive, (units,).
    """
    twin = copy.deepcopy(model)
    layer, following = _layer(twin, at), _following(twin, at)
    _set(layer, _rows(factors, layer.weight) * layer.weight, factors * _bias(layer))
    _set(following, following.weight / _columns(factors, following.weight), _bias(following))
    return twin


def split(model: nn.Sequential, at: int, units: Tensor) -> nn.Sequential:
    """Each of these units of the layer at this position twice, each with half of the weights that lead on.

    Args:
        model: As for :func:`rescaled`.
        at: The layer.
        units: Their indices.
    """
    layer, following = _layer(model, at), _following(model, at)
    order = torch.cat([torch.arange(len(layer.weight)), units])
    shares = torch.ones(len(layer.weight), dtype=layer.weight.dtype)
    shares[units] = 0.5
    leading = following.weight * _columns(shares, following.weight)
    twin = copy.deepcopy(model)
    twin[at] = _like(layer, layer.weight[order], _bias(layer)[order])
    twin[_next(model, at)] = _like(following, leading[:, order], _bias(following))
    return twin


def factorised(model: nn.Sequential, at: int, basis: Tensor) -> nn.Sequential:
    """The linear layer at this position as two: its inputs' coordinates in a basis, and the weights in these.

    Args:
        model: Has a linear layer there.
        at: The layer.
        basis: Orthonormal rows (rank, in), which span the layer's weights.
    """
    layer = _layer(model, at)
    basis = basis.to(layer.weight)
    first = _linear(basis, torch.zeros(len(basis)))
    second = _linear(layer.weight @ basis.T, _bias(layer))
    return _with(model, at, first, second)


def with_identity(model: nn.Sequential, at: int, width: int) -> nn.Sequential:
    """A linear layer that changes nothing, before the module at this position."""
    identity = torch.eye(width, dtype=next(model.parameters()).dtype)
    return _with(model, at, _linear(identity, torch.zeros(width)), model[at])


def normalised(model: nn.Sequential, at: int, mean: Tensor, variance: Tensor) -> nn.Sequential:
    """A BatchNorm before the linear layer at this position, whose weights undo it: there it can't be folded.

    Args:
        model: Has a linear layer there.
        at: The layer.
        mean: The BatchNorm's, (in,).
        variance: Likewise, positive.
    """
    layer = _layer(model, at)
    mean, variance = mean.to(layer.weight), variance.to(layer.weight)
    norm = nn.BatchNorm1d(len(mean), eps=0, affine=False).to(layer.weight).eval()
    assert norm.running_mean is not None, "tracked by default"
    assert norm.running_var is not None, "tracked by default"
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    return _with(model, at, norm, _linear(layer.weight * variance.sqrt(), _bias(layer) + layer.weight @ mean))


def unfolded(model: nn.Sequential, at: int, scale: Tensor, shift: Tensor) -> nn.Sequential:
    """A BatchNorm behind the convolution at this position, folding which gives the model back.

    Args:
        model: Has a convolution there.
        at: The layer.
        scale: The BatchNorm's weight, positive, (units,).
        shift: Its running mean, (units,).
    """
    layer = _layer(model, at)
    norm = nn.BatchNorm2d(len(scale), eps=0).to(layer.weight).eval()
    assert norm.running_mean is not None, "tracked by default"
    with torch.no_grad():
        norm.weight.copy_(scale)
        norm.bias.copy_(_bias(layer))
        norm.running_mean.copy_(shift)
    return _with(model, at, _like(layer, layer.weight / _rows(scale, layer.weight), shift), norm)


def _with(model: nn.Sequential, at: int, *modules: nn.Module) -> nn.Sequential:
    """A copy with these modules in place of the one at this position."""
    parts = [*model[:at], *modules, *model[at + 1 :]]
    return copy.deepcopy(nn.Sequential(*parts)).eval()


def _next(model: nn.Sequential, at: int) -> int:
    return next(k for k in range(at + 1, len(model)) if isinstance(model[k], Layer))


def _following(model: nn.Sequential, at: int) -> Layer:
    return _layer(model, _next(model, at))


def _layer(model: nn.Sequential, at: int) -> Layer:
    layer = model[at]
    assert isinstance(layer, Layer), "positions are of layers"
    return layer


def _bias(layer: Layer) -> Tensor:
    assert layer.bias is not None, "all layers here have one"
    return layer.bias.detach()


def _rows(values: Tensor, weight: Tensor) -> Tensor:
    return values.to(weight).reshape(-1, *(1,) * (weight.dim() - 1))


def _columns(values: Tensor, weight: Tensor) -> Tensor:
    return values.to(weight).reshape(1, -1, *(1,) * (weight.dim() - 2))


def _linear(weight: Tensor, bias: Tensor) -> Layer:
    return _like(nn.Linear(1, 1), weight, bias)


def _like(layer: Layer, weight: Tensor, bias: Tensor) -> Layer:
    """A layer of the same kind with other weights."""
    made = copy.deepcopy(layer)
    made.weight, made.bias = (nn.Parameter(value.detach().to(weight.dtype, copy=True)) for value in (weight, bias))
    if isinstance(made, nn.Linear):
        made.out_features, made.in_features = weight.shape
    else:
        made.out_channels, made.in_channels = weight.shape[:2]
    return made


def _set(layer: Layer, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        _bias(layer).copy_(bias)
