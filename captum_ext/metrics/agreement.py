"""How alike two sets of maps are: stability, class sensitivity, and the model randomisation check."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from captum_ext._utils.numbers import check_integer, check_positive
from captum_ext._utils.optional import optional
from captum_ext.metrics._maps import Ranking, checked_maps

Normalization = Literal["signed", "absolute", "rank"]


def stability(attributions: Tensor, others: Tensor, normalize: Normalization = "signed") -> Tensor:
    """How far apart the maps of an input and of a slightly changed one are, as after :func:`jpeg_compress`.

    Args:
        attributions: (B, C, ...), whose channels are summed, or (B, F).
        others: The maps of the changed inputs, in the same shape.
        normalize: ``"signed"`` (default, the study's): each map is divided by its sum, and the mean squared difference
            of its positions is returned. A sum near 0, as Integrated Gradients has where much speaks for and against,
            makes it huge, so that the number tells more of the sum than of the maps. ``"absolute"``: divided by the
            sum of magnitudes. ``"rank"``: Spearman's rank correlation, which needs no scale. Report all three.

    Returns:
        The mean squared difference of each example, (B,), of which the study reports -log10 of the data set's mean;
        by ``"rank"`` the correlation, from -1 to 1.

    Raises:
        TypeError, ValueError: If the maps are not finite or differ in shape, or there is no such normalisation.

    Reference:
        Singhi, Kumari: Strengthening Interpretability: An Investigative Study of Integrated Gradient Methods. 2024,
        Section 4.5.2 and Table 5. https://arxiv.org/abs/2409.09043

    Example:
        >>> from captum_ext.metrics import stability
        >>> a, b = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 2.0]])
        >>> stability(a, b)
        tensor([0.0625], dtype=torch.float64)
        >>> round(stability(a, 2 * a, "rank").item(), 9)
        1.0
    """
    if normalize not in get_args(Normalization):
        raise ValueError(f"normalize: expected one of {get_args(Normalization)}, got {normalize!r}.")
    first, second = _positions(attributions, others)
    if normalize == "rank":
        return _spearman(first, second)
    scales = [maps.abs().sum(1) if normalize == "absolute" else maps.sum(1) for maps in (first, second)]
    # A map of zeros has no share to compare; it stays as it is.
    scaled = [
        maps / torch.where(scale == 0, 1, scale).unsqueeze(1)
        for maps, scale in zip((first, second), scales, strict=True)
    ]
    return (scaled[0] - scaled[1]).square().mean(1)


def class_sensitivity(attributions: Tensor, others: Tensor, ranking: Ranking = "signed") -> Tensor:
    """How alike the maps of two classes are for the same input, by rank. Nearer to 1 is less sensitive to the class.

    Args:
        attributions: Maps of one class (B, C, ...), whose channels are summed, or (B, F).
        others: Those of another class.
        ranking: Whether positions are ranked by ``"signed"`` sums (default) or by magnitude (``"absolute"``): maps that
            differ in sign alone are alike by the latter.

    Returns:
        Spearman's rank correlation of each example, (B,); 0 where a map is constant.

    Raises:
        TypeError, ValueError: If the maps are not finite or differ in shape, or there is no such ranking.

    Example:
        >>> from captum_ext.metrics import class_sensitivity
        >>> a = torch.tensor([[1.0, -2.0, 3.0]])
        >>> round(class_sensitivity(a, -a).item(), 9), round(class_sensitivity(a, -a, "absolute").item(), 9)
        (-1.0, 1.0)
    """
    if ranking not in get_args(Ranking):
        raise ValueError(f"ranking: expected one of {get_args(Ranking)}, got {ranking!r}.")
    first, second = _positions(attributions, others, ranking == "absolute")
    return _spearman(first, second)


@dataclass(frozen=True)
class Randomization:
    """What becomes of maps as ever more layers are randomised.

    Attributes:
        layers: The layers in the order in which they were randomised, from the output on.
        similarity: Spearman's rank correlation with the maps of the whole model once this layer and those before it
            are random, (layers, B).
    """

    layers: tuple[str, ...]
    similarity: Tensor


def model_randomization(
    attribute: Callable[[nn.Module], Tensor],
    model: nn.Module,
    ranking: Ranking = "absolute",
    generator_seed: int = 0,
) -> Randomization:
    """The cascading sanity check: a map of what the network learned must change as its layers forget it.

    Args:
        attribute: Makes the maps (B, C, ...) or (B, F) of a model, as in
            ``lambda m: IDGI(m).attribute(x, target=3)``. Fix its own randomness.
        model: The model. It is not changed; a copy is randomised.
        ranking: ``"absolute"`` (default, as in the paper) or ``"signed"``.
        generator_seed: The seed of the new parameters. The global generator is left as it was.

    Returns:
        The similarities, layer by layer from the output to the input.

    Raises:
        ValueError: If the model has no layer that can be initialised anew.

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
    check_integer("generator_seed", generator_seed)
    shuffled = copy.deepcopy(model)
    layers = [
        (name, module)
        for name, module in shuffled.named_modules()
        if callable(getattr(module, "reset_parameters", None))
        and next(module.parameters(recurse=False), None) is not None
    ]
    if not layers:
        raise ValueError("model: has no layer with reset_parameters(), so nothing can be initialised anew.")
    original = attribute(model)
    names, similarity = [], []
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(sorted(devices, key=str)):
        torch.manual_seed(generator_seed)
        for name, layer in reversed(layers):
            reset: Any = layer.reset_parameters
            reset()
            state = torch.get_rng_state()
            names.append(name)
            similarity.append(class_sensitivity(original, attribute(shuffled), ranking))
            torch.set_rng_state(state)  # the draws of one layer do not depend on what attribute() draws
    return Randomization(tuple(names), torch.stack(similarity))


def jpeg_compress(images: Tensor, quality: int = 75) -> Tensor:
    """Images as they come out of a JPEG file.

    Args:
        images: uint8 (B, 3, H, W) or (B, 1, H, W).
        quality: Pillow's, 1 to 100. Default: 75, the study's.

    Returns:
        uint8 images in the same shape, on the same device.

    Raises:
        TypeError: If the images are not uint8.
        ValueError: If their shape or the quality is none of these.
        ImportError: If Pillow is not installed.

    Example:
        >>> from captum_ext.metrics import jpeg_compress
        >>> jpeg_compress(torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)).shape
        torch.Size([2, 3, 16, 16])
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images: expected a uint8 tensor of pixels, got {kind}. Compress before the transform.")
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images: expected shape (B, 1 or 3, H, W), got {tuple(images.shape)}.")
    check_positive("quality", quality)
    if quality > 100:
        raise ValueError(f"quality: expected 1 to 100, got {quality}.")
    pil = optional("PIL.Image", "metrics")
    compressed = torch.empty_like(images, device="cpu")
    for k, image in enumerate(images.cpu()):
        pixels = image.permute(1, 2, 0).numpy()
        file = io.BytesIO()
        pil.fromarray(pixels if len(image) == 3 else pixels[..., 0]).save(file, "JPEG", quality=quality)
        read = torch.from_numpy(np.array(pil.open(file)))
        compressed[k] = read.permute(2, 0, 1) if len(image) == 3 else read
    return compressed.to(images.device)


def _positions(attributions: Tensor, others: Tensor, magnitude: bool = False) -> tuple[Tensor, Tensor]:
    """Both maps as (B, positions)."""
    first, second = checked_maps("attributions", attributions), checked_maps("others", others)
    if first.shape != second.shape:
        raise ValueError(f"others: expected the attributions' shape {tuple(first.shape)}, got {tuple(second.shape)}.")
    if magnitude:
        first, second = first.abs(), second.abs()
    if first.dim() > 2:
        first, second = first.sum(1), second.sum(1)
    return first.flatten(1), second.flatten(1).to(first)


def _spearman(first: Tensor, second: Tensor) -> Tensor:
    """The correlation of ranks, equals sharing the mean of theirs; 0 where one side is constant."""
    ranks = [torch.stack([_ranks(row) for row in maps]) if len(maps) else maps for maps in (first, second)]
    a, b = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    norms = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(norms > 0, (a * b).sum(1) / torch.where(norms > 0, norms, 1), 0)


def _ranks(row: Tensor) -> Tensor:
    _, group, counts = row.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).to(row.dtype)
    ranks: Tensor = (last - (counts.to(row.dtype) - 1) / 2)[group]
    return ranks
