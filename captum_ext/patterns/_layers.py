"""The linear and convolution layers of a model, and their weights, which identify their calls."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from captum_ext._utils.warnings import warn

LAYER_TYPES = (nn.Linear, nn.modules.conv._ConvNd)


def weights_to_fit(model: nn.Module, layers: list[str] | None) -> dict[str, Tensor]:
    """The weights of the layers to fit, or of all layers for ``None``.

    Raises:
        ValueError: If a layer does not exist, or two layers share a weight.

    Warns:
        UserWarning: If layers recompute their weight in each forward pass, so that they can't be fitted.
    """
    weights = layer_weights(model)
    anew = [
        name
        for name, module in model.named_modules()
        if isinstance(module, LAYER_TYPES) and computes_weight(module) and (layers is None or name in layers)
    ]
    if anew:
        warn(
            f"No pattern for {anew}: these layers recompute their weight in each forward pass (weight_norm, "
            "pruning). Make it a parameter first, for example with "
            "torch.nn.utils.parametrize.remove_parametrizations."
        )
    if not weights:
        raise ValueError("model: has no linear or convolution layer whose weight is a parameter.")
    if layers is not None:
        unknown = [name for name in layers if name not in weights]
        if unknown or not layers:
            raise ValueError(f"layers: expected some of {list(weights)}, got {unknown or 'none'}.")
        weights = {name: weights[name] for name in layers}
    check_not_tied(weights)
    return weights


def layer_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of all linear and convolution layers by module name; shared modules occur once.

    Layers that recompute their weight in each forward pass (weight_norm, pruning) are not included, because their calls
    can't be identified.
    """
    return {
        name: module.weight
        for name, module in model.named_modules()
        if isinstance(module, LAYER_TYPES) and not computes_weight(module)
    }


def computes_weight(layer: nn.Module) -> bool:
    """Whether a layer's weight is computed and not a parameter."""
    return "weight" not in layer._parameters and not getattr(layer, "_is_replica", False)  # DataParallel's have none


def check_not_tied(weights: dict[str, Tensor]) -> None:
    """Check that no two layers share a weight, because their calls could not be distinguished.

    Raises:
        ValueError: If two layers share a weight.
    """
    names: dict[int, str] = {}
    for name, weight in weights.items():
        first = names.setdefault(id(weight), name)
        if first != name:
            raise ValueError(
                f"The layers {first!r} and {name!r} share one weight, so their patterns can't be distinguished. Copy "
                "the weight of one: layer.weight = nn.Parameter(layer.weight.clone())."
            )


def first_input(batch: Any) -> Tensor:
    """The model's input in a batch.

    Raises:
        TypeError: If the batch is neither a tensor nor a tuple or list whose first item is one.
    """
    inputs = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(inputs, Tensor):
        raise TypeError(f"batch: expected a tensor or a tuple whose first item is one, got {type(inputs).__name__}.")
    return inputs


def unwrap(model: nn.Module) -> nn.Module:
    """The module inside DataParallel, DistributedDataParallel or torch.compile, to which layer names refer."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, parallel) or hasattr(model, "_orig_mod"):
        model = model.get_submodule("module" if isinstance(model, parallel) else "_orig_mod")
    return model


def weight_versions(weights: dict[str, Tensor]) -> list[tuple[int, int]]:
    """Numbers that change when a weight is replaced or written to."""
    # Inference tensors have no version, and other tensors can't change them.
    return [(id(weight), 0 if weight.is_inference() else weight._version) for weight in weights.values()]
