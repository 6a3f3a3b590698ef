"""XRAI against a naive replica, PAIR's code, closed forms and its invariants; mistakes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.transform import resize

from captum_ext.regions import Segmentation, region_maps, segment, top_regions, xrai
from captum_ext.regions import segmentation as segmentation_module
from captum_ext.regions.merging import greedy_order
from tests.references import naive_regions


def random_masks(seed, count=12, shape=(17, 13)):
    """Rectangles that overlap and leave pixels out."""
    random = np.random.default_rng(seed)
    masks = np.zeros((count, *shape), dtype=bool)
    for mask in masks:
        top, left = (random.integers(0, side - 3) for side in shape)
        mask[top : top + random.integers(1, 9), left : left + random.integers(1, 9)] = True
    return masks


def assert_is_naive(values, masks, **options):
    expected, ranks = naive_regions.xrai(values, masks, **options)
    found, regions = xrai(
        torch.from_numpy(values)[None], segments=torch.from_numpy(masks), return_regions=True, **options
    )
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(regions[0], ranks)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 80),
    integers=st.booleans(),
    algorithm=st.sampled_from(["full", "fast"]),
    min_pixel_diff=st.sampled_from([1, 2, 7, 30]),
    area_threshold=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
)
def test_equals_the_naive_replica(seed, count, integers, algorithm, min_pixel_diff, area_threshold):
    values = np.random.default_rng(seed).normal(size=(17, 13))
    if integers:  # many ties, which the first mask wins
        values = np.round(values)
    masks = random_masks(seed, count)
    masks[0, :6, :6] = True  # at least one mask of 30 pixels
    options = {"algorithm": algorithm, "min_pixel_diff": min_pixel_diff, "area_threshold": area_threshold}
    assert_is_naive(values, masks, **options)


def test_sums_do_not_lose_small_values_beside_large_ones():
    values = np.repeat([[1e20, 3.0, 1.0]], 3, axis=1).repeat(4, axis=0)
    masks = np.zeros((3, 4, 9), dtype=bool)
    masks[0, :, :3] = True
    masks[1, :, :6] = True  # its sum loses the threes
    masks[2, :, 3:] = True
    found = xrai(torch.from_numpy(values)[None], segments=torch.from_numpy(masks), min_pixel_diff=1)
    np.testing.assert_array_equal(found[0], values)


@pytest.fixture(scope="module")
def photographs():
    """A photograph of scikit-image in 64 x 48."""
    picture = resize(data.chelsea(), (64, 48), preserve_range=True)
    return torch.tensor(picture)[None].permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def segmentation(photographs):
    return segment(photographs, size=(224, 224))[0]


@pytest.fixture
def maps():
    return torch.randn(4, 3, 64, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_segments_are_pairs(photographs, segmentation, saliency):
    from saliency.core import xrai as pair

    theirs = np.stack(pair._get_segments_felzenszwalb(photographs[0].permute(1, 2, 0).numpy()))
    np.testing.assert_array_equal(segmentation.masks, theirs[theirs.any((1, 2))])


@pytest.mark.parametrize("algorithm", ["full", "fast"])
def test_maps_and_ranks_are_pairs(photographs, segmentation, maps, saliency, algorithm):
    found, regions = xrai(maps[:1], segments=segmentation, algorithm=algorithm, return_regions=True)
    picture, base = (each[0].permute(1, 2, 0).numpy() for each in (photographs, maps))
    theirs = saliency.XRAI().GetMaskWithDetails(
        picture,
        None,
        segments=list(segmentation.masks.numpy()),
        base_attribution=base,
        extra_parameters=saliency.XRAIParameters(algorithm=algorithm, return_xrai_segments=True),
    )
    np.testing.assert_allclose(found[0], theirs.attribution_mask, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(regions[0], theirs.segments)


@pytest.mark.parametrize("algorithm", ["full", "fast"])
def test_twenty_pictures_with_three_maps_each_are_pairs(saliency, algorithm):
    from saliency.core import xrai as pair

    random = np.random.default_rng(0)
    sources = [data.chelsea(), data.astronaut(), data.coffee(), data.rocket(), data.immunohistochemistry()]
    for number in range(20):
        source = sources[number % 5]
        top, left = (random.integers(0, side - 200) for side in source.shape[:2])
        picture = resize(source[top : top + 200, left : left + 200], (40, 36), preserve_range=True)
        segments = pair._get_segments_felzenszwalb(picture)
        brightness = picture - picture.mean()
        maps = np.stack([random.normal(size=picture.shape), brightness, np.abs(brightness) ** 3])
        pixels = torch.from_numpy(maps).permute(0, 3, 1, 2)
        found, regions = xrai(
            *(pixels, None, torch.from_numpy(np.stack(segments)), algorithm),
            return_regions=True,
        )
        torch.testing.assert_close(found.sum((1, 2)), pixels.amax(1).sum((1, 2)))
        for values, ranks, base in zip(found, regions, maps, strict=True):
            theirs = saliency.XRAI().GetMaskWithDetails(
                *(picture, None),
                segments=segments,
                base_attribution=base,
                extra_parameters=saliency.XRAIParameters(algorithm=algorithm, return_xrai_segments=True),
            )
            np.testing.assert_allclose(values, theirs.attribution_mask, rtol=1e-9, atol=1e-9)
            np.testing.assert_array_equal(ranks, theirs.segments)


def test_a_large_photograph_is_segmented_and_ranked():
    picture = torch.from_numpy(resize(data.astronaut(), (768, 1024), preserve_range=True)).permute(2, 0, 1)[None]
    values = torch.randn(768, 1024, generator=torch.Generator().manual_seed(0)).double()
    values[200:500, 300:700] += 1
    found, regions = xrai(values[None], segments=segment(picture)[0], return_regions=True)
    assert found.shape == (1, 768, 1024)
    torch.testing.assert_close(found.sum(), values.sum())
    first = regions[0] == regions[0][regions[0] > 0].min()
    assert values[first].mean() > 0.5


@pytest.mark.parametrize("algorithm", ["full", "fast"])
@pytest.mark.parametrize("channels", ["max", "sum"])
def test_keeps_the_sum_and_is_constant_on_regions(segmentation, maps, algorithm, channels):
    found, regions = xrai(maps, None, segmentation, algorithm, channels=channels, return_regions=True)
    merged = maps.amax(1) if channels == "max" else maps.sum(1)
    torch.testing.assert_close(found.sum((1, 2)), merged.sum((1, 2)))
    for values, ranks in zip(found, regions, strict=True):
        means = [values[ranks == rank].unique() for rank in range(1, int(ranks.max()) + 1)]
        assert all(len(mean) == 1 for mean in means)
        assert means[:-1] == sorted(means[:-1], reverse=True)


def test_every_atom_is_taken_once(segmentation):
    sums = np.random.default_rng(0).normal(size=len(segmentation.counts))
    added = np.concatenate(list(greedy_order(segmentation, sums, 1)))
    assert len(added) == len(np.unique(added)) <= len(segmentation.counts)


def test_maps_of_one_picture_share_its_segments(photographs, segmentation, maps, monkeypatch):
    calls = []

    def counted(images):
        calls.append(len(images))
        return [segmentation] * len(images)

    monkeypatch.setattr(region_maps, "segment", counted)
    shared = xrai(maps, photographs)
    assert calls == [1]
    assert torch.equal(torch.cat([xrai(each[None], photographs) for each in maps]), shared)
    assert torch.equal(xrai(maps, photographs.expand(4, -1, -1, -1)), shared)


def test_forms_of_maps_and_segments():
    masks = torch.from_numpy(random_masks(0))
    labels = torch.arange(17 * 13).reshape(17, 13) // 40
    maps = torch.randn(2, 17, 13, generator=torch.Generator().manual_seed(3))
    options = {"min_pixel_diff": 3}
    found = xrai(maps, segments=masks, **options)
    assert found.dtype == torch.float32
    assert torch.equal(xrai(maps[0], segments=masks, **options), found[0])
    assert torch.equal(xrai(maps.unsqueeze(1), segments=[masks, masks], **options), found)
    assert torch.equal(
        xrai(maps.half(), segments=masks, **options), xrai(maps.half().float(), segments=masks, **options)
    )
    assert torch.equal(xrai(maps.requires_grad_(), segments=Segmentation.from_masks(masks), **options), found)
    assert torch.equal(xrai(maps, segments=torch.stack([masks, masks]), **options), found)
    by_labels = xrai(maps, segments=labels, **options)
    one_hot = torch.stack([labels == label for label in labels.unique()])
    assert torch.equal(xrai(maps, segments=one_hot, **options), by_labels)
    assert torch.equal(xrai(maps, segments=torch.stack([labels, labels]), **options), by_labels)
    assert torch.equal(Segmentation.from_labels(labels).masks, one_hot)
    assert torch.equal(Segmentation.from_masks(masks).masks, masks)
    assert xrai(maps[:0], segments=masks, **options).shape == (0, 17, 13)


def test_more_masks_than_bits_in_a_word():
    masks = random_masks(5, 200)
    assert torch.equal(Segmentation.from_masks(torch.from_numpy(masks)).masks, torch.from_numpy(masks))


def test_pictures_with_one_segment_have_the_mean_everywhere():
    maps = torch.rand(1, 20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    constant = torch.full((1, 3, 20, 20), 0.3)
    for found in (xrai(maps, constant), xrai(maps, segments=torch.ones(1, 20, 20, dtype=torch.bool))):
        torch.testing.assert_close(found, maps.mean().expand(1, 20, 20))


def test_pictures_are_resized_in_their_aspect_ratio(monkeypatch):
    shapes = []

    def labels(picture, scales, sigma, min_size, shape):
        shapes.append(shape)
        return [np.zeros(picture.shape[:2], dtype=np.int64)]

    monkeypatch.setattr(segmentation_module, "_felzenszwalb", labels)
    for size in (224, None, (224, 224)):
        segment(torch.rand(1, 3, 768, 1024), size=size)
    assert shapes == [(224, 299), (768, 1024), (224, 224)]


def test_small_pictures_warn():
    maps = torch.rand(1, 6, 6)
    with pytest.warns(UserWarning, match="min_pixel_diff=50"):
        found = xrai(maps, torch.rand(1, 3, 6, 6))
    torch.testing.assert_close(found, maps.mean().expand(1, 6, 6))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"attributions": torch.full((1, 6, 6), torch.nan)}, ValueError, "a NaN or infinity in maps \\[0\\]"),
        ({"attributions": torch.rand(6)}, ValueError, "expected \\(B, C, H, W\\)"),
        ({"attributions": [[1.0]]}, TypeError, "expected a real tensor, got list"),
        ({"segments": None}, ValueError, "got neither"),
        ({"segments": None, "images": torch.rand(3, 6, 6)}, ValueError, "unsqueeze"),
        ({"segments": None, "images": torch.rand(1, 3, 6, 7)}, ValueError, "size of the maps, 6 x 6"),
        ({"segments": None, "images": torch.rand(2, 3, 6, 6)}, ValueError, "expected 1 pictures"),
        ({"segments": None, "images": torch.full((1, 3, 6, 6), torch.inf)}, ValueError, "infinity in pictures \\[0\\]"),
        ({"segments": torch.rand(6, 6)}, TypeError, "segments.bool\\(\\)"),
        ({"segments": torch.ones(6, 6, dtype=torch.bool)}, ValueError, "torch.stack"),
        ({"segments": [torch.ones(1, 6, 6, dtype=torch.bool)] * 2}, ValueError, "one for all, got 2"),
        ({"segments": torch.ones(1, 6, 5, dtype=torch.bool)}, ValueError, "6 x 6, got 6 x 5"),
        ({"segments": np.ones((6, 6))}, TypeError, "torch.as_tensor"),
        ({"min_pixel_diff": 0}, ValueError, "positive integer"),
        ({"area_threshold": 20}, ValueError, "fraction from 0 to 1"),
        ({"algorithm": "slow"}, ValueError, "'full', 'fast'"),
        ({"channels": "mean"}, ValueError, "'max', 'sum'"),
    ],
)
def test_mistakes_are_named(change, error, message):
    arguments = {"attributions": torch.rand(1, 6, 6), "segments": torch.ones(1, 6, 6, dtype=torch.bool)}
    with pytest.raises(error, match=message):
        xrai(**{**arguments, **change})


def test_top_regions_cover_at_least_the_fraction():
    ranks = torch.tensor([[1, 1, 2, 2, 2], [3, 3, 3, 4, 4]])
    assert [int(top_regions(ranks, share).sum()) for share in (0.01, 0.2, 0.21, 0.5, 0.8, 1)] == [2, 2, 5, 5, 8, 10]
    assert torch.equal(top_regions(ranks[None], 0.5)[0], top_regions(ranks, 0.5))
    with pytest.raises(ValueError, match="more than 0"):
        top_regions(ranks, 0)
    with pytest.raises(TypeError, match="return_regions=True"):
        top_regions(torch.rand(2, 2), 0.5)


def test_a_fraction_that_is_a_whole_number_of_pixels_takes_no_more():
    """0.07 times 100 is 7.000000000000001 in floating point."""
    ranks = torch.arange(1, 101).reshape(10, 10)
    assert [int(top_regions(ranks, k / 100).sum()) for k in range(1, 101)] == list(range(1, 101))
