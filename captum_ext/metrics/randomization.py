"""The model randomization check: whether maps depend on what the model learned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._utils.random import as_seed
from captum_ext.metrics._maps import Ranking
from captum_ext.metrics.similarity import rank_correlation


@dataclass(frozen=True)
class Randomization:
    """The similarity of maps to the original ones as more and more layers are randomized.

    Attributes:
        layers: The layers in the order in which they were randomized, starting at the output.
        similarity: Spearman's rank correlation with the maps of the original model after each layer was randomized
            together with those before it, (layers, B).
    """

    layers: tuple[str, ...]
    similarity: Tensor


def model_randomization(
    attribute: Callable[[nn.Module], Tensor],
    model: nn.Module,
    ranking: Ranking = "absolute",
    generator: int | torch.Generator = 0,
) -> Randomization:
    """The cascading sanity check: a map of what the network learned must change when its layers are randomized.

    Args:
        attribute: Computes the maps (B, C, ...) or (B, F) of a model, such as
            ``lambda m: IDGI(m).attribute(x, target=3)``. If it is random, fix its seed.
        model: The model. It is not changed; a copy is randomized.
        ranking: ``"absolute"`` (default, as in the paper) or ``"signed"``.
        generator: For the new parameters: an integer seed, or a generator, from which one is drawn. torch's global
            generator is not changed. Default: 0.

    Returns:
        The similarities, layer by layer from the output to the input.

    Raises:
        ValueError: If no layer of the model can be reinitialized.

    Reference:
        Adebayo et al.: Sanity Checks for Saliency Maps. NeurIPS 2018. https://arxiv.org/abs/1810.03292

    Example:
        >>> from captum_ext.attr import IDGI
        >>> from captum_ext.metrics import model_randomization
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Softplus(), torch.nn.Linear(16, 2))
        >>> x = torch.rand(4, 8)
        >>> model_randomization(lambda m: IDGI(m).attribute(x, target=1), model).layers
        ('2', '0')
    """
    seed = as_seed(generator)
    randomized = copy.deepcopy(model)
    layers = [
        (name, module)
        for name, module in randomized.named_modules()
        if callable(getattr(module, "reset_parameters", None))
        and next(module.parameters(recurse=False), None) is not None
    ]
    if not layers:
        raise ValueError("model: has no layer with reset_parameters(), so nothing can be reinitialized.")
    original = attribute(model)
    names, similarity = [], []
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(sorted(devices, key=str)):
        torch.manual_seed(seed)
        for name, layer in reversed(layers):
            reset: Any = layer.reset_parameters
            reset()
            state = torch.get_rng_state()
            names.append(name)
            similarity.append(rank_correlation(original, attribute(randomized), ranking))
            torch.set_rng_state(state)  # the new parameters do not depend on what attribute() draws
    return Randomization(tuple(names), torch.stack(similarity))
