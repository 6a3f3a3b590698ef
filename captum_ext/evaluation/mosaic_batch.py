"""The mosaics of the grid pointing game: each image of a batch beside three companions of other classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from captum_ext._utils.errors import UserError
from captum_ext.evaluation.comparators import derive_seed
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.metrics.mosaics import assemble_mosaics
from captum_ext.vision.probe import class_logits

GRID = 2
_CELLS = GRID * GRID
_MIN_CONFIDENCE = 0.8
_MAX_COMPANIONS = 64


@dataclass(frozen=True)
class Companions:
    """Confidently classified images of a folder, of several classes: the other cells of mosaics.

    Attributes:
        images: (R, C, H, W).
        classes: The class of each, (R,), on the CPU.
    """

    images: Tensor
    classes: Tensor


@dataclass(frozen=True)
class MosaicBatch:
    """A mosaic for each confidently classified image of a batch.

    Attributes:
        batch: The mosaics, of the images in ``rows`` only; ``None`` if there are none.
        rows: The positions of these images in the batch.
        cells: The cell of each image of the batch, (B,).
        notes: The reason for each image without a mosaic.
    """

    batch: ImageBatch | None
    rows: Tensor
    cells: Tensor
    notes: Mapping[int, str]

    def all_rows(self, maps: Tensor | None, like: Tensor) -> Tensor:
        """Maps of the mosaics, as a row for each image of the batch; zeros for images without a mosaic.

        Args:
            maps: The maps of ``batch``; ``None`` if there is none.
            like: The maps of the images, (B, C, H, W).
        """
        height, width = (GRID * side for side in like.shape[2:])
        result = like.new_zeros(len(like), like.shape[1], height, width)
        return result if maps is None else result.index_copy(0, self.rows, maps.to(like))


def find_companions(
    name: str, model: nn.Module, candidates: Iterable[tuple[Tensor, int | None]], expected_count: int
) -> Companions:
    """The first images that the model classifies confidently.

    Args:
        name: The model's name, for errors.
        model: Returns logits.
        candidates: Images (1, C, H, W) in random order, each with the class that it must have, if any.
        expected_count: Number of candidates, for errors.

    Raises:
        UserError: If they do not have enough classes, or the model does not accept mosaics.
    """
    images: list[Tensor] = []
    classes: list[int] = []
    for image, label in candidates:
        confidence, best = class_logits(name, model, image).softmax(1)[0].max(0)
        if float(confidence) >= _MIN_CONFIDENCE and label in (None, int(best)):
            images.append(image)
            classes.append(int(best))
        if len(images) == _MAX_COMPANIONS:
            break
    if len(set(classes)) < _CELLS:
        raise UserError(
            f"{name}: grid-pointing-game needs images of at least {_CELLS} classes that are classified with a "
            f"probability of at least {_MIN_CONFIDENCE}; {expected_count} images have {len(set(classes))}. Leave it out"
        )
    try:
        class_logits(name, model, images[0].tile(1, 1, GRID, GRID))
    except UserError as error:
        raise UserError(f"{error}. grid-pointing-game needs a model that accepts pictures twice as large") from error
    return Companions(torch.cat(images), torch.tensor(classes))


def mosaic_batch(
    batch: ImageBatch, probabilities: Tensor, companions: Companions, start: Callable[[Tensor], Tensor], generator: int
) -> MosaicBatch:
    """Put each image into a random cell of a mosaic; the companions in the other cells have different classes.

    An image's mosaic depends on its name and on ``generator``, not on its batch.

    Args:
        batch: The images and their classes.
        probabilities: The probability of each image's class, (B,).
        companions: The images for the other cells.
        start: The baseline (1, C, grid * H, grid * W) of a mosaic.
        generator: The seed.
    """
    notes = {
        index: f"confidence: the probability {confidence:.4g} is not at least {_MIN_CONFIDENCE}"
        for index, confidence in enumerate(probabilities.tolist())
        if not confidence >= _MIN_CONFIDENCE
    }
    cells, tiles = [], []
    for index, (name, label) in enumerate(zip(batch.names, batch.target.tolist(), strict=True)):
        source = torch.Generator().manual_seed(derive_seed(generator, "mosaic", name))
        cells.append(int(torch.randint(_CELLS, (), generator=source)))
        if index not in notes:
            others = _draw_others(companions, label, source)
            images = list(companions.images[others.to(companions.images.device)].to(batch.inputs))
            tiles.append(torch.stack([*images[: cells[-1]], batch.inputs[index], *images[cells[-1] :]]))
    rows = torch.tensor([index for index in range(len(cells)) if index not in notes], dtype=torch.long)
    rows = rows.to(batch.inputs.device)
    mosaics = None
    if tiles:
        inputs = assemble_mosaics(torch.stack(tiles), GRID).contiguous(memory_format=torch.channels_last)
        names = tuple(batch.names[row] for row in rows.tolist())
        baselines = torch.cat([start(mosaic.unsqueeze(0)) for mosaic in inputs])
        mosaics = ImageBatch(names, inputs, baselines, batch.target[rows])
    return MosaicBatch(mosaics, rows, torch.tensor(cells), notes)


def _draw_others(companions: Companions, label: int, source: torch.Generator) -> Tensor:
    """Companions of three different classes, none of them the label."""
    order = torch.randperm(len(companions.classes), generator=source)
    chosen: dict[int, int] = {}
    for position in order.tolist():
        chosen.setdefault(int(companions.classes[position]), position)
    chosen.pop(label, None)
    return torch.tensor(list(chosen.values())[: _CELLS - 1])


def with_mosaic_references(model: ProbabilityModel) -> ProbabilityModel:
    """The same model with references of the mosaics' size: mosaics of the references."""
    tiles = torch.stack([model.references.roll(shift, 0) for shift in range(_CELLS)], dim=1)
    return replace(model, references=assemble_mosaics(tiles, GRID))
