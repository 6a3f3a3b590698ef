"""The grid pointing game: localization without annotations, on mosaics of pictures of different classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from captum_ext._utils.numbers import check_positive, is_integer
from captum_ext._utils.random import as_generator
from captum_ext.metrics.localization import relevance_mass_accuracy


@dataclass(frozen=True)
class GridMosaics:
    """Mosaics of n x n pictures of different classes.

    Attributes:
        images: (M, C, n * H, n * W).
        targets: The class of each cell, row by row, (M, n * n).
        indices: The picture in each cell, (M, n * n).
    """

    images: Tensor
    targets: Tensor
    indices: Tensor


def grid_mosaics(
    images: Tensor,
    labels: Sequence[int] | Tensor,
    grid: int = 2,
    n_mosaics: int = 48,
    generator: int | torch.Generator = 0,
) -> GridMosaics:
    """Draw mosaics of pictures of different classes.

    Pass only pictures that the model classifies correctly and with high confidence. The model must accept pictures that
    are n times as large.

    Args:
        images: The pictures as inputs of the model, (N, C, H, W).
        labels: The class of each picture, (N,).
        grid: The number n of cells per side. Default: 2. The paper has 3.
        n_mosaics: The number of mosaics. Each draws its classes, and one picture of each. Default: 48.
        generator: An integer seed or a CPU generator. Default: 0.

    Returns:
        The mosaics.

    Raises:
        TypeError, ValueError: If an argument is invalid, or there are fewer classes than cells.

    Reference:
        Rao, Böhle, Schiele: Towards Better Understanding Attribution Methods. CVPR 2022.
        https://arxiv.org/abs/2205.10435

    Example:
        >>> from captum_ext.metrics import grid_mosaics
        >>> mosaics = grid_mosaics(torch.rand(5, 3, 8, 8), labels=[0, 1, 2, 3, 3], n_mosaics=6)
        >>> mosaics.images.shape, mosaics.targets.shape
        (torch.Size([6, 3, 16, 16]), torch.Size([6, 4]))
    """
    if not isinstance(images, Tensor) or images.dim() != 4:
        raise ValueError(f"images: expected a tensor (N, C, H, W), got {getattr(images, 'shape', type(images))}.")
    check_positive("grid", grid)
    check_positive("n_mosaics", n_mosaics)
    classes = torch.as_tensor(labels, device="cpu")
    if classes.shape != (len(images),) or classes.is_floating_point():
        raise ValueError(f"labels: expected {len(images)} classes, one per picture, got shape {tuple(classes.shape)}.")
    distinct = classes.unique()
    cells = grid * grid
    if len(distinct) < cells:
        raise ValueError(f"labels: a mosaic of {grid} x {grid} needs {cells} classes, got {len(distinct)}.")
    source = as_generator(generator)
    rows = []
    for _ in range(n_mosaics):
        drawn = distinct[torch.randperm(len(distinct), generator=source)[:cells]]
        members = [(classes == label).nonzero().flatten() for label in drawn]
        rows.append([int(of[torch.randint(len(of), (), generator=source)]) for of in members])
    indices = torch.tensor(rows)
    mosaics = assemble_mosaics(images[indices.to(images.device)], grid)
    return GridMosaics(mosaics, classes[indices].to(images.device), indices.to(images.device))


def assemble_mosaics(tiles: Tensor, grid: int) -> Tensor:
    """Mosaics (M, C, grid * H, grid * W) of the pictures in their cells, row by row, (M, grid * grid, C, H, W)."""
    n_mosaics, _, channels, height, width = tiles.shape
    cells = tiles.unflatten(1, (grid, grid))  # (M, rows, columns, C, H, W)
    mosaics: Tensor = cells.permute(0, 3, 1, 4, 2, 5).reshape(n_mosaics, channels, grid * height, grid * width)
    return mosaics


def grid_pointing_game(
    attributions: Tensor,
    cells: int | Sequence[int] | Tensor,
    grid: int = 2,
    ranking: Literal["positive", "absolute"] = "positive",
) -> Tensor:
    """The fraction of the positive attribution that is in the cell of the explained class.

    Args:
        attributions: Maps of mosaics, each for the class of one cell, (B, C, n * H, n * W) or (B, n * H, n * W).
        cells: The cell of the explained class, counted row by row from 0: one for all maps, or one per map.
        grid: The number n of cells per side. Default: 2.
        ranking: As for :func:`~captum_ext.metrics.relevance_mass_accuracy`. Default: ``"positive"``, as in the paper.

    Returns:
        The fraction of each map, (B,). Chance is 1 / n**2, as is the value of a map without positive attribution.

    Raises:
        TypeError, ValueError: If the maps are not finite or do not divide into cells, or a cell is out of range.

    Reference:
        Rao, Böhle, Schiele: Towards Better Understanding Attribution Methods. CVPR 2022.
        https://arxiv.org/abs/2205.10435

    Example:
        >>> from captum_ext.attr import IDGI
        >>> from captum_ext.metrics import grid_mosaics, grid_pointing_game
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 4), torch.nn.Softmax(1))
        >>> mosaics = grid_mosaics(torch.rand(8, 3, 8, 8), labels=[0, 1, 2, 3] * 2, n_mosaics=6)
        >>> maps = IDGI(model).attribute(mosaics.images, target=mosaics.targets[:, 0])
        >>> grid_pointing_game(maps, cells=0).shape
        torch.Size([6])
    """
    check_positive("grid", grid)
    if not isinstance(attributions, Tensor) or attributions.dim() not in (3, 4):
        shape = tuple(getattr(attributions, "shape", ()))
        raise ValueError(f"attributions: expected (B, C, H, W) or (B, H, W), got shape {shape}.")
    height, width = attributions.shape[-2:]
    if height % grid or width % grid:
        raise ValueError(f"attributions: {height} x {width} pixels do not divide into {grid} x {grid} cells.")
    cell = torch.as_tensor(cells)
    if is_integer(cells):
        cell = cell.expand(len(attributions))
    if cell.is_floating_point() or cell.shape != (len(attributions),):
        raise ValueError(f"cells: expected an integer, or {len(attributions)}, one per map; got {cells!r:.80}.")
    if bool(((cell < 0) | (cell >= grid**2)).any()):
        raise ValueError(f"cells: expected 0 to {grid**2 - 1}, row by row, got {cells!r:.80}.")
    cell = cell.to(attributions.device)
    rows = torch.arange(height, device=cell.device) // (height // grid)
    columns = torch.arange(width, device=cell.device) // (width // grid)
    masks = (rows.unsqueeze(1) * grid + columns) == cell.reshape(-1, 1, 1)
    return relevance_mass_accuracy(attributions, masks, ranking)
