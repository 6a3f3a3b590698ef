"""Mosaics and the grid pointing game."""

import pytest
import torch

from captum_ext.attr import IntegratedGradients
from captum_ext.metrics import grid_mosaics, grid_pointing_game

LABELS = [0, 1, 2, 3, 4, 4, 3]


@pytest.fixture
def pictures():
    return torch.rand(7, 2, 4, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("grid", [1, 2])
def test_cells_are_pictures_of_different_classes(pictures, grid):
    mosaics = grid_mosaics(pictures, LABELS, grid, n_mosaics=40)
    assert mosaics.images.shape == (40, 2, 4 * grid, 3 * grid)
    for image, targets, indices in zip(mosaics.images, mosaics.targets, mosaics.indices, strict=True):
        assert len(targets.unique()) == grid**2
        for cell, (target, index) in enumerate(zip(targets, indices, strict=True)):
            row, column = divmod(cell, grid)
            assert LABELS[index] == target
            assert torch.equal(image[:, 4 * row :, 3 * column :][:, :4, :3], pictures[index])
    assert len(mosaics.indices.unique()) == 7


def test_mosaics_depend_on_the_generator_only(pictures):
    state = torch.get_rng_state()
    first = grid_mosaics(pictures, LABELS, generator=1)
    assert torch.equal(first.indices, grid_mosaics(pictures, torch.tensor(LABELS), generator=1).indices)
    assert not torch.equal(first.indices, grid_mosaics(pictures, LABELS, generator=2).indices)
    assert torch.equal(state, torch.get_rng_state())


def test_the_share_is_that_of_the_cell():
    maps = torch.zeros(4, 1, 4, 6)
    maps[:, :, :2, 3:] = 3.0 / 6
    maps[:, :, 2:, :3] = 1.0 / 6
    maps[:, :, 2:, 3:] = -5.0
    assert grid_pointing_game(maps, [0, 1, 2, 3]).tolist() == pytest.approx([0, 0.75, 0.25, 0])
    assert grid_pointing_game(maps.squeeze(1), 1).tolist() == pytest.approx([0.75] * 4)
    assert grid_pointing_game(maps, 3, ranking="absolute").tolist() == pytest.approx([30 / 34] * 4)


def test_chance_is_one_cell_of_all():
    maps = torch.randn(300, 12, 12, generator=torch.Generator().manual_seed(0))
    for grid in (2, 3):
        shares = grid_pointing_game(maps, 1, grid)
        assert abs(shares.mean() - 1 / grid**2) < 4 * shares.std() / 300**0.5
        assert grid_pointing_game(-maps.abs(), 1, grid).tolist() == pytest.approx([1 / grid**2] * 300)


def test_a_model_of_separate_cells_is_located_exactly(pictures):
    mosaics = grid_mosaics(pictures, LABELS, n_mosaics=5)

    def cell_sums(x):
        return x.unflatten(3, (2, 3)).unflatten(2, (2, 4)).sum((1, 3, 5)).flatten(1)

    for cell in range(4):
        maps = IntegratedGradients(cell_sums).attribute(mosaics.images, target=cell)
        assert grid_pointing_game(maps, cell).tolist() == pytest.approx([1.0] * 5)


def test_mistakes_are_named(pictures):
    with pytest.raises(ValueError, match="needs 9 classes, got 5"):
        grid_mosaics(pictures, LABELS, 3)
    with pytest.raises(ValueError, match="7 classes, one per picture"):
        grid_mosaics(pictures, LABELS[:3])
    with pytest.raises(ValueError, match="expected a tensor"):
        grid_mosaics(pictures[0], LABELS)
    maps = torch.rand(2, 4, 6)
    with pytest.raises(ValueError, match="do not divide"):
        grid_pointing_game(maps, 0, 3)
    with pytest.raises(ValueError, match="0 to 3"):
        grid_pointing_game(maps, 4)
    with pytest.raises(ValueError, match="one per map"):
        grid_pointing_game(maps, [0])
