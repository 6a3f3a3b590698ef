"""BatchNorm folded into the layer before it, without which a layer's pattern is that of another function."""

from __future__ import annotations

import copy

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from captum_ext.patterns._calls import LAYER_TYPES, layer_weights
from captum_ext.patterns._follow import Follow, follow

_NORM = nn.modules.batchnorm._BatchNorm


def fold_batch_norm(model: nn.Module, example_inputs: Tensor | None = None) -> nn.Module:
    """A copy of the model whose BatchNorm layers are folded into the linear or convolution layer before them.

    The copy computes the same up to rounding. A BatchNorm whose input is not the output of one such layer, alone
    and used once, stays: patterns leave it its ordinary gradient.

    Args:
        model: A model in evaluation mode. It is not changed.
        example_inputs: An input (B, ...) to find out which layer feeds which by a forward pass. Default ``None``:
            by ``torch.fx``, which can't trace models whose control flow depends on data.

    Returns:
        The folded copy, in which folded BatchNorm layers are ``nn.Identity``.

    Raises:
        ValueError: If a BatchNorm is in training mode, or the model can't be traced and there is no example.

    Example:
        >>> from captum_ext.patterns import fold_batch_norm
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()).eval()
        >>> fold_batch_norm(model)[1]
        Identity()
    """
    norms = {name: module for name, module in model.named_modules() if isinstance(module, _NORM)}
    training = [name for name, module in norms.items() if module.training]
    if training:
        raise ValueError(f"BatchNorm {training[0]!r} is in training mode. Call model.eval() first.")
    if not norms:
        return copy.deepcopy(model)
    if example_inputs is None:
        return fold(model, _pairs_by_tracing(model))
    return fold(model, foldable(model, follow(model, layer_weights(model), example_inputs)))


def fold(model: nn.Module, pairs: dict[str, str]) -> nn.Module:
    """A copy of the model with these BatchNorm layers (values) folded into these layers (keys)."""
    folded = copy.deepcopy(model)
    for layer_name, norm_name in pairs.items():
        layer, norm = folded.get_submodule(layer_name), folded.get_submodule(norm_name)
        assert isinstance(norm, _NORM), "pairs are a layer and a BatchNorm"
        if isinstance(layer, nn.Linear):
            fused: nn.Module = fuse_linear_bn_eval(layer, norm)
        else:
            assert isinstance(layer, nn.modules.conv._ConvNd), "pairs are a layer and a BatchNorm"
            fused = fuse_conv_bn_eval(layer, norm, transpose=layer.transposed)
        _replace(folded, layer_name, fused)
        _replace(folded, norm_name, nn.Identity())
    return folded


def foldable(model: nn.Module, seen: Follow) -> dict[str, str]:
    """The layers whose output went, in a forward pass, to one BatchNorm and nowhere else; by the layer's name."""
    return {
        name: uses.batch_norms[0]
        for name, uses in seen.uses.items()
        if uses.calls == len(uses.batch_norms) == 1
        and not (uses.rectified or uses.others)
        and seen.norm_calls[uses.batch_norms[0]] == 1
        and _can_fold(model, name, uses.batch_norms[0])
    }


def _pairs_by_tracing(model: nn.Module) -> dict[str, str]:
    tracer = _LayerTracer()
    try:
        graph = tracer.trace(model)
    except Exception as error:
        raise ValueError(
            f"fold_batch_norm: torch.fx can't trace this model ({error}). Give example_inputs, so that a forward "
            "pass shows which layer feeds which."
        ) from error
    modules = dict(model.named_modules())
    calls = [node for node in graph.nodes if node.op == "call_module"]
    targets = [str(node.target) for node in calls]
    pairs = {}
    for node in calls:
        source = node.args[0] if node.args else None
        if not (isinstance(modules[str(node.target)], _NORM) and isinstance(source, fx.Node)):
            continue
        layer, norm = str(source.target), str(node.target)
        if (
            source.op == "call_module"
            and isinstance(modules[layer], LAYER_TYPES)
            and len(source.users) == targets.count(layer) == targets.count(norm) == 1
            and _can_fold(model, layer, norm)
        ):
            pairs[layer] = norm
    return pairs


class _LayerTracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        # Subclasses from elsewhere count as the layers that they are.
        return isinstance(m, (*LAYER_TYPES, _NORM)) or super().is_leaf_module(m, module_qualified_name)


def _can_fold(model: nn.Module, layer_name: str, norm_name: str) -> bool:
    layer, norm = model.get_submodule(layer_name), model.get_submodule(norm_name)
    if not isinstance(norm, _NORM) or norm.running_mean is None:
        return False
    if isinstance(layer, nn.Linear):
        # Without affine parameters torch's own folding of linear layers fails; after a sequence it means another axis.
        return norm.affine and isinstance(norm, nn.BatchNorm1d) and layer.out_features == norm.num_features
    return isinstance(layer, nn.modules.conv._ConvNd) and not (layer.transposed and layer.groups > 1)


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
