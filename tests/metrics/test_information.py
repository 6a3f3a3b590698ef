"""SIC and AIC against PAIR's code, naive replicas and closed forms."""

from __future__ import annotations

import sys
import warnings
from functools import lru_cache

import numpy as np
import pytest
import torch
from skimage import data
from skimage.transform import resize
from torch import nn

from captum_ext._utils.worker_processes import current_workers, worker_processes
from captum_ext.metrics import _codecs, _image_curve, aggregate, information, information_curve
from captum_ext.metrics._interpolation import TopPixels, interpolate, random_mask
from captum_ext.metrics._protocols import PROTOCOLS
from captum_ext.vision.picture_files import encoded_bytes
from tests.references.naive_information import corrected_curve, file_size, study_curve

FRACTIONS = PROTOCOLS["pair"].fractions


@pytest.fixture
def pic(monkeypatch):
    """PAIR's ``saliency.metrics.pic``, with the NumPy call that NumPy 2.4 no longer has."""
    monkeypatch.setattr(np, "trapz", getattr(np, "trapezoid", None) or np.trapz, raising=False)
    import saliency.metrics.pic

    return saliency.metrics.pic


@lru_cache
def photograph(height, width, channels=3):
    """uint8 (C, H, W)."""
    pixels = resize(data.coffee()[:400, 100:500], (height, width), anti_aliasing=True)
    image = torch.from_numpy(np.round(pixels * 255).astype(np.uint8)).permute(2, 0, 1)
    return image[:channels].contiguous()


class Texture(torch.nn.Module):
    """Two probabilities, smooth: how rough a picture is against a share of ``image``'s roughness."""

    def __init__(self, image, confidence=0.9, share=0.6):
        super().__init__()
        self.middle = share * self.roughness(image.unsqueeze(0) / 255)
        self.slope = np.log(confidence / (1 - confidence)) / ((1 - share) / share * self.middle)

    def roughness(self, x):
        return x.double().diff(dim=3).square().mean((1, 2, 3))

    def forward(self, x):
        p = torch.sigmoid(self.slope * (self.roughness(x) - self.middle))
        return torch.stack([1 - p, p], 1)


def some_map(image, seed=0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, *image.shape, dtype=torch.float64, generator=generator)
    return torch.nn.functional.avg_pool2d(noise, 5, 1, 2) + 0.1 * noise


def arrays(image, kind):
    """The image for PAIR, (H, W, C) or (H, W)."""
    array = image.permute(1, 2, 0).numpy()
    return array if kind == 3 else array[:, :, 0]


def by_pair(pic, image, scores, mask, model, target, kind, confidence=0.8):
    """PAIR's result; ``kind`` 0 for SIC, 1 for AIC."""

    def predict(batch):
        batch = batch if batch.ndim == 4 else batch[..., None]
        with torch.no_grad():
            p = model(torch.from_numpy(batch).permute(0, 3, 1, 2) / 255)
        return [float(p[0, target]), float(p[0].argmax() == target)][kind : kind + 1]

    array = arrays(image, len(image))
    return pic.compute_pic_metric(array, scores, mask, predict, FRACTIONS, min_pred_value=confidence)


@pytest.mark.parametrize(("size", "channels", "ties"), [((64, 64), 3, False), ((40, 56), 1, True)])
def test_pair_preset_is_pairs_code(pic, size, channels, ties):
    image = photograph(*size, channels)
    attributions = some_map(image)
    attributions = (attributions * 20).round() if ties else attributions
    mask = random_mask(arrays(image, 3), 0.01, seed=3)
    model = Texture(image)
    found = information_curve(model, image[None], attributions, 1, protocol="pair", masks=torch.from_numpy(mask)[None])
    scores = attributions[0].abs().sum(0).numpy()
    for kind, (curve, area) in enumerate([(found.sic, found.sic_area), (found.aic, found.aic_area)]):
        expected = by_pair(pic, image, scores, mask, model, 1, kind)
        np.testing.assert_allclose(found.information, expected.curve_x, atol=1e-12)
        np.testing.assert_allclose(curve[0], expected.curve_y, atol=1e-6)
        assert area[0] == pytest.approx(expected.auc, abs=1e-6)
        assert len(np.unique(expected.curve_y)) > 10, "a curve that says something"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda image: Texture(image, confidence=0.75), "confidence"),
        (lambda image: lambda x: torch.tensor([[0.1, 0.9]]).expand(len(x), 2), "no score to add"),
    ],
)
def test_pair_leaves_out_what_pairs_code_refuses(pic, model, reason):
    image = photograph(24, 24)
    attributions, mask = some_map(image), random_mask(arrays(image, 3), 0.01, 0)
    model = model(image)
    with pytest.raises(pic.ComputePicMetricError):
        by_pair(pic, image, attributions[0].sum(0).numpy(), mask, model, 1, 0)
    found = information_curve(model, image[None], attributions, 1, protocol="pair")
    assert found.sic_exclusions[0].startswith(reason)
    assert found.sic.isnan().all()


def test_pair_leaves_out_an_image_without_information():
    flat = torch.full((1, 3, 24, 24), 7, dtype=torch.uint8)
    found = information_curve(Texture(photograph(24, 24)), flat, torch.rand(1, 24, 24), 0, protocol="pair")
    assert found.sic_exclusions[0].startswith("no information")


def test_an_image_may_have_an_aic_without_a_sic():
    image = photograph(24, 24)
    found = information_curve(Texture(image, confidence=0.7), image[None], some_map(image), 1, protocol="pair")
    assert set(found.sic_exclusions) == {0}
    assert found.aic_exclusions == {}
    assert not found.aic.isnan().any()


def test_aggregates_are_pairs(pic):
    images = torch.stack([photograph(24, 24), photograph(24, 24).flip(2), photograph(24, 24).flip(1)])
    images = torch.cat([images, torch.full_like(images[:1], 9)])
    maps = torch.cat([some_map(image, seed) for seed, image in enumerate(images)])
    parts = [
        information_curve(Texture(images[0]), images[rows], maps[rows], 1, protocol="pair", min_confidence=0.0)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    assert set(parts[1].sic_exclusions) == {2}
    rows = np.concatenate([part.sic[~part.sic.isnan().any(1)] for part in parts])
    results = [pic.PicMetricResult(parts[0].information.numpy(), row, [], [], [], 0.0) for row in rows]
    for statistic in ("median", "mean"):
        expected = pic.aggregate_individual_pic_results(results, statistic)
        found = aggregate(parts, statistic)
        np.testing.assert_allclose(found.sic, expected.curve_y, atol=1e-12)
        assert found.sic_area == pytest.approx(expected.auc, abs=1e-12)
        assert (found.n_sic, found.n_sic_exclusions) == (3, 1)
    np.testing.assert_array_equal(aggregate(parts).sic, aggregate(parts, "median").sic)
    with pytest.raises(ValueError, match="statistic: expected"):
        aggregate(parts, "best")
    with pytest.raises(ValueError, match="got none"):
        aggregate([])


def numpy_score(model, kind):
    def score(picture):
        with torch.no_grad():
            p = model(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255)[0]
        return [float(p[1]), float(p.argmax() == 1)][kind]

    return score


@pytest.mark.parametrize("channels", [1, 3])
def test_study_preset_is_the_naive_replica(channels):
    image = photograph(36, 44, channels)
    attributions, model = some_map(image), Texture(image)
    found = information_curve(model, image[None], attributions, 1, protocol="study")
    for kind, curve in enumerate([found.sic, found.aic]):
        expected = study_curve(
            arrays(image, 3), attributions[0].sum(0).numpy(), numpy_score(model, kind),
            lambda picture: file_size(picture, format="png"),
        )  # fmt: skip
        np.testing.assert_allclose(curve[0], expected, atol=1e-9)
    assert len(found.information) == 101


def test_study_preset_does_not_rescale_ms_ssim(monkeypatch):
    image = photograph(176, 176, 1)[:, :40, :44]
    attributions, model = some_map(image), Texture(image)

    original = arrays(image, 3).astype(float)

    def similarity(picture):  # stands in for MS-SSIM, which takes seconds
        return 1 - float(np.abs(picture.astype(float) - original).mean()) / 100

    monkeypatch.setattr(
        _image_curve, "information_measure", lambda *_: lambda each: [similarity(p.numpy()) for p in each]
    )
    monkeypatch.setattr(information, "check_sides", lambda *_: None)
    found = information_curve(model, image[None], attributions, 1, protocol="study", information="ms-ssim")
    scores = attributions[0].sum(0).numpy()
    expected = study_curve(arrays(image, 3), scores, numpy_score(model, 0), lambda p: (similarity(p),))
    np.testing.assert_allclose(found.sic[0], expected, atol=1e-9)
    rescaled = information_curve(model, image[None], attributions, 1, protocol="pair", information="ms-ssim")
    assert not rescaled.sic.isnan().any()


def test_a_map_is_sorted_once(monkeypatch):
    image, sizes, argsort = photograph(24, 24, 1), [], np.argsort
    monkeypatch.setattr(
        np, "argsort", lambda values, **keywords: sizes.append(values.size) or argsort(values, **keywords)
    )
    information_curve(Texture(image), image[None], some_map(image), 1, protocol="corrected")
    assert sizes.count(24 * 24) == 1


def test_ms_ssim_is_torchmetrics():
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as metric

    picture = arrays(photograph(177, 180), 3)
    noise = np.random.default_rng(0).integers(0, 256, picture.shape).astype(np.uint8)
    black = np.zeros_like(picture)
    for original in (picture, black):
        measure = _codecs.information_measure("ms-ssim", torch.from_numpy(original))
        others = [(picture // 8) * 8, 255 - picture, noise, black, picture]
        values = measure([torch.from_numpy(other) for other in others])
        for other, value in zip(others, values, strict=True):
            both = (torch.from_numpy(p.astype(np.float64)).permute(2, 0, 1)[None] for p in (other, original))
            assert value == pytest.approx(float(metric(*both, data_range=255.0)), abs=2e-6)
            assert measure([torch.from_numpy(other)])[0] == value  # whatever else is measured
    same = torch.from_numpy(picture)
    assert _codecs.information_measure("ms-ssim", same)([same])[0] == pytest.approx(1)


def test_study_confidence_must_exceed():
    image = photograph(24, 24)
    found = information_curve(Texture(image, 0.7), image[None], some_map(image), 1, protocol="study")
    assert set(found.sic_exclusions) == set(found.aic_exclusions) == {0}


@pytest.mark.parametrize("ranking", ["signed", "absolute"])
def test_corrected_preset_is_the_naive_replica(pic, ranking):
    image = photograph(32, 40)
    attributions, model = (some_map(image) * 3).round(), Texture(image, confidence=0.7)
    mask = random_mask(arrays(image, 3), 0.01, seed=0)
    found = information_curve(model, image[None], attributions, 1, ranking=ranking)
    scores = (attributions.abs() if ranking == "absolute" else attributions)[0].sum(0).numpy()
    for kind, curve in enumerate([found.sic, found.aic]):
        expected = corrected_curve(
            arrays(image, 3), scores, mask, numpy_score(model, kind), pic.create_blurred_image, FRACTIONS
        )
        np.testing.assert_allclose(curve[0], expected, atol=1e-6)
        assert (curve.diff() >= 0).all()


PLACES = ((5, 6), (12, 17), (20, 3))


def looks_at(image):
    """Sure of class 0 if some pixels are the image's, of class 1 if not."""

    def model(x):
        rows, columns = zip(*PLACES, strict=True)
        seen = (x * 255).round()[:, :, rows, columns] == image[:, rows, columns]
        p = torch.where(seen.flatten(1).all(1), 0.95, 0.05)
        return torch.stack([p, 1 - p], 1)

    return model


def test_closed_forms_of_a_perfect_and_an_inverted_ranking():
    image = photograph(32, 32).clone()
    for row, column in PLACES:
        image[:, row, column] = 255 - image[:, row, column]
    perfect = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    for place in PLACES:
        perfect[place] = 2
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    picture = arrays(image, 3)
    low, high = (encoded_bytes("webp", p) for p in (interpolate(picture, mask[0].numpy()), picture))
    for sign, fraction in ((1, FRACTIONS[0]), (-1, FRACTIONS[-1])):
        found = information_curve(looks_at(image), image[None], sign * perfect[None], 0, masks=mask, ranking="signed")
        top = TopPixels(sign * perfect.numpy().astype(float), exact=True)(fraction)
        x = (encoded_bytes("webp", interpolate(picture, top)) - low) / (high - low)
        # Up from (0, 0) to the first picture, then 1; or 0 until the last picture, then up to (1, 1).
        area = 1 - x / 2 if sign == 1 else (1 - x) / 2
        assert 0 < x < 1
        assert found.sic_area[0] == pytest.approx(area, abs=1e-3)
        assert found.aic_area[0] == pytest.approx(area, abs=1e-3)


def test_no_area_is_below_the_floor():
    image = photograph(32, 32)
    for protocol, floor in (("study", 0.005), ("corrected", 0.0005)):
        found = information_curve(looks_at(image), image[None], -some_map(image), 0, protocol=protocol, generator=1)
        assert found.sic_area[0] >= floor - 1e-12
        assert found.sic[0, -1] == 1


def test_a_constant_model_has_no_curve():
    images = torch.stack([photograph(24, 24)] * 2)
    found = information_curve(lambda x: torch.full((len(x), 4), 0.25), images, torch.rand(2, 24, 24), [0, 1])
    assert set(found.sic_exclusions) == set(found.aic_exclusions) == {0, 1}
    assert found.sic.isnan().all()
    total = aggregate(found)
    assert np.isnan(total.sic_area)
    assert (total.n_sic, total.n_aic_exclusions) == (0, 2)


def test_batches_of_any_size_give_the_same():
    images = torch.stack([photograph(24, 32), photograph(24, 32).flip(2), photograph(24, 32).flip(1)])
    maps = torch.cat([some_map(image, seed) for seed, image in enumerate(images)])
    model, sizes = Texture(images[0]), []

    def watched(x):
        sizes.append(len(x))
        return model(x)

    whole = information_curve(watched, images, maps, 1, internal_batch_size=7)
    assert max(sizes) == 7
    one = information_curve(model, images, maps, torch.tensor([1, 1, 1]), internal_batch_size=1)
    alone = [
        information_curve(model, image, m, [1]).sic for image, m in zip(images.split(1), maps.split(1), strict=True)
    ]
    torch.testing.assert_close(whole.sic, one.sic, rtol=0, atol=1e-9)
    torch.testing.assert_close(whole.sic, torch.cat(alone), rtol=0, atol=1e-9)


def test_sizes_may_differ_if_the_transform_evens_them_out():
    images = [photograph(24, 32), photograph(30, 26)]
    maps = [some_map(image)[0] for image in images]
    model = Texture(images[0])

    def transform(pixels):
        assert pixels.dtype == torch.uint8
        return torch.nn.functional.interpolate(pixels / 255, (24, 32))

    found = information_curve(model, images, maps, 1, transform)
    alone = information_curve(model, images[1][None], maps[1][None], 1, transform)
    torch.testing.assert_close(found.sic[1:], alone.sic, rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="one size after transform"):
        information_curve(model, images, maps, 1)


def test_the_generator_and_the_picture_choose_the_mask():
    image = photograph(32, 32)
    picture, other = arrays(image, 3), arrays(image.flip(2), 3)
    masks = [
        random_mask(*given) for given in ((picture, 0.01, 0), (picture, 0.01, 0), (picture, 0.01, 1), (other, 0.01, 0))
    ]
    assert masks[0].sum() == 10
    assert (masks[0] == masks[1]).all()
    assert (masks[0] != masks[2]).any()
    assert (masks[0] != masks[3]).any()

    def sic(generator):
        return information_curve(Texture(image), image[None], some_map(image), 1, generator=generator).sic

    assert torch.equal(sic(4), sic(4))
    assert not torch.equal(sic(4), sic(5))
    first, second = (torch.Generator().manual_seed(4) for _ in range(2))
    assert torch.equal(sic(first), sic(second))
    assert not torch.equal(sic(first), sic(torch.Generator().manual_seed(4))), "a generator moves on"


def test_equal_scores_are_taken_in_reading_order():
    flat = np.zeros((4, 5))
    np.testing.assert_array_equal(np.flatnonzero(TopPixels(flat, exact=True)(0.25)), range(5))
    assert TopPixels(flat, exact=False)(0.25).all()
    image = photograph(24, 24)
    runs = [information_curve(Texture(image), image[None], torch.ones(1, 24, 24), 1).sic for _ in range(2)]
    assert torch.equal(*runs)
    assert not runs[0].isnan().any()


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (17, 23)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 0.9, 1.0])
def test_interpolation_is_pairs(pic, size, share):
    random = np.random.RandomState(0)
    picture = random.randint(0, 256, (*size, 3)).astype(np.uint8)
    known = random.rand(*size) < share
    known[: size[0] // 2] |= share == 0.4  # a region and scattered pixels
    np.testing.assert_array_equal(interpolate(picture, known), pic.create_blurred_image(picture, known))


def test_what_cannot_be_used_is_named():
    image = photograph(24, 24)
    maps, model = some_map(image), Texture(image)

    def curve(images=image[None], attributions=maps, target=1, forward=model, **more):
        return information_curve(forward, images, attributions, target, **more)

    broken = torch.cat([maps, maps])
    broken[1, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in examples \[1\]"):
        curve(torch.stack([image, image]), broken)
    with pytest.raises(ValueError, match="example 0: attributions: expected shape"):
        curve(attributions=maps[..., :-1])
    with pytest.raises(ValueError, match="one for each of 1 images, got 2"):
        curve(attributions=broken)
    with pytest.raises(TypeError, match="stored pixels as uint8"):
        curve(image[None] / 255)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        curve(image.permute(1, 2, 0)[None])
    with pytest.raises(ValueError, match=r"softmax\(1\)"):
        curve(forward=lambda x: model(x) * 9)
    with pytest.raises(ValueError, match=r"expected probabilities \(2, classes\)"):
        curve(forward=lambda x: model(x)[:, 0])
    with pytest.raises(ValueError, match="classes 0 to 1"):
        curve(target=2)
    with pytest.raises(TypeError, match="target"):
        curve(target=None)
    with pytest.raises(ValueError, match="protocol: expected"):
        curve(protocol="paper")
    with pytest.raises(ValueError, match="information: expected"):
        curve(information="jpeg")
    with pytest.raises(ValueError, match="ranking: expected"):
        curve(ranking="both")
    with pytest.raises(ValueError, match="sides of at least 176"):
        curve(information="ms-ssim")
    with pytest.raises(ValueError, match="masks: expected shape"):
        curve(masks=torch.zeros(1, 3, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="internal_batch_size"):
        curve(internal_batch_size=0)


@pytest.mark.parametrize("module", ["scipy.spatial", "PIL.Image"])
def test_a_missing_library_names_the_extra(monkeypatch, module):
    image = photograph(176, 176, 1)
    monkeypatch.setitem(sys.modules, module, None)
    protocol = "pair" if module == "scipy.spatial" else "study"
    with pytest.raises(ImportError, match=r"captum_ext\[metrics\]"):
        information_curve(Texture(image), image[None], some_map(image), 1, protocol=protocol, information="png")


class Counting(nn.Module):
    """Counts its calls in a buffer, and has BatchNorm."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 2), nn.Softmax(1))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.layers(x)


@pytest.mark.parametrize("training", [False, True])
def test_the_models_buffers_are_as_before_and_training_mode_warns(training):
    model = Counting().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    image = torch.randint(256, (1, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        information_curve(lambda x: model(x), image, torch.rand(1, 8, 8), 0)
    assert [str(warning.message)[:52] for warning in caught] == [
        "The model has layers in training mode (BatchNorm1d):"
    ] * training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("protocol", ["corrected", "study"])
def test_processes_that_encode_change_nothing(protocol):
    image = photograph(36, 44)
    attributions, model = some_map(image), Texture(image)
    alone = information_curve(model, image[None], attributions, 1, protocol=protocol)
    with worker_processes(2):
        elsewhere = information_curve(model, image[None], attributions, 1, protocol=protocol)
    assert torch.equal(alone.sic, elsewhere.sic)
    assert current_workers() is None
