"""ROAD against its linear system solved densely, and DiffID against its definition."""

import numpy as np
import pytest
import torch

from captum_ext.metrics import diffid, imputation, road
from captum_ext.metrics.imputation import _imputed
from tests.references import naive_localization as naive


@pytest.fixture
def maps():
    return torch.randn(3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_imputation_solves_the_papers_system(images, share):
    removed = torch.rand(3, 1, 6, 5, generator=torch.Generator().manual_seed(1)) < share
    removed[:, 0, 2, 2] = False
    found = _imputed(images, removed)
    for k, channel in np.ndindex(3, 3):
        expected = naive.imputed(images[k, channel].numpy(), removed[k, 0].numpy())
        np.testing.assert_allclose(found[k, channel], expected, rtol=0, atol=1e-8)


def test_imputation_continues_what_is_linear():
    image = (torch.arange(30.0).double().reshape(1, 1, 1, 30) + 2 * torch.arange(30.0).double().reshape(30, 1)).clone()
    removed = torch.zeros(1, 1, 30, 30, dtype=torch.bool)
    removed[..., 5:22, 8:25] = True
    torch.testing.assert_close(_imputed(image, removed), image, rtol=0, atol=1e-6)


def test_small_holes_do_not_wait_for_large_ones(monkeypatch):
    images = torch.rand(4, 1, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    removed = torch.zeros(4, 1, 24, 24, dtype=torch.bool)
    for row, side in enumerate((22, 0, 1, 2)):
        removed[row, :, 1 : 1 + side, 1 : 1 + side] = True
    rows, residual = [], imputation._residual

    def counted(values, *others):
        rows.append(len(values))
        return residual(values, *others)

    monkeypatch.setattr(imputation, "_residual", counted)
    found = _imputed(images, removed)
    assert rows[0] == 4
    assert len(rows) < sum(rows) < 1.5 * len(rows)
    monkeypatch.undo()
    for row in range(4):
        alone = _imputed(images[row : row + 1], removed[row : row + 1])
        torch.testing.assert_close(found[row : row + 1], alone, rtol=0, atol=1e-12)
        expected = naive.imputed(images[row, 0].numpy(), removed[row, 0].numpy()) if row != 1 else images[row, 0]
        np.testing.assert_allclose(found[row, 0], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", ["morf", "lerf"])
@pytest.mark.parametrize("rows", [None, 1, 4])
def test_road_removes_in_order_and_adds_noise(net, images, maps, order, rows):
    fractions = [0.2, 0.5]
    noise = 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(5)).double()
    curve = road(net, images, maps, [2, 0, 1], fractions, order, 0.3, generator=5, internal_batch_size=rows)
    assert curve.fractions.tolist() == pytest.approx([0, 0.2, 0.5])
    for k, target in enumerate([2, 0, 1]):
        ascending = maps[k].flatten().argsort(descending=order == "morf", stable=True)
        for point, fraction in enumerate([0, *fractions]):
            removed = np.zeros(30, dtype=bool)
            removed[ascending[: round(30 * fraction)]] = True
            removed = removed.reshape(6, 5)
            planes = [naive.imputed(plane.numpy(), removed) if removed.any() else plane.numpy() for plane in images[k]]
            x = torch.from_numpy(np.stack(planes)) + noise[k] * torch.from_numpy(removed)
            assert curve.scores[k, point].item() == pytest.approx(net(x[None])[0, target].item(), abs=1e-7)


def test_road_does_not_change_inputs_or_the_global_generator(net, images, maps):
    before, state = images.clone(), torch.get_rng_state()
    first = road(net, images, maps, 1)
    assert torch.equal(images, before)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.scores, road(net, images, maps, 1).scores)
    assert not torch.equal(first.scores, road(net, images, maps, 1, generator=1).scores)


def above_half(x, half):
    """Class 0 if more than half of an input's weighted sum is left, otherwise class 1."""
    left = weighted(x).sum(1) - half
    return torch.stack([left, -left], dim=1)


def weighted(x):
    return (x.abs() * torch.linspace(1, 2, 90).reshape(3, 6, 5)).flatten(1)


def test_diffid_is_insertion_accuracy_less_deletion_accuracy(images, maps):
    half = weighted(images).sum(1) / 2
    found = diffid(above_half, images, maps, 0, additional_forward_args=half)
    assert found.shape == (3, 9)
    assert len(found.unique()) > 1
    for k in range(3):
        order = maps[k].flatten().argsort(descending=True, stable=True)
        for point in range(9):
            top = torch.zeros(30, dtype=torch.bool)
            top[order[: round(30 * (point + 1) / 10)]] = True
            inserted, deleted = ((images[k] * mask.reshape(6, 5))[None] for mask in (top, ~top))
            hits = [int(above_half(x, half[k]).argmax() == 0) for x in (inserted, deleted)]
            assert found[k, point] == hits[0] - hits[1]


def test_diffid_evaluates_nine_points_of_each_curve(net, images, maps):
    rows = []

    def counted(x):
        rows.append(len(x))
        return net(x)

    diffid(counted, images, maps, 1, internal_batch_size=5)
    assert sum(rows) == 3 * 2 * 9
    assert max(rows) == 5


def test_diffid_of_random_maps_is_zero_on_average(images):
    many = images[:1].expand(300, -1, -1, -1)
    maps = torch.randn(300, 6, 5, generator=torch.Generator().manual_seed(0))
    # Two thirds, so that class 0 is not the complement of class 1.
    half = weighted(many).sum(1) * 2 / 3
    means = diffid(above_half, many, maps, 0, additional_forward_args=half).mean(1)
    assert abs(means.mean()) < 4 * means.std() / 300**0.5
    assert means.std() > 0


def test_mistakes_are_named(net, images, maps):
    for fractions in ([0.5, 0.2], [], [0.5, 1.0], [0], [0.99]):
        with pytest.raises(ValueError, match="fractions"):
            road(net, images, maps, 1, fractions)
    with pytest.raises(ValueError, match="'morf' or 'lerf'"):
        road(net, images, maps, 1, order="random")
    with pytest.raises(ValueError, match="0 or more"):
        road(net, images, maps, 1, noise=-1.0)
    with pytest.raises(ValueError, match="expected pictures"):
        road(net, images.flatten(1), maps.flatten(1), 1)
    with pytest.raises(ValueError, match="one score per class"):
        diffid(lambda x: net(x)[:, 0], images, maps, None)
