"""Measures of localization against naive replicas, scikit-learn, Quantus, and their chance levels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from captum_ext._utils.dilation import dilate
from captum_ext.metrics import (
    best_f1,
    box_masks,
    localization_auc,
    localization_iou,
    map_mae,
    pointing_game,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)
from tests.references import naive_localization as naive

# The metric, and its replica for the scores and the mask of one example.
METRICS = {
    "auc": (localization_auc, naive.auc),
    "f1": (best_f1, naive.best_f1),
    "mae": (map_mae, naive.mae),
    "mass": (relevance_mass_accuracy, naive.mass_accuracy),
    "rank": (relevance_rank_accuracy, naive.rank_accuracy),
    "iou": (lambda *args: localization_iou(*args[:2], 0.3, *args[2:]), lambda s, m: naive.iou(s, m, 0.3)),
    "pointing": (lambda *args: pointing_game(*args[:2], 2, *args[2:]), lambda s, m: naive.pointing_game(s, m, 2)),
}


def examples(seed, levels=None, shape=(4, 3, 3, 4)):
    """Maps, with ties for few levels, and masks that neither are empty nor cover the picture."""
    random = np.random.default_rng(seed)
    maps = random.normal(size=shape) if levels is None else random.integers(-levels, levels + 1, shape).astype(float)
    masks = random.random((shape[0], *shape[2:])) < random.random()
    masks[:, 0, 0], masks[:, -1, -1] = True, False
    return torch.from_numpy(maps), torch.from_numpy(masks)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([None, 0, 1, 3]), name=st.sampled_from(sorted(METRICS)))
def test_equals_the_naive_replica(seed, levels, name):
    maps, masks = examples(seed, levels)
    metric, replica = METRICS[name]
    for ranking in ("positive", "absolute") if name == "mass" else ("signed", "positive", "absolute"):
        expected = [
            replica(naive.scores(m, ranking), mask) for m, mask in zip(maps.numpy(), masks.numpy(), strict=True)
        ]
        np.testing.assert_allclose(metric(maps, masks, ranking), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("levels", [None, 2])
def test_auc_is_scikit_learns(levels):
    maps, masks = examples(1, levels, (5, 3, 40, 30))
    expected = [roc_auc_score(m.flatten(), s.sum(0).flatten()) for m, s in zip(masks, maps, strict=True)]
    np.testing.assert_allclose(localization_auc(maps, masks), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mass", "rank"])
def test_mass_and_rank_accuracy_are_quantus(name):
    import quantus

    theirs = {"mass": quantus.RelevanceMassAccuracy, "rank": quantus.RelevanceRankAccuracy}[name]
    maps, masks = examples(2, shape=(5, 1, 12, 10))
    metric = theirs(abs=True, normalise=False, disable_warnings=True, display_progressbar=False)
    inputs = np.zeros((5, 1, 12, 10))
    found = metric(
        model=None,
        x_batch=inputs,
        y_batch=np.zeros(5, dtype=int),
        a_batch=maps.numpy(),
        s_batch=masks.unsqueeze(1).numpy(),
    )
    np.testing.assert_allclose(METRICS[name][0](maps, masks, "absolute"), found, rtol=0, atol=1e-9)


def disk_mask(size=40):
    row, column = np.mgrid[:size, :size]
    return torch.from_numpy((row - 12) ** 2 + (column - 15) ** 2 <= 64)


def test_noise_is_at_the_chance_level():
    mask, generator = disk_mask(), torch.Generator().manual_seed(0)
    n = 400
    masks, p = mask.expand(n, 40, 40), mask.double().mean().item()
    maps = torch.rand(n, 40, 40, generator=generator, dtype=torch.float64) - 0.5
    q = 0.25  # the fraction of positive uniform values above half of the maximum
    levels = {
        "auc": (localization_auc(maps, masks), 0.5),
        "mae": (map_mae(maps, masks, "signed"), 0.5),
        "mae of positive parts": (map_mae(maps, masks), 0.75 * p + 0.25 * (1 - p)),  # half of them are 0
        "mass": (relevance_mass_accuracy(maps, masks), p),
        "rank": (relevance_rank_accuracy(maps, masks), p),
        "iou": (localization_iou(maps, masks), p * q / (p + q - p * q)),
        "pointing": (pointing_game(maps, masks, 15), dilate(mask, 15).double().mean().item()),
    }
    for name, (values, chance) in levels.items():
        margin = 4 * values.std().item() / math.sqrt(n) + 2e-4  # scaling by the extremes biases by 1 / pixels
        assert abs(values.mean().item() - chance) < margin, name
        assert margin < 0.1
    f1 = best_f1(maps, masks)
    assert (f1 >= 2 * p / (1 + p) - 1e-12).all()
    assert f1.mean() < 2 * p / (1 + p) + 0.03


def test_constant_maps_are_at_the_chance_level():
    masks = disk_mask().expand(2, 40, 40)
    p = masks[0].double().mean()
    for value in (0.0, 0.1, -3.0):
        maps = torch.full((2, 3, 40, 40), value)
        for metric, chance in (
            (localization_auc, 0.5),
            (best_f1, 2 * p / (1 + p)),
            (relevance_rank_accuracy, p),
            (relevance_mass_accuracy, p),
            (map_mae, p),
            (pointing_game, dilate(masks[0], 15).double().mean()),
        ):
            torch.testing.assert_close(metric(maps, masks), torch.full((2,), float(chance), dtype=torch.float64))
        assert not localization_iou(maps, masks).any()


def test_the_mask_itself_is_perfect():
    masks = disk_mask().expand(2, 40, 40)
    for name, (metric, _) in METRICS.items():
        found = metric(masks.float(), masks, "positive")
        torch.testing.assert_close(
            found, torch.full((2,), float(name != "mae"), dtype=torch.float64), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("name", sorted(METRICS))
def test_forms_and_batches(name):
    metric = METRICS[name][0]
    maps, masks = examples(3)
    signed = maps.sum(1)
    found = metric(maps, masks, "positive")
    assert found.dtype == torch.float64
    for other in (signed, signed.unsqueeze(1)):
        torch.testing.assert_close(metric(other, masks.unsqueeze(1), "positive"), found)
    torch.testing.assert_close(
        torch.cat([metric(m[None], k[None], "positive") for m, k in zip(maps, masks, strict=True)]), found
    )
    assert not metric(maps.requires_grad_(), masks, "positive").requires_grad
    assert metric(maps[:0], masks[:0], "positive").shape == (0,)


def test_boxes():
    boxes = torch.tensor([[1, 0, 3, 2], [0.6, 1.5, 2.0, 3.0]])
    masks = box_masks(boxes, (3, 4))
    assert masks.int().tolist() == [
        [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]],
    ]
    several = box_masks([boxes, boxes[:1]], (3, 4))
    assert torch.equal(several, torch.stack([masks.any(0), masks[0]]))
    with pytest.raises(ValueError, match="left < right"):
        box_masks(torch.tensor([[3, 0, 1, 2]]), (3, 4))
    with pytest.raises(TypeError, match="list of tensors"):
        box_masks([[0, 0, 1, 1]], (3, 4))


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 15])
def test_dilation_adds_the_pixels_within_the_radius(radius):
    masks = torch.rand(3, 17, 9, generator=torch.Generator().manual_seed(0)) < 0.02
    pixels = torch.cartesian_prod(torch.arange(17), torch.arange(9))
    for mask, dilated in zip(masks, dilate(masks, radius), strict=True):
        squared = (pixels.unsqueeze(1) - mask.nonzero()).square().sum(2)  # of each pixel to each pixel of the mask
        assert torch.equal(dilated.flatten(), (squared <= radius**2).any(1))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_mistakes_are_named(name):
    metric = METRICS[name][0]
    maps, masks = examples(4)
    for change, error, message in (
        ({"masks": masks.int()}, TypeError, "masks > 0"),
        ({"masks": masks[:3]}, ValueError, "that of the maps"),
        ({"masks": masks & False}, ValueError, "no pixel inside"),
        ({"maps": maps * torch.nan}, ValueError, "NaN"),
        ({"maps": maps.flatten(1)}, ValueError, "expected \\(B, C, H, W\\)"),
        ({"ranking": "relative"}, ValueError, "ranking: expected"),
    ):
        arguments = {"maps": maps, "masks": masks, "ranking": "positive", **change}
        with pytest.raises(error, match=message):
            metric(*arguments.values())
    with pytest.raises(ValueError, match="no pixel outside"):
        localization_auc(maps, masks | True)
    with pytest.raises(ValueError, match="0 or more"):
        pointing_game(maps, masks, -1)
    with pytest.raises(ValueError, match="more than 0"):
        localization_iou(maps, masks, 0)
    with pytest.raises(ValueError, match="no sign"):
        relevance_mass_accuracy(maps, masks, "signed")
