"""Pictures of attributions: what is drawn, against a reference; forms of inputs; errors."""

import io
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter

from captum_ext import visualization
from captum_ext.visualization import bars, compare, curves, heatmap, overlay, regions
from captum_ext.visualization.pictures import STYLES, map_picture, photograph

RED, BLUE = np.array([1.0, 0.23, 0.0]), np.array([0.0, 0.63, 1.0])


@pytest.fixture
def attributions():
    return torch.randn(1, 3, 12, 20, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def image():
    return torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(1))


def drawn(figure, axes=0):
    """The values of a panel's first image."""
    return np.asarray(figure.axes[axes].images[0].get_array())


def words(figure):
    """All text of a figure."""
    figure.draw_without_rendering()
    texts = [text for ax in figure.axes for child in (ax, *ax.child_axes) for text in texts_of(child)]
    return "\n".join(text.get_text() for text in [*texts, *figure.texts])


def texts_of(ax):
    return [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels()]


def test_a_heat_map_is_the_magnitude_of_the_sum_over_channels(attributions):
    figure = heatmap(attributions)
    expected = attributions[0].sum(0).abs().double().numpy()
    np.testing.assert_allclose(drawn(figure), expected, rtol=1e-6)
    picture = figure.axes[0].images[0]
    np.testing.assert_allclose(picture.get_clim(), (0, np.percentile(expected, 99)), rtol=1e-6)
    assert picture.cmap(0.0)[:3] == (0, 0, 0)
    luminance = picture.cmap(np.linspace(0, 1, 50))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(luminance) > 0).all()


@pytest.mark.parametrize("percentile", [50, 99.0, 100])
def test_an_overlay_mixes_colors_by_the_clipped_magnitude(attributions, image, percentile):
    figure = overlay(attributions, image, percentile=percentile)
    signed = attributions[0].sum(0).double().numpy()
    opacity = np.clip(np.abs(signed) / np.percentile(np.abs(signed), percentile), 0, 1)
    gray = 0.65 + 0.35 * image[0].double().mean(0).numpy()
    for y, x in np.ndindex(signed.shape):
        color = RED if signed[y, x] > 0 else BLUE
        expected = (1 - opacity[y, x]) * gray[y, x] + opacity[y, x] * color
        np.testing.assert_allclose(drawn(figure)[y, x], expected, atol=1e-6)


def test_heat_maps_of_magnitudes_are_pairs(attributions, saliency):
    mask = attributions[0].permute(1, 2, 0).double().numpy()
    figure = heatmap(np.abs(mask))
    _, limit = figure.axes[0].images[0].get_clim()
    theirs = saliency.VisualizeImageGrayscale(mask)
    smallest = np.abs(mask).sum(2).min()
    np.testing.assert_allclose(smallest + theirs * (limit - smallest), np.minimum(drawn(figure), limit))


def test_without_an_image_the_background_of_an_overlay_is_white(attributions):
    attributions[..., :6, :] = 0
    assert (drawn(overlay(attributions))[:6] == 1).all()
    assert (drawn(overlay(attributions))[6:] < 1).any(2).all()


def test_side_by_side_colors_are_gray():
    mixed = (RED + BLUE) / 2
    assert np.ptp(mixed) < 0.1  # of red and blue themselves it would be 0.5: purple


def test_smoothing_is_scipys_and_written_below(attributions):
    signed = attributions[0].sum(0).double().numpy()
    figure = heatmap(attributions, sigma=1.5)
    np.testing.assert_allclose(drawn(figure), gaussian_filter(np.abs(signed), 1.5), rtol=1e-6)
    assert "smoothed, \N{GREEK SMALL LETTER SIGMA} = 1.5 pixels" in words(figure)
    smoothed = gaussian_filter(signed, 1)
    figure = overlay(attributions, sigma=1, percentile=100, legend=False)
    opacity = np.abs(smoothed)[..., None] / np.abs(smoothed).max()
    expected = 1 - opacity + opacity * np.where(smoothed[..., None] > 0, RED, BLUE)
    np.testing.assert_allclose(drawn(figure), expected, atol=1e-6)
    assert "smoothed, \N{GREEK SMALL LETTER SIGMA} = 1 pixel" in words(figure)
    assert "smoothed" not in words(overlay(attributions))


def test_the_legend_says_which_sign_is_which_and_whether_values_are_clipped(attributions):
    signed = attributions[0].sum(0).abs().numpy()
    shown = words(overlay(attributions))
    limit = f"{np.percentile(signed, 99):.2g}"
    assert f"raises the output\n≥ {limit}" in shown
    assert f"lowers the output\n≤ \N{MINUS SIGN}{limit}" in shown
    largest = f"{signed.max():.2g}"
    assert f"raises the output\n{largest}" in words(overlay(attributions, percentile=100))
    assert f"|attribution| {largest}" in words(heatmap(attributions, percentile=100))
    assert "output" not in words(overlay(attributions, legend=False))
    strip = overlay(attributions).axes[0].child_axes[0].images[0].get_array()
    np.testing.assert_allclose(strip[0, [0, 127, -1]], [BLUE, [1, 1, 1], RED])


def test_a_map_of_zeros_is_black_or_white_and_says_so():
    zeros = torch.zeros(3, 8, 8)
    for figure, color in ((heatmap(zeros), 0), (overlay(zeros), 1), (heatmap(zeros, sigma=2), 0)):
        assert (drawn(figure) == color).all()
        assert "all attributions are 0" in words(figure)
    assert "all attributions are 0" in words(compare({"IG": zeros}))


def test_a_constant_map_is_drawn_at_full_strength():
    for value, color in ((2.0, RED), (-2.0, BLUE)):
        constant = torch.full((8, 8), value)
        np.testing.assert_allclose(drawn(overlay(constant)), np.broadcast_to(color, (8, 8, 3)))
        figure = heatmap(constant)
        assert (drawn(figure) == 2).all()
        assert figure.axes[0].images[0].get_clim() == (0, 2)


def test_few_values_among_zeros_are_not_lost():
    sparse = torch.zeros(40, 40)
    sparse[3, 4], sparse[5, 6] = 5.0, -1.0
    assert heatmap(sparse).axes[0].images[0].get_clim() == (0, 5)
    colors = drawn(overlay(sparse))
    np.testing.assert_allclose(colors[3, 4], RED)
    np.testing.assert_allclose(colors[5, 6], 0.8 + 0.2 * BLUE)


@pytest.mark.parametrize("limit", [1e-30, 1e30])
def test_magnitudes_may_be_tiny_or_huge(attributions, limit):
    np.testing.assert_allclose(drawn(overlay(attributions)), drawn(overlay(attributions * limit)), atol=1e-5)


def test_a_limit_replaces_the_percentile(attributions):
    assert heatmap(attributions, limit=0.5).axes[0].images[0].get_clim() == (0, 0.5)


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a[0],
        lambda a: a[0].sum(0),
        lambda a: a.numpy(),
        lambda a: a[0].permute(1, 2, 0).numpy(),
        lambda a: a.clone().requires_grad_(),
        lambda a: a.clone().requires_grad_() * 1,
        lambda a: a.double(),
        lambda a: a.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2),
    ],
)
def test_forms_of_attributions(attributions, image, form):
    given = form(attributions)
    np.testing.assert_allclose(drawn(heatmap(given)), drawn(heatmap(attributions)), rtol=1e-5)
    np.testing.assert_allclose(drawn(overlay(given, image)), drawn(overlay(attributions, image)), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_dtypes_of_attributions(attributions, dtype):
    given = (attributions * 10).to(dtype)
    np.testing.assert_allclose(drawn(heatmap(given)), given.double()[0].sum(0).abs().numpy())


def test_forms_of_pictures(attributions):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    pixels[0, 0], pixels[0, 1] = 0, 255
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    standardized = (tensor / 255 - 0.5) / 0.25
    expected = drawn(overlay(attributions, pixels))
    for form in (Image.fromarray(pixels), Image.fromarray(pixels).convert("RGBA"), tensor, tensor[None] / 255):
        np.testing.assert_allclose(drawn(overlay(attributions, form)), expected, atol=1e-6)
    for form in (standardized, standardized.requires_grad_()):
        np.testing.assert_allclose(drawn(overlay(attributions, form)), expected, atol=1e-6)
    gray = pixels[..., 0]
    expected = drawn(overlay(attributions, gray))
    for form in (Image.fromarray(gray), gray[..., None], gray[None], torch.from_numpy(gray) / 255):
        np.testing.assert_allclose(drawn(overlay(attributions, form)), expected, atol=1e-6)


def test_the_channels_of_a_tensor_come_first_whatever_its_shape():
    for shape in ((16, 9, 3), (16, 9, 1), (1, 64, 3, 3)):
        layer = torch.randn(shape)
        np.testing.assert_allclose(drawn(heatmap(layer)), layer.double().sum(-3).abs().reshape(layer.shape[-2:]))
    array = np.random.default_rng(0).normal(size=(16, 3, 3))  # of a layer, not of 16 x 3 pixels
    np.testing.assert_allclose(drawn(heatmap(array)), np.abs(array.sum(0)))


@pytest.mark.parametrize("size", [(1, 9), (3, 9), (4, 4), (9, 3), (9, 1)])
def test_pictures_may_be_thin(size):
    values, picture = torch.randn(size), torch.rand(3, *size)
    expected = drawn(overlay(values, picture))
    assert expected.shape == (*size, 3)
    figure = compare({"IG": values}, picture, style="overlay")
    np.testing.assert_allclose(drawn(figure, 0), picture.permute(1, 2, 0).double())
    np.testing.assert_allclose(drawn(figure, 1), expected)


def test_a_constant_picture_is_gray(attributions):
    assert np.isfinite(drawn(overlay(attributions, torch.full((3, 12, 20), -3.0)))).all()


def test_the_map_of_a_layer_is_stretched_over_the_picture(image):
    coarse = torch.randn(3, 5)
    repeated = coarse.repeat_interleave(4, 0).repeat_interleave(4, 1)
    np.testing.assert_allclose(*(drawn(overlay(each, image, percentile=100)) for each in (coarse, repeated)))
    overlay(torch.randn(7, 7), torch.rand(3, 224, 240))  # strides of 32, rounded down
    for wrong in (torch.randn(20, 12), torch.randn(24, 40), torch.randn(12, 19), torch.randn(3, 3)):
        with pytest.raises(ValueError, match="expected the size of the picture, 12 x 20"):
            overlay(wrong, image)


def test_nothing_of_the_users_changes(attributions, image):
    arrays = attributions.numpy().copy(), image.numpy().copy()
    overlay(attributions, image, sigma=1)
    heatmap(attributions.numpy(), sigma=1)
    np.testing.assert_array_equal(attributions, arrays[0])
    np.testing.assert_array_equal(image, arrays[1])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (torch.rand(4, 3, 8, 8), ValueError, r"got a batch of 4.*attributions\[0\]"),
        (torch.rand(0, 3, 8, 8), ValueError, "batch of 0"),
        (torch.rand(1, 3, 4, 8, 8), ValueError, "one frame"),
        (torch.rand(8), ValueError, r"expected \(C, H, W\).*bars"),
        (torch.rand(3, 0, 8), ValueError, "got shape"),
        (torch.tensor([[1.0, torch.nan]]), ValueError, "1 of 2 values are NaN"),
        (torch.tensor([[1.0, torch.inf]]), ValueError, "1 of 2 values are NaN or infinite"),
        (torch.rand(8, 8).to(torch.complex64), TypeError, "expected real values, got torch.complex64"),
        (np.zeros((8, 8), complex), TypeError, "complex128"),
        (np.array([["a"]]), TypeError, "expected real values"),
        ((torch.rand(8, 8),), TypeError, r"got a tuple. Pass attributions\[0\]"),
        ("map", TypeError, "expected a tensor or an array, got str"),
    ],
)
def test_mistakes_in_attributions(given, error, message):
    for draw in (heatmap, overlay):
        with pytest.raises(error, match=message):
            draw(given)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"percentile": 0}, ValueError, "percentile: expected more than 0"),
        ({"percentile": 101}, ValueError, "percentile"),
        ({"percentile": "99"}, TypeError, "percentile"),
        ({"percentile": np.nan}, ValueError, "percentile"),
        ({"sigma": -1}, ValueError, "sigma: expected a nonnegative"),
        ({"sigma": np.inf}, ValueError, "sigma"),
        ({"sigma": True}, TypeError, "sigma"),
        ({"limit": 0}, ValueError, "limit: expected a positive"),
        ({"limit": np.nan}, ValueError, "limit"),
        ({"ax": "left"}, TypeError, "ax: expected matplotlib axes, got str"),
    ],
)
def test_mistakes_in_options(attributions, options, error, message):
    for draw in (heatmap, overlay):
        with pytest.raises(error, match=message):
            draw(attributions, **options)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(2, 3, 12, 20), ValueError, r"batch of 2. Pass image\[0\]"),
        (torch.rand(4, 12, 20), ValueError, "1 or 3 channels, got 4"),
        (torch.full((3, 12, 20), torch.nan), ValueError, "720 of 720"),
        (torch.rand(5), ValueError, "got shape"),
        ("cat.jpg", TypeError, "got str"),
    ],
)
def test_mistakes_in_pictures(attributions, image, error, message):
    with pytest.raises(error, match=message):
        overlay(attributions, image)


def test_maps_are_compared_beside_their_image(attributions, image):
    maps = {"IG": attributions, "IDGI $x$": 3 * attributions.abs()}
    figure = compare(maps, image, image_title="a cat")
    assert [ax.get_title() for ax in figure.axes[:3]] == ["a cat", "IG", "IDGI $x$"]
    np.testing.assert_allclose(drawn(figure, 0), image[0].permute(1, 2, 0))
    for k, each in enumerate(maps.values(), 1):
        np.testing.assert_allclose(drawn(figure, k), drawn(heatmap(each)))
    assert "Each map has its own scale." in words(figure)
    signed = compare(maps, image, style="overlay", sigma=1)
    np.testing.assert_allclose(drawn(signed, 2), drawn(overlay(maps["IDGI $x$"], image, sigma=1)))
    assert "Red raises the output, blue lowers it." in words(signed)


def test_maps_on_one_scale(attributions):
    weak = attributions / 10
    for style in ("heatmap", "overlay"):
        figure = compare({"strong": attributions, "weak": weak}, style=style, shared_scale=True, sigma=1)
        own = compare({"strong": attributions, "weak": weak}, style=style, sigma=1)
        np.testing.assert_allclose(drawn(figure, 0), drawn(own, 0))
        assert "All maps have one scale." in words(figure)
    limits = [ax.images[0].get_clim() for ax in compare({"a": weak, "b": attributions}, shared_scale=True).axes]
    assert limits[0] == limits[1] == heatmap(attributions).axes[0].images[0].get_clim()
    compare({"zero": torch.zeros(4, 4)}, shared_scale=True)


def test_the_grid_of_a_comparison(attributions, image):
    maps = {f"map {k}": attributions for k in range(4)}
    shapes = {len(figure.axes): figure.axes[0].get_gridspec().get_geometry() for figure in map(compare, [maps])}
    assert shapes == {4: (2, 2)}
    assert compare(maps, image).axes[0].get_gridspec().get_geometry() == (2, 3)
    assert compare(maps, image, columns=5).axes[0].get_gridspec().get_geometry() == (1, 5)
    mine = Figure().subplots(1, 5)
    assert compare(maps, image, axes=mine) is mine[0].get_figure()
    assert [len(ax.images) for ax in mine] == [1] * 5


@pytest.mark.parametrize("panels", [1, 2, 3, 4, 6, 7])
def test_type_is_readable_where_a_comparison_is_390_pixels_wide(attributions, panels):
    figure = compare({f"map {k}": attributions for k in range(panels)}, style="overlay", sigma=1)
    pixels_per_point = min(390 / 72 / figure.get_size_inches()[0], 1)
    texts = [text for ax in figure.axes if ax.images for text in texts_of(ax) if text.get_text()]
    assert len(texts) > panels
    assert all(text.get_fontsize() * pixels_per_point >= 9.5 for text in [*texts, *figure.texts])


def test_mistakes_in_comparisons(attributions, image):
    for maps, error, message in (
        ([attributions], TypeError, "expected a dictionary"),
        ({}, ValueError, "at least one map"),
        ({"IG": attributions, "IDGI": attributions * torch.nan}, ValueError, r"maps\['IDGI'\]: 240 of|maps\['IDGI'\]"),
        ({"IG": torch.rand(2, 3, 12, 20)}, ValueError, r"maps\['IG'\]: expected one map, got a batch of 2"),
    ):
        with pytest.raises(error, match=message):
            compare(maps, image)
    for options, error in (({"style": "fog"}, ValueError), ({"columns": 0}, ValueError), ({"axes": []}, ValueError)):
        with pytest.raises(error, match=next(iter(options))):
            compare({"IG": attributions}, image, **options)


def test_regions_are_the_top_ranks_that_cover_the_share(image):
    ranks = torch.tensor([[1, 1, 2, 2, 3], [4, 4, 4, 4, 4], [5, 5, 5, 5, 5]])
    large = ranks.repeat_interleave(4, 0).repeat_interleave(4, 1)
    picture = image[0].permute(1, 2, 0).double().numpy()
    faded = (0.65 + 0.35 * picture.mean(2, keepdims=True)).repeat(3, 2)
    for share, last in ((0.01, 1), (2 / 15, 1), (0.14, 2), (0.5, 4), (1, 5)):
        for given in (ranks, large, large[None], large.numpy()):
            figure = regions(given, image, share=share)
            inside = (large <= last).numpy()
            np.testing.assert_allclose(drawn(figure), np.where(inside[..., None], picture, faded), atol=1e-6)
            assert f"top {inside.mean():.0%} of the picture" in words(figure)


def test_regions_from_masks_that_overlap_and_leave_a_rest(image):
    masks = torch.zeros(2, 12, 20, dtype=torch.bool)
    masks[0, :3], masks[1, 2:6] = True, True
    for share, rows in ((0.25, 3), (0.26, 6), (1, 6)):
        assert f"top {rows / 12:.0%}" in words(regions(masks, image, share=share))
    assert "top 0%" in words(regions(torch.zeros_like(masks), image))


def test_top_regions_are_those_of_xrai(image):
    from captum_ext.regions import top_regions

    ranks = torch.randint(1, 9, (12, 20), generator=torch.Generator().manual_seed(0))
    for share in (0.05, 0.3, 0.7):
        shown = (drawn(regions(ranks, image, share=share)) == image[0].permute(1, 2, 0).double().numpy()).all(2)
        assert (shown == top_regions(ranks, share).numpy()).all()


def test_mistakes_in_regions(image):
    for ranks, error, message in (
        (torch.rand(12, 20), TypeError, r"expected integers.*float32.*return_regions"),
        ([1, 2], TypeError, "got list"),
        (torch.ones(2, 12, 20, dtype=torch.int64), ValueError, r"ranks\[0\]"),
        (torch.ones(12, 20, dtype=torch.bool), ValueError, r"masks \(M, H, W\)"),
        (torch.ones(20, 12, dtype=torch.int64), ValueError, "size of the picture"),
    ):
        with pytest.raises(error, match=message):
            regions(ranks, image)
    with pytest.raises(ValueError, match="share"):
        regions(torch.ones(12, 20, dtype=torch.int64), image, share=0)


def lengths(figure):
    return [bar.get_width() for bar in figure.axes[0].patches]


def test_bars_are_the_largest_and_the_sum_of_the_rest():
    row = torch.tensor([0.1, -3.0, 0.2, 2.0, -0.4])
    figure = bars(row[None], list("abcde"), values=np.arange(5), top=2)
    np.testing.assert_allclose(lengths(figure), [-3.0, 2.0, -0.1], rtol=1e-6)
    assert sum(lengths(figure)) == pytest.approx(float(row.sum()))
    colors = [bar.get_facecolor()[:3] for bar in figure.axes[0].patches]
    np.testing.assert_allclose(colors, [BLUE, RED, BLUE])
    shown = words(figure)
    for text in ("b = 1", "d = 3", "3 other features", "-3", "+2", "Red raises the output, blue lowers it. Sum: -1.1"):
        assert text in shown
    np.testing.assert_allclose(lengths(bars(row, top=9)), [-3.0, 2.0, -0.4, 0.2, 0.1], rtol=1e-6)
    assert "feature 3" in words(bars(row))
    assert lengths(bars(torch.zeros(3))) == [0, 0, 0]


def test_values_of_bars_may_be_words_missing_or_a_column():
    for values in (["red", 2.5, float("nan")], np.array([["red", 2.5, float("nan")]], dtype=object)):
        shown = words(bars(torch.rand(3), ["color", "size", "age"], values=values))
        assert "color = red" in shown
        assert "size = 2.5" in shown
        assert "age = nan" in shown


def test_ties_of_bars_keep_the_features_order():
    assert [text.get_text() for text in bars(np.ones(4), top=4).axes[0].get_yticklabels()] == [
        f"feature {k}" for k in range(4)
    ]


def test_mistakes_in_bars():
    row = torch.rand(4)
    for given, options, error, message in (
        (torch.rand(2, 4), {}, ValueError, "expected one row, got 2"),
        (torch.rand(1, 2, 4), {}, ValueError, "one number per feature"),
        (row * torch.nan, {}, ValueError, "4 of 4"),
        (row, {"names": ["a"]}, ValueError, "names: expected 4, one per feature, got 1"),
        (row, {"values": torch.rand(3)}, ValueError, "values: expected 4"),
        (row, {"top": 0}, ValueError, "top"),
        ([0.1, 0.2], {}, TypeError, "list"),
    ):
        with pytest.raises(error, match=message):
            bars(given, **options)


def test_curves_have_the_methods_styles_and_bounds():
    low, middle, high = np.linspace(0, 1, 5) - 0.1, np.linspace(0, 1, 5), np.linspace(0, 1, 5) + 0.2
    figure = curves({"IG": torch.tensor(middle), "IDGI": [low, middle, high]}, x=range(5), xlabel="n", ylabel="p")
    ax = figure.axes[0]
    ig, idgi = ax.lines
    np.testing.assert_allclose(ig.get_xdata(), range(5))
    np.testing.assert_allclose(idgi.get_ydata(), middle)
    assert (ig.get_color(), ig.get_linestyle()) == ("#0072B2", "-")
    assert (idgi.get_color(), idgi.get_linestyle()) == ("#0072B2", "--")
    band = ax.collections[1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((-0.1, 1.2))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["IG", "IDGI"]
    assert ax.get_xlabel() == "n"
    assert ax.get_ylabel() == "p"
    free = curves({"a": [1, 2, 3], "b": [1, 2]}, legend=False).axes[0]
    np.testing.assert_allclose(free.lines[0].get_xdata(), [0, 0.5, 1])
    assert free.get_legend() is None


def test_mistakes_in_curves():
    for lines, options, error, message in (
        ([[1, 2]], {}, TypeError, "expected a dictionary"),
        ({}, {}, ValueError, "at least one"),
        ({"IG": [1.0, np.nan]}, {}, ValueError, r"lines\['IG'\]: 1 of 2"),
        ({"IG": np.zeros((4, 9))}, {}, ValueError, r"\.mean\(0\)"),
        ({"IG": [[1, 2], [0, 1], [3, 3]]}, {}, ValueError, "not between"),
        ({"IG": [1, 2]}, {"x": [1, 2, 3]}, ValueError, "x: expected 2 positions"),
    ):
        with pytest.raises(error, match=message):
            curves(lines, **options)


DRAW = {
    "heatmap": lambda **more: heatmap(torch.rand(4, 4), title="$x", **more),
    "overlay": lambda **more: overlay(torch.rand(4, 4), title="$x", **more),
    "regions": lambda **more: regions(torch.ones(4, 4, dtype=torch.int64), torch.rand(4, 4), title="$x", **more),
    "bars": lambda **more: bars(torch.rand(4), title="$x", **more),
    "curves": lambda **more: curves({"$x": [1, 2]}, title="$x", **more),
}


@pytest.mark.parametrize("name", DRAW)
def test_figures_are_returned_and_axes_accepted(name, tmp_path):
    figure = DRAW[name]()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png", dpi=40)
    assert np.asarray(Image.open(tmp_path / "figure.png").convert("L")).std() > 1
    assert Image.open(io.BytesIO(figure._repr_png_())).format == "PNG"
    assert isinstance(pickle.loads(pickle.dumps(figure)), Figure)
    mine = Figure()
    ax, other = mine.subplots(1, 2)
    assert DRAW[name](ax=ax) is mine
    assert ax.has_data()
    assert not other.has_data()
    part = Figure().subfigures(1, 2)[0]
    assert DRAW[name](ax=part.subplots()) is part.figure
    if hasattr(part, "get_figure"):
        assert part.figure is not part


def test_pictures_are_shown_whole(attributions, image):
    """The text around a picture is inside the figure."""
    for figure in (
        heatmap(attributions, title="two\nlines", sigma=1),
        overlay(torch.randn(3, 20, 20), title="title", sigma=1),
        compare({"IG": attributions, "IDGI": attributions}, image, sigma=1),
        compare({"IG": torch.randn(30, 9)}, style="overlay"),
        bars(torch.randn(14), ["a name that is long"] * 14),
    ):
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert box.x0 > -0.05
        assert box.y0 > -0.05
        assert box.x1 < width + 0.05
        assert box.y1 < height + 0.05


@pytest.mark.parametrize("function", [bars, compare, curves, heatmap, overlay, regions])
def test_docstrings_say_what_comes_in_and_goes_out(function):
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert section in function.__doc__


def test_the_package_has_it_without_an_import():
    import captum_ext

    assert captum_ext.visualization is visualization


@pytest.mark.filterwarnings("error")
def test_encoded_pictures_ignore_the_callers_matplotlib_settings():
    generator = np.random.default_rng(0)
    pixels, values = generator.random((50, 40, 3)), generator.standard_normal((50, 40))
    encoders = [photograph, *(partial(map_picture, attributions=values, style=style) for style in STYLES)]
    plain = [encoder(pixels) for encoder in encoders]
    settings = {"figure.constrained_layout.use": True, "savefig.bbox": "tight", "savefig.dpi": 50}
    with rc_context(settings):
        assert [encoder(pixels) for encoder in encoders] == plain
    assert {Image.open(io.BytesIO(picture)).size for picture in plain} == {(240, 300)}
