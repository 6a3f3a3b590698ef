"""Fold BatchNorm into the preceding layer, because patterns are defined for the two together."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from captum_ext._utils.buffers import preserve_buffers
from captum_ext._utils.model_state import preserve_model_state
from captum_ext.patterns._calls import called_weight
from captum_ext.patterns._layer_uses import UseTracer, trace_uses
from captum_ext.patterns._layers import LAYER_TYPES, computes_weight, layer_weights

_NORM = nn.modules.batchnorm._BatchNorm
_STANDARD_FORWARDS = (_NORM.forward, nn.SyncBatchNorm.forward)


def fold_batch_norm(model: nn.Module, example_inputs: Tensor | None = None) -> nn.Module:
    """A copy of the model whose BatchNorm layers are folded into the preceding linear or convolution layers.

    The copy computes the same outputs up to rounding. A BatchNorm is not folded if its input is not the output of
    exactly one such layer that runs once and is used only there, or if it overrides ``forward`` or has hooks. Patterns
    use the ordinary gradient of such a BatchNorm.

    Args:
        model: A model in evaluation mode. It is not changed.
        example_inputs: An input (B, ...) for a forward pass that determines which layer precedes each BatchNorm.
            Default ``None``: ``torch.fx`` determines this. It can't trace models whose control flow depends on data,
            and BatchNorm after linear layers is not folded, because the axis that it normalizes depends on the input.

    Returns:
        The folded copy, in which folded BatchNorm layers are ``nn.Identity``.

    Raises:
        ValueError: If a BatchNorm is in training mode, the model can't be traced and there is no example, or the copy
            has another output for the example.

    Example:
        >>> from captum_ext.patterns import fold_batch_norm
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()).eval()
        >>> fold_batch_norm(model)[1]
        Identity()
    """
    if not any(isinstance(module, _NORM) for module in model.modules()):
        return copy.deepcopy(model)
    if example_inputs is None:
        return fold(model, _pairs_by_tracing(model))
    _check_eval_mode(model)  # before the example changes the statistics of BatchNorm
    return fold(model, foldable_pairs(model, trace_uses(model, layer_weights(model), example_inputs)), example_inputs)


def fold(model: nn.Module, pairs: dict[str, str], example_inputs: Tensor | None = None) -> nn.Module:
    """A copy of the model with these BatchNorm layers (values) folded into these layers (keys).

    Raises:
        ValueError: If a BatchNorm is in training mode, or the copy has another output for the example.
    """
    _check_eval_mode(model)
    folded = copy.deepcopy(model)
    for layer_name, norm_name in pairs.items():
        layer, norm = folded.get_submodule(layer_name), folded.get_submodule(norm_name)
        assert isinstance(norm, _NORM), "pairs are a layer and a BatchNorm"
        if isinstance(layer, nn.Linear):
            fused: nn.Module = fuse_linear_bn_eval(layer, norm)
        else:
            assert isinstance(layer, nn.modules.conv._ConvNd), "pairs are a layer and a BatchNorm"
            fused = fuse_conv_bn_eval(layer, norm, transpose=layer.transposed)
        folded.set_submodule(layer_name, fused)
        folded.set_submodule(norm_name, nn.Identity())
    if example_inputs is not None:
        _check_equal_outputs(model, folded, example_inputs)
    return folded


def _check_eval_mode(model: nn.Module) -> None:
    training = [name for name, module in model.named_modules() if isinstance(module, _NORM) and module.training]
    if training:
        raise ValueError(f"BatchNorm {training[0]!r} is in training mode. Call model.eval() first.")


def foldable_pairs(model: nn.Module, tracer: UseTracer) -> dict[str, str]:
    """The BatchNorm by layer name, for layers whose output only one BatchNorm uses in a forward pass."""
    return {
        name: uses.batch_norms[0]
        for name, uses in tracer.uses.items()
        if uses.calls == len(uses.batch_norms) == 1
        # BatchNorm normalizes axis 1, which holds a linear layer's units only if the input has two dimensions.
        and (uses.dims == {2} or not isinstance(model.get_submodule(name), nn.Linear))
        and not (uses.rectified or uses.others)
        and tracer.norm_calls[uses.batch_norms[0]] == 1
        and _can_fold(model, name, uses.batch_norms[0])
    }


def _pairs_by_tracing(model: nn.Module) -> dict[str, str]:
    tracer = _Tracer()
    try:
        graph = tracer.trace(model)
    except Exception as error:
        raise ValueError(
            f"fold_batch_norm: torch.fx can't trace this model ({error}). Pass example_inputs, so that a forward "
            "pass can determine the order of the layers."
        ) from error
    modules = dict(model.named_modules())
    targets = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    pairs = {}
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(modules[str(node.target)], _NORM):
            continue
        source, norm = node.args[0] if node.args else None, str(node.target)
        layer = _layer_of(source, modules)
        if (
            layer is not None
            and isinstance(source, fx.Node)
            and sum(not _reads_metadata(user) for user in source.users) == targets.count(norm) == 1
            and sum(_layer_of(other, modules) == layer for other in graph.nodes) == 1
            and not isinstance(modules[layer], nn.Linear)
            and _can_fold(model, layer, norm)
        ):
            pairs[layer] = norm
    return pairs


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _NORM) or super().is_leaf_module(m, module_qualified_name)


def _layer_of(node: object, modules: dict[str, nn.Module]) -> str | None:
    """The layer whose output a traced value is."""
    if not isinstance(node, fx.Node):
        return None
    if node.op == "call_module" and isinstance(modules[str(node.target)], LAYER_TYPES):
        return str(node.target)
    # Subclasses that override forward, for example to pad first, are traced into.
    if node.op == "call_function" and callable(node.target):
        weight = called_weight(node.target, node.args, node.kwargs)
        if isinstance(weight, fx.Node) and weight.op == "get_attr":
            name, _, attribute = str(weight.target).rpartition(".")
            return name if attribute == "weight" and isinstance(modules[name], LAYER_TYPES) else None
    return None


def _reads_metadata(user: fx.Node) -> bool:
    """Whether a use of a value reads only its shape, dtype or device."""
    reads = ("shape", "ndim", "dtype", "device")
    return (user.op == "call_method" and user.target in ("size", "dim")) or (
        user.op == "call_function" and user.target is getattr and user.args[1] in reads
    )


def _can_fold(model: nn.Module, layer_name: str, norm_name: str) -> bool:
    layer, norm = model.get_submodule(layer_name), model.get_submodule(norm_name)
    if not isinstance(norm, _NORM) or norm.running_mean is None or type(norm).forward not in _STANDARD_FORWARDS:
        return False
    modules = list(model.named_modules(remove_duplicate=False))
    if any(_has_hooks(part) or sum(part is module for _, module in modules) > 1 for part in (layer, norm)):
        return False  # folding changes what hooks receive, and only one name of a shared module would be replaced
    if computes_weight(layer):
        return False
    if isinstance(layer, nn.Linear):
        # torch can't fold BatchNorm without affine parameters into linear layers.
        return norm.affine and isinstance(norm, nn.BatchNorm1d) and layer.out_features == norm.num_features
    return isinstance(layer, nn.modules.conv._ConvNd) and not (layer.transposed and layer.groups > 1)


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _check_equal_outputs(model: nn.Module, folded: nn.Module, inputs: Tensor) -> None:
    with torch.no_grad(), preserve_model_state(model), preserve_buffers(folded.modules()):
        before, after = (list(_output_tensors(network(inputs.clone()))) for network in (model, folded))
    for one, other in zip(before, after, strict=True):
        tolerance = 0.1 if one.element_size() < 4 else 0.01
        if (one - other).abs().max() > tolerance * one.abs().max():
            raise ValueError(
                "fold_batch_norm: the folded model has other outputs than the model. The model uses a layer or a "
                "BatchNorm in a way that a forward pass does not reveal; fold it manually, and fit the folded model."
            )


def _output_tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        if output.is_floating_point() and output.numel():
            yield output
        return
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    for part in parts:
        yield from _output_tensors(part)
