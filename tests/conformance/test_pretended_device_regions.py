"""Regions and measures of localization on a device without float64."""

import pytest
import torch

from captum_ext.metrics import (
    best_f1,
    diffid,
    grid_mosaics,
    grid_pointing_game,
    localization_auc,
    localization_iou,
    map_mae,
    pointing_game,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    road,
)
from captum_ext.regions import xrai
from tests.elsewhere import DEVICE, Elsewhere, moved
from tests.helpers import small_images, small_network

pytestmark = pytest.mark.usefixtures("without_float64")


def results(model, x, maps, masks):
    for metric in (
        *(best_f1, localization_auc, localization_iou, map_mae, pointing_game),
        *(relevance_mass_accuracy, relevance_rank_accuracy),
    ):
        yield metric(maps, masks)
    yield grid_pointing_game(maps, [0, 1, 2, 3])
    yield grid_mosaics(x, [0, 1, 2, 3], n_mosaics=3).images
    yield road(model, x, maps, 1, [0.3, 0.6]).scores
    yield diffid(model, x, maps, 1)
    yield from xrai(maps, segments=masks, min_pixel_diff=1, return_regions=True)
    yield xrai(maps, segments=masks.long()[:, :3].reshape(4, -1, 6).repeat(1, 2, 1), min_pixel_diff=1)


def test_results_are_on_the_maps_device():
    x = small_images()
    maps, masks = x.flip(0), x[:, 0] > 0.6
    there = (moved(small_network()), Elsewhere(x), Elsewhere(maps), Elsewhere(masks))
    for one, other in zip(results(*there), results(small_network(), x, maps, masks), strict=True):
        assert one.device == DEVICE
        torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=1e-4, check_dtype=False)


def test_masks_on_the_cpu_serve_maps_elsewhere():
    maps, masks = small_images(), small_images()[:, 0] > 0.6
    assert localization_auc(Elsewhere(maps), masks).device == DEVICE
    assert pointing_game(Elsewhere(maps), masks, 1).device == DEVICE
